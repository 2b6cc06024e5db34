//! `/dlqs`.

mod groups;
mod reprocessed;

use std::collections::BTreeSet;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::Row as _;
use uuid::Uuid;

use crate::support::{Answer, Client};

#[sqlx::test(migrations = "../../migrations")]
async fn a_payload_that_is_json_is_shown_byte_for_byte(db: PgPool) {
    let client = Client::new(db);
    let subscription = client.subscription("a").await;
    let payload = br#"{"city":"Tokyo",  "reading":23.0, "big":12345678901234567890123}"#;
    let id = client
        .dead_letter_with(Some(subscription), 7, payload)
        .await;
    let shown = client.get(&format!("/dlqs/{id}")).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(
        shown
            .body
            .windows(payload.len())
            .any(|part| part == payload)
    );
    let letter = shown.json();
    assert_eq!(letter["payload_bytes"], payload.len());
    assert_eq!(letter["subscription_id"], subscription.to_string());
    for (field, expected) in [
        ("topic", json!("updates")),
        ("partition", json!(3)),
        ("offset", json!(7)),
        ("event_id", json!("event-7")),
        ("reason", json!("exhausted")),
        ("attempts", json!(9)),
        ("last_status", json!(500)),
        ("last_error", json!("http_5xx")),
    ] {
        assert_eq!(letter[field], expected, "{field}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_payload_that_is_not_json_is_shown_in_base64(db: PgPool) {
    let client = Client::new(db);
    let id = client.dead_letter_with(None, 1, b"\xff\0{").await;
    let letter = client.get(&format!("/dlqs/{id}")).await.json();
    assert_eq!(letter["payload_base64"], "/wB7");
    assert_eq!(letter.get("payload"), None);
    assert_eq!(letter["subscription_id"], Value::Null);
    assert_eq!(letter["reason"], "malformed");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_list_leaves_out_large_payloads_and_one_letter_has_them(db: PgPool) {
    let client = Client::new(db);
    let large = json!("x".repeat(16 * 1024)).to_string();
    let id = client.dead_letter_with(None, 1, large.as_bytes()).await;
    let listed = &client.get("/dlqs").await.json()["items"][0];
    assert_eq!(listed["payload_bytes"], large.len());
    assert_eq!(
        (listed.get("payload"), listed.get("payload_base64")),
        (None, None)
    );
    let shown = client.get(&format!("/dlqs/{id}")).await.json();
    assert_eq!(shown["payload"].to_string(), large);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_list_is_oldest_first_and_cut_and_filtered(db: PgPool) {
    let client = Client::new(db);
    let (a, b) = (Uuid::now_v7(), Uuid::now_v7());
    let mut ids = Vec::new();
    for (offset, subscription) in [(1, Some(a)), (2, Some(b)), (3, None), (4, Some(a))] {
        ids.push(client.dead_letter(subscription, offset).await);
    }
    for (query, expected) in [
        ("?skip=0&limit=100".to_owned(), ids.clone()),
        ("?skip=1&limit=2".to_owned(), ids[1..3].to_vec()),
        ("?skip=9".to_owned(), vec![]),
        (format!("?subscription_id={a}"), vec![ids[0], ids[3]]),
        ("?reason=malformed".to_owned(), vec![ids[2]]),
        ("?reason=gone".to_owned(), vec![]),
        (
            format!("?reason=exhausted&subscription_id={b}"),
            vec![ids[1]],
        ),
        (format!("?reason=malformed&subscription_id={b}"), vec![]),
        ("?last_error=http_5xx&skip=3".to_owned(), vec![ids[3]]),
        ("?last_error=http_5x".to_owned(), vec![]),
        ("?last_error=".to_owned(), vec![]),
        (format!("?after={}", ids[1]), ids[2..].to_vec()),
        (format!("?after={}&limit=1", ids[0]), vec![ids[1]]),
        (
            format!("?after={}&subscription_id={a}", ids[0]),
            vec![ids[3]],
        ),
        (format!("?after={}", ids[3]), vec![]),
        ("?after=-1&limit=1".to_owned(), vec![ids[0]]),
    ] {
        let answer = client.get(&format!("/dlqs{query}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let page = answer.json();
        let items = page["items"].as_array().expect("items");
        let shown: Vec<i64> = items
            .iter()
            .filter_map(|item| item["id"].as_i64())
            .collect();
        assert_eq!(shown, expected, "{query}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_removed_dead_letter_is_gone(db: PgPool) {
    let client = Client::new(db);
    let path = format!("/dlqs/{}", client.dead_letter(None, 1).await);
    assert_eq!(client.delete(&path).await.status, StatusCode::NO_CONTENT);
    for again in [client.delete(&path).await, client.get(&path).await] {
        assert_eq!(again.status, StatusCode::NOT_FOUND);
        assert_eq!(again.json()["code"], "not_found");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn reprocessing_makes_a_whole_pending_delivery_for_that_subscription_only(db: PgPool) {
    let client = Client::new(db);
    let (failed, other) = (
        client.subscription("a").await,
        client.subscription("b").await,
    );
    let id = client.dead_letter(Some(failed), 7).await;
    let done = reprocess(&client, &[id]).await;
    assert_eq!(
        fates(&done),
        json!({"requeued": [id], "not_found": [], "refused": []})
    );
    assert_eq!(
        (client.pending(failed).await, client.pending(other).await),
        (1, 0)
    );

    let row = sqlx::query(
        "SELECT topic, partition, event_offset, event_id, payload, content_type, traceparent,
                attempts, lease, due_at <= now() AS due FROM pending_deliveries",
    )
    .fetch_one(&client.db)
    .await
    .expect("the row");
    assert_eq!(row.get::<&str, _>("topic"), "updates");
    assert_eq!(row.get::<i32, _>("partition"), 3);
    assert_eq!(row.get::<i64, _>("event_offset"), 7);
    assert_eq!(row.get::<&str, _>("event_id"), "event-7");
    assert_eq!(
        row.get::<&[u8], _>("payload"),
        br#"{"city":"Tokyo", "reading":23.0}"#
    );
    assert_eq!(row.get::<&str, _>("content_type"), "application/json");
    assert_eq!(row.get::<&str, _>("traceparent"), "00-1-2-01");
    assert_eq!(row.get::<i32, _>("attempts"), 0);
    assert_eq!(row.get::<Option<Uuid>, _>("lease"), None);
    assert!(row.get::<bool, _>("due"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn reprocessing_again_changes_nothing(db: PgPool) {
    let client = Client::new(db);
    let subscription = client.subscription("a").await;
    let id = client.dead_letter(Some(subscription), 1).await;
    let done = reprocess(&client, &[id, id]).await;
    let recorded: DateTime<Utc> = sqlx::query_scalar("SELECT attempted_at FROM attempts")
        .fetch_one(&client.db)
        .await
        .expect("one row");
    assert_eq!(done.json()["requeued_at"], json!(recorded));
    let again = reprocess(&client, &[id]).await;
    assert_eq!(
        again.json(),
        json!({"requeued": [], "not_found": [id], "refused": [], "requeued_at": null})
    );
    assert_eq!(client.pending(subscription).await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_id_is_told_what_became_of_it(db: PgPool) {
    let client = Client::new(db);
    let subscription = client.subscription("a").await;
    let good = client.dead_letter(Some(subscription), 1).await;
    let malformed = client.dead_letter(None, 2).await;
    let deleted = client.dead_letter(Some(Uuid::now_v7()), 3).await;
    let done = reprocess(&client, &[999, deleted, malformed, good, -1]).await;
    assert_eq!(
        fates(&done),
        json!({"requeued": [good], "not_found": [-1, 999], "refused": [
            {"id": malformed, "reason": "malformed"},
            {"id": deleted, "reason": "subscription_deleted"},
        ]})
    );
    for kept in [malformed, deleted] {
        assert_eq!(
            client.get(&format!("/dlqs/{kept}")).await.status,
            StatusCode::OK
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_delivery_that_is_already_pending_stays_as_it_is(db: PgPool) {
    let client = Client::new(db);
    let subscription = client.subscription("a").await;
    let first = client.dead_letter(Some(subscription), 1).await;
    reprocess(&client, &[first]).await;
    sqlx::query("UPDATE pending_deliveries SET attempts = 4")
        .execute(&client.db)
        .await
        .expect("4");
    let second = client.dead_letter(Some(subscription), 1).await;
    let third = client.dead_letter(Some(subscription), 1).await;
    let done = reprocess(&client, &[second, third]).await;
    assert_eq!(done.json()["requeued"], json!([second, third]));
    let attempts: Vec<i32> = sqlx::query_scalar("SELECT attempts FROM pending_deliveries")
        .fetch_all(&client.db)
        .await
        .expect("the rows");
    assert_eq!(attempts, [4]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_two_calls_at_once_one_requeues_and_the_other_does_not_find(db: PgPool) {
    let client = Client::new(db);
    let subscription = client.subscription("a").await;
    let mut ids = Vec::new();
    for offset in 0..50 {
        ids.push(client.dead_letter(Some(subscription), offset).await);
    }
    let backwards: Vec<i64> = ids.iter().rev().copied().collect();
    let (one, two) = tokio::join!(reprocess(&client, &ids), reprocess(&client, &backwards));
    let (one, two) = (requeued(&one), requeued(&two));
    assert!(one.is_disjoint(&two));
    assert_eq!(one.union(&two).copied().collect::<Vec<_>>(), ids);
    assert_eq!(client.pending(subscription).await, 50);
}

#[sqlx::test(migrations = "../../migrations")]
async fn removal_during_reprocessing_leaves_no_orphan(db: PgPool) {
    let client = Client::new(db);
    for round in 0..10 {
        let subscription = client.subscription(&format!("a{round}")).await;
        let id = client.dead_letter(Some(subscription), round).await;
        let path = format!("/subscriptions/{subscription}");
        let ids = [id];
        let (done, removed) = tokio::join!(reprocess(&client, &ids), client.delete(&path));
        assert_eq!(done.status, StatusCode::ACCEPTED);
        assert_eq!(removed.status, StatusCode::NO_CONTENT);
        assert_eq!(client.pending(subscription).await, 0);
    }
}

async fn reprocess(client: &Client, ids: &[i64]) -> Answer {
    let answer = client.post("/dlqs", &json!({"dlqs": ids})).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    answer
}

/// What became of each, without when.
fn fates(answer: &Answer) -> Value {
    let mut fates = answer.json();
    fates
        .as_object_mut()
        .and_then(|it| it.remove("requeued_at"));
    fates
}

fn requeued(answer: &Answer) -> BTreeSet<i64> {
    serde_json::from_value(answer.json()["requeued"].clone()).expect("ids")
}
