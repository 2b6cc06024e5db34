//! What one can do about a delivery.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{only, path};
use crate::recorded::Recorded;
use crate::support::Client;

/// How long until it is due, in seconds.
async fn due_in(client: &Client) -> f64 {
    let sql = "SELECT extract(epoch FROM due_at - now())::float8 FROM pending_deliveries";
    sqlx::query_scalar(sql)
        .fetch_one(&client.db)
        .await
        .expect("one")
}

async fn subscription_of(client: &Client, dead_letter: i64) -> Uuid {
    let sql = "SELECT subscription_id FROM dead_letters WHERE id = $1";
    let row = sqlx::query_scalar(sql).bind(dead_letter);
    row.fetch_one(&client.db).await.expect("one")
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_pending_is_due_at_once_when_it_is_asked_for_and_what_is_in_flight_stays(
    db: PgPool,
) {
    let client = Client::new(db);
    let row = Recorded::new(client.subscription("a").await, 1).failed("pending");
    row.write(&client.db).await;
    row.wait(&client.db).await;
    let retry = format!("{}/retry", path(&only(&client, "event-1").await));
    assert!(due_in(&client).await > 3000.0);
    for _ in 0..2 {
        let answer = client.call(Method::POST, &retry).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        assert_eq!(answer.json()["status"], "pending");
        assert!(due_in(&client).await <= 0.0);
    }
    let sql = "UPDATE pending_deliveries SET lease = $1, due_at = now() + interval '1 minute'";
    let leased = sqlx::query(sql).bind(Uuid::now_v7()).execute(&client.db);
    leased.await.expect("leased");
    let answer = client.call(Method::POST, &retry).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert!(due_in(&client).await > 30.0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_dead_is_sent_again_once_and_for_that_subscription_only(db: PgPool) {
    let client = Client::new(db);
    let (one, other) = (
        client.subscription("a").await,
        client.subscription("b").await,
    );
    for subscription in [one, other] {
        client.dead_letter(Some(subscription), 1).await;
        let row = Recorded::new(subscription, 1).failed("dead");
        row.write(&client.db).await;
    }
    let of_one = format!("/deliveries?subscription_id={one}");
    let dead = client.get(&of_one).await.json()["items"][0].clone();
    assert_eq!(dead["status"], "dead");
    for _ in 0..2 {
        let answer = client
            .call(Method::POST, &format!("{}/retry", path(&dead)))
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        let now = answer.json();
        assert_eq!(
            (&now["status"], &now["attempts_made"], &now["id"]),
            (&json!("pending"), &json!(0), &dead["id"])
        );
        assert_eq!(
            (client.pending(one).await, client.pending(other).await),
            (1, 0)
        );
    }
    let left = client.get("/dlqs").await.json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
    let audit = client.get("/audit?kind=delivery").await.json();
    assert_eq!(audit["items"][0]["action"], "retry");
    assert_eq!(audit["items"][0]["object_id"], dead["id"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_has_come_to_another_end_is_not_sent_again(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    for (offset, outcome) in [
        (1, "delivered"),
        (2, "expired"),
        (3, "superseded"),
        (4, "dead"),
        (5, "pending"),
    ] {
        let row = Recorded::new(id, offset).unposted(outcome);
        row.write(&client.db).await;
    }
    for offset in 1..=5 {
        let delivery = only(&client, &format!("event-{offset}")).await;
        let answer = client
            .call(Method::POST, &format!("{}/retry", path(&delivery)))
            .await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{delivery}");
        assert_eq!(answer.json()["code"], "not_retryable");
    }
    let of_nobody = client.dead_letter(Some(Uuid::now_v7()), 6).await;
    let row = Recorded::new(subscription_of(&client, of_nobody).await, 6);
    row.failed("dead").write(&client.db).await;
    let delivery = only(&client, "event-6").await;
    let answer = client
        .call(Method::POST, &format!("{}/retry", path(&delivery)))
        .await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(
        answer.text().contains("its subscription was removed"),
        "{}",
        answer.text()
    );
    assert_eq!(
        client.get("/audit?kind=delivery").await.json()["items"],
        json!([])
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_a_receiver_said_is_erased_and_what_happened_stays(db: PgPool) {
    let client = Client::new(db);
    let row = Recorded::new(Uuid::now_v7(), 1).failed("dead");
    row.write(&client.db).await;
    let kept = Recorded::new(row.subscription, 2).failed("dead");
    kept.write(&client.db).await;
    let one = path(&only(&client, "event-1").await);
    for _ in 0..2 {
        let erased = client.delete(&format!("{one}/content")).await;
        assert_eq!(erased.status, StatusCode::NO_CONTENT);
    }
    let attempt = client.get(&one).await.json()["attempts"][0].clone();
    for field in ["request_headers", "response_headers", "response"] {
        assert_eq!(attempt[field], Value::Null, "{field}");
    }
    assert_eq!(attempt["status"], 500);
    let other = client.get(&path(&only(&client, "event-2").await)).await;
    assert_eq!(other.json()["attempts"][0]["response"], "no disk");
    let audit = client.get("/audit?action=erase_content").await.json();
    assert_eq!(audit["items"].as_array().map(Vec::len), Some(2));
}
