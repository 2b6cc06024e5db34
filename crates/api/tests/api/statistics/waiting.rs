//! What waits and who fails, as `/stats` tells it; and to whom.

use api::Access;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use common::statistics::{Family, Granularity};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{counted, points, put};
use crate::support::Client;
use crate::topic::{HOUR, Topic};

/// Inserts what a subscription has in the tables, given its id and a topic.
const FAILING: [&str; 4] = [
    "INSERT INTO progress (topic, partition, next_offset, epoch, owner)
     SELECT $2, 0, 1, 1, 'a' WHERE $1::uuid IS NOT NULL",
    "INSERT INTO cursors (subscription_id, topic, partition, next_offset, created_at)
     VALUES ($1, $2, 0, 0, now() - interval '1 minute')",
    "INSERT INTO circuits (subscription_id, state, failing_since, last_failure)
     SELECT $1, 'open', now() - interval '10 minutes', 'timeout' WHERE $2::text IS NOT NULL",
    "INSERT INTO pending_deliveries (subscription_id, topic, partition, event_offset, event_id,
                                     payload, attempts, due_at, created_at)
     SELECT $1, $2, 0, number, 'event', '', 1, now(), now() - make_interval(secs => number * 60)
     FROM generate_series(1, 5) AS number",
];

/// A topic with two events in its first partition, of which one is settled, and a third in its
/// second, of which nobody has begun; and a subscription that fails.
async fn failing(db: PgPool) -> (Topic, Client, Uuid) {
    let topic = Topic::make(2).await;
    topic.publish(0, HOUR, "Tokyo", 20.0).await;
    topic.publish(0, HOUR, "Oslo", 31.0).await;
    topic.publish(1, HOUR, "Tokyo", 32.5).await;
    let client = Client::with_kafka(db, &topic.kafka);
    let id = client.subscription("failing").await;
    for sql in FAILING {
        let insert = sqlx::query(sql).bind(id).bind(&topic.kafka.kafka_topic);
        insert.execute(&client.db).await.expect(sql);
    }
    client.dead_letter(Some(id), 1).await;
    client.dead_letter(None, 2).await;
    (topic, client, id)
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_waits_and_who_fails_is_told(db: PgPool) {
    let (_topic, client, _) = failing(db).await;
    let stats = client.get("/stats").await.json();
    assert_eq!(stats["lag"], json!({"events": 1, "partitions": 1}));
    assert_eq!(stats["pending"], json!({"count": 5, "exact": true}));
    assert_eq!(stats["dead_letters"], json!({"count": 2, "exact": true}));
    assert_eq!(stats["open_circuits"], json!(1));
    assert_eq!(stats["held_back"], json!(1));
    let oldest = stats["oldest_undelivered_seconds"].as_f64();
    assert!(
        oldest.is_some_and(|seconds| (300.0..400.0).contains(&seconds)),
        "{stats}"
    );
    let top = &stats["top_failing"][0];
    assert_eq!(
        (&top["name"], &top["failure"]),
        (&json!("failing"), &json!("timeout"))
    );
}

/// For how long it may fail, by what is told of its health.
fn patience(health: &Value) -> TimeDelta {
    let time = |of: &str| -> DateTime<Utc> {
        health[of]
            .as_str()
            .expect("a time")
            .parse()
            .expect("a time")
    };
    time("disabled_at") - time("failing_since")
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_health_of_a_subscription_is_told(db: PgPool) {
    let (_topic, client, id) = failing(db).await;
    let now = Utc::now();
    counted(&client.db, now, Granularity::Hour.begin(now)).await;
    let of = id.to_string();
    put(
        &client.db,
        Granularity::Minute,
        now,
        &[(Family::Subscription, &of, 30, 10)],
    )
    .await;
    let path = format!("/subscriptions/{id}/stats");
    let one = client.get(&path).await.json();
    assert_eq!(one["totals"]["attempts"], json!(40), "{one}");
    let health = &one["health"];
    for (of, expected) in [
        ("state", json!("active")),
        ("circuit", json!("open")),
        ("success_share_1h", json!(0.75)),
        ("consecutive_failures", json!(10)),
        ("last_failure", json!("timeout")),
        ("held_back_events", json!(2)),
        ("pending", json!({"count": 5, "exact": true})),
        ("dead_letters", json!({"count": 1, "exact": true})),
    ] {
        assert_eq!(health[of], expected, "{of}: {health}");
    }
    assert_eq!(health["budget"]["target"], json!(99.9));
    assert_eq!(health["budget"]["burn_1h"], json!(250.0));
    assert_eq!(patience(health), TimeDelta::days(5));
    let own = json!({"disable_after": "2h"});
    client.patch(&format!("/subscriptions/{id}"), &own).await;
    let one = client.get(&path).await.json();
    assert_eq!(patience(&one["health"]), TimeDelta::hours(2));
}

#[sqlx::test(migrations = "../../migrations")]
async fn without_kafka_the_lag_is_not_known_and_the_rest_is(db: PgPool) {
    let nowhere = common::kafka::KafkaArgs {
        kafka_brokers: "127.0.0.1:1".into(),
        ..crate::support::kafka("updates")
    };
    let client = Client::with_kafka(db, &nowhere);
    let stats = client.get("/stats").await;
    assert_eq!(stats.status, StatusCode::OK, "{}", stats.text());
    assert_eq!(stats.json()["lag"], Value::Null);
    assert_eq!(stats.json()["pending"], json!({"count": 0, "exact": true}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn more_rows_than_are_counted_are_estimated(db: PgPool) {
    let client = Client::new(db.clone());
    let id = client.subscription("far behind").await;
    sqlx::query(
        "INSERT INTO pending_deliveries (subscription_id, topic, partition, event_offset, event_id,
                                         payload, attempts, due_at)
         SELECT $1, 'updates', 0, number, 'event', '', 1, now() FROM generate_series(1, 12000) AS number",
    )
    .bind(id)
    .execute(&db)
    .await
    .expect("rows");
    sqlx::query("ANALYZE pending_deliveries")
        .execute(&db)
        .await
        .expect("figures");
    let stats = client.get("/stats").await.json();
    assert_eq!(stats["pending"], json!({"count": 12_000, "exact": false}));
    let one = client
        .get(&format!("/subscriptions/{id}/stats"))
        .await
        .json();
    assert_eq!(
        one["health"]["pending"],
        json!({"count": 10_000, "exact": false})
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_subscriber_sees_what_is_its_owners_and_nothing_else(db: PgPool) {
    let admin = "an-admins-key-that-a-person-has-chosen";
    let access = Access::by_keys(Some(&admin.into()));
    let client = Client::with_access(db.clone(), access).with_token(admin);
    let owned = async |name: &str| {
        let new = json!({"name": name, "url": "https://example.com/hook", "owner": name});
        let id = client.post("/subscriptions", &new).await.json()["id"].clone();
        let asked = json!({"name": name, "role": "subscriber", "owner": name});
        let made = client.post("/api-keys", &asked).await.json();
        let key = made["key"].as_str().expect("a key").to_owned();
        (id.as_str().expect("an id").to_owned(), key)
    };
    let (acme, its_key) = owned("acme").await;
    let (other, _) = owned("other").await;
    let now = Utc::now();
    counted(&db, now, Granularity::Hour.begin(now)).await;
    let counts = [
        (Family::All, "", 30, 3),
        (Family::Owner, "acme", 10, 1),
        (Family::Owner, "other", 20, 2),
        (Family::Subscription, &acme, 10, 1),
        (Family::Subscription, &other, 20, 2),
        (Family::City, "Oslo", 30, 3),
    ];
    put(&db, Granularity::Minute, now, &counts).await;
    for (at, subscription) in [(1, &acme), (2, &other), (3, &other)] {
        client
            .dead_letter(Some(subscription.parse().expect("an id")), at)
            .await;
    }
    client.dead_letter(None, 4).await;

    let subscriber = client.as_somebody(Some(&its_key));
    let stats = subscriber.get("/stats").await.json();
    assert_eq!(stats["totals"]["attempts"], json!(11), "{stats}");
    assert_eq!(stats["dead_letters"]["count"], json!(1));
    assert_eq!(
        (&stats["lag"], &stats["events_per_second"]),
        (&Value::Null, &Value::Null)
    );
    let all = client.get("/stats").await.json();
    assert_eq!(all["totals"]["attempts"], json!(33));
    assert_eq!(all["dead_letters"]["count"], json!(4));

    let attempts = "granularity=1m&measures=attempts";
    assert_eq!(
        points(&subscriber, attempts).await[0]["attempts"],
        json!(11)
    );
    let by = format!("{attempts}&dimensions=subscription_id");
    assert_eq!(points(&subscriber, &by).await[0]["attempts"], json!(11));
    // Another's is like none.
    for id in [other.clone(), Uuid::now_v7().to_string()] {
        let of = format!("{attempts}&subscription_id={id}");
        assert!(points(&subscriber, &of).await.is_empty());
        let stats = subscriber.get(&format!("/subscriptions/{id}/stats")).await;
        assert_eq!(stats.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(
        subscriber
            .get(&format!("/subscriptions/{acme}/stats"))
            .await
            .status,
        StatusCode::OK
    );
    for (query, parameter) in [
        ("dimensions=city", "dimensions"),
        ("city=Oslo", "city"),
        ("measures=events", "measures"),
    ] {
        let answer = subscriber
            .get(&format!("/stats/timeseries?granularity=1m&{query}"))
            .await;
        assert_eq!(answer.json()["parameter"], parameter, "{query}");
    }
}
