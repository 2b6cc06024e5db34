//! `GET /dlqs/reprocessed`.

use api::Access;
use axum::http::StatusCode;
use chrono::{DateTime, FixedOffset, TimeDelta};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::reprocess;
use crate::recorded::Recorded;
use crate::support::{Answer, Client, id_of};

/// Sends a dead letter of each offset again, all at once; when that was.
async fn send(client: &Client, of: Uuid, offsets: std::ops::RangeInclusive<i32>) -> String {
    let mut ids = Vec::new();
    for offset in offsets {
        let earlier = Recorded::new(of, offset).failed("dead");
        earlier.write(&client.db).await;
        ids.push(client.dead_letter(Some(of), offset.into()).await);
    }
    let done = reprocess(client, &ids).await.json();
    done["requeued_at"].as_str().expect("a time").to_owned()
}

async fn ask(client: &Client, at: &str) -> Answer {
    let at: String = url::form_urlencoded::byte_serialize(at.as_bytes()).collect();
    client.get(&format!("/dlqs/reprocessed?at={at}")).await
}

/// What the answer says, without those that failed again.
async fn counts(client: &Client, at: &str) -> Value {
    let answer = ask(client, at).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let mut counts = answer.json();
    let fields = counts.as_object_mut().expect("an object");
    fields.remove("failed_again");
    fields.remove("at");
    fields.retain(|_, count| *count != json!(0));
    counts
}

/// Whatever waits does so no more; with a row that says why, unless nobody recorded that.
async fn settle(client: &Client, of: Uuid, offset: i32, outcome: Option<&'static str>) {
    let sql = format!("DELETE FROM pending_deliveries WHERE event_offset = {offset}");
    let gone = sqlx::query(AssertSqlSafe(sql)).execute(&client.db).await;
    assert_eq!(gone.expect("a table").rows_affected(), 1);
    let now = Recorded {
        seconds_ago: -1.0,
        ..Recorded::new(of, offset)
    };
    match outcome {
        None => return,
        Some("delivered") => now,
        Some("dead") => now.failed("dead"),
        Some(other) => now.unposted(other),
    }
    .write(&client.db)
    .await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_is_what_its_latest_row_says_and_what_was_before_does_not_count(db: PgPool) {
    let client = Client::new(db);
    let of = client.subscription("a").await;
    let at = send(&client, of, 1..=6).await;
    assert_eq!(
        counts(&client, &at).await,
        json!({"count": 6, "pending": 6})
    );
    let fates = ["delivered", "dead", "expired", "superseded"];
    for (outcome, offset) in fates.into_iter().zip(1..) {
        settle(&client, of, offset, Some(outcome)).await;
    }
    // Nobody says what became of one that ends with its replay or its subscription.
    settle(&client, of, 5, None).await;
    assert_eq!(
        counts(&client, &at).await,
        json!({
            "count": 6, "delivered": 1, "dead": 1, "expired": 1, "superseded": 1,
            "cancelled": 1, "pending": 1
        })
    );
    let answer = ask(&client, &at).await.json();
    assert_eq!(answer["at"], json!(at));
    let failed = answer["failed_again"].as_array().expect("a list");
    assert_eq!(failed.len(), 1);
    // As everywhere else.
    for (offset, status) in (1..).zip([
        "delivered",
        "dead",
        "expired",
        "superseded",
        "cancelled",
        "pending",
    ]) {
        let listed = client
            .get(&format!("/deliveries?event_id=event-{offset}"))
            .await;
        let listed = listed.json()["items"][0].clone();
        assert_eq!(listed["status"], status, "{offset}");
        let id = listed["id"].as_str().expect("an id");
        let one = client.get(&format!("/deliveries/{id}")).await.json();
        assert_eq!(one["status"], status, "{offset}");
        if status == "dead" {
            assert_eq!(failed[0], listed);
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_attempt_that_failed_and_then_nothing_is_cancelled_too(db: PgPool) {
    let client = Client::new(db);
    let of = client.subscription("a").await;
    let at = send(&client, of, 1..=1).await;
    let retried = Recorded {
        seconds_ago: -1.0,
        ..Recorded::new(of, 1).failed("pending")
    };
    retried.write(&client.db).await;
    assert_eq!(
        counts(&client, &at).await,
        json!({"count": 1, "pending": 1})
    );
    settle(&client, of, 1, None).await;
    assert_eq!(
        counts(&client, &at).await,
        json!({"count": 1, "cancelled": 1})
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_sent_again_once_more_is_on_its_way(db: PgPool) {
    let client = Client::new(db);
    let of = client.subscription("a").await;
    let first = send(&client, of, 1..=2).await;
    let sql = "DELETE FROM pending_deliveries";
    sqlx::query(sql).execute(&client.db).await.expect("a table");
    let second = send(&client, of, 2..=2).await;
    assert_ne!(first, second);
    assert_eq!(
        counts(&client, &first).await,
        json!({"count": 2, "pending": 1, "cancelled": 1})
    );
    assert_eq!(
        counts(&client, &second).await,
        json!({"count": 1, "pending": 1})
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_delivery_counts_once_and_what_was_parked_at_that_moment_not_at_all(db: PgPool) {
    let client = Client::new(db);
    let of = client.subscription("a").await;
    let mut ids = Vec::new();
    for offset in [1, 1, 2] {
        ids.push(client.dead_letter(Some(of), offset).await);
    }
    let done = reprocess(&client, &ids).await.json();
    let at = done["requeued_at"].as_str().expect("a time");
    Recorded::new(of, 7)
        .unposted("pending")
        .write(&client.db)
        .await;
    let sql = format!("UPDATE attempts SET attempted_at = '{at}' WHERE event_offset = 7");
    let moved = sqlx::query(AssertSqlSafe(sql)).execute(&client.db).await;
    assert_eq!(moved.expect("a table").rows_affected(), 1);
    assert_eq!(counts(&client, at).await, json!({"count": 2, "pending": 2}));
    // By whatever clock it is written.
    let time: DateTime<FixedOffset> = at.parse().expect("a time");
    let east = time.with_timezone(&FixedOffset::east_opt(7200).expect("an offset"));
    assert_eq!(
        counts(&client, &east.to_rfc3339()).await,
        json!({"count": 2, "pending": 2})
    );
    for other in [
        time + TimeDelta::microseconds(1),
        time - TimeDelta::microseconds(1),
    ] {
        let answer = ask(&client, &other.to_rfc3339()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let problem = answer.json();
        assert_eq!(
            (&problem["code"], &problem["parameter"]),
            (&json!("not_found"), &json!("at"))
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn it_is_known_to_the_owner_and_to_admins_only(db: PgPool) {
    let key = "the-admin-key-of-these-tests-0123456789";
    let admin = Client::with_access(db, Access::by_keys(Some(&key.into()))).with_token(key);
    let mut owners = Vec::new();
    for owner in ["acme", "other"] {
        let body = json!({"name": owner, "role": "subscriber", "owner": owner});
        let made = admin.post("/api-keys", &body).await.json();
        owners.push(admin.as_somebody(made["key"].as_str()));
    }
    let [acme, other] = &owners[..] else {
        panic!("two")
    };
    let own = id_of(&acme.subscribe("a").await);
    let at = send(acme, own, 1..=3).await;
    for client in [acme, &admin] {
        assert_eq!(counts(client, &at).await, json!({"count": 3, "pending": 3}));
    }
    let other = other.clone().with_request_id("fixed");
    let (theirs, nobodys) = (
        ask(&other, &at).await,
        ask(&other, "2026-01-01T00:00:00Z").await,
    );
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    assert_eq!(theirs.body, nobodys.body);
    admin.delete(&format!("/subscriptions/{own}")).await;
    assert_eq!(ask(acme, &at).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        counts(&admin, &at).await,
        json!({"count": 3, "cancelled": 3})
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_whole_group_is_followed_and_some_that_failed_again_are_shown(db: PgPool) {
    let client = Client::new(db);
    let of = client.subscription("a").await;
    let sql = "INSERT INTO dead_letters (subscription_id, topic, partition, event_offset, event_id,
                   payload, reason, attempts)
               SELECT $1, 'updates', 3, at, 'event-' || at, '{}', 'exhausted', 9
               FROM generate_series(1, 1500) AS at";
    let filled = sqlx::query(sql).bind(of).execute(&client.db).await;
    filled.expect("dead letters");
    let body = json!({"subscription_id": of, "reason": "exhausted"});
    let done = client.post("/dlqs/groups", &body).await.json();
    let at = done["requeued_at"].as_str().expect("a time");
    for offset in 1..=60 {
        settle(&client, of, offset, Some("dead")).await;
    }
    assert_eq!(
        counts(&client, at).await,
        json!({"count": 1500, "dead": 60, "pending": 1440})
    );
    let shown = ask(&client, at).await.json();
    assert_eq!(shown["failed_again"].as_array().map(Vec::len), Some(50));
}
