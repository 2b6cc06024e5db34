//! `/subscriptions/{id}/replay`, `/replays`, `/subscriptions/preview`.

use axum::http::{Method, StatusCode};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use common::kafka::{KafkaArgs, KafkaSecurity};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Client, id_of};
use crate::topic::{HOUR, Topic};

/// Topic, partition, first, next and end offset, and how many are settled.
type Range = (String, i32, i64, i64, i64, i64);

/// The time so many milliseconds ago.
fn ago(milliseconds: i64) -> String {
    let time = Utc::now() - TimeDelta::milliseconds(milliseconds);
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Four readings over two partitions of three; and a client of it.
async fn four_readings(db: PgPool) -> (Topic, Client) {
    let topic = Topic::make(3).await;
    topic.publish(0, 4 * HOUR, "Tokyo", 20.0).await;
    topic.publish(0, 2 * HOUR, "Oslo", 31.0).await;
    topic.publish(1, 3 * HOUR, "Tokyo", 32.5).await;
    topic.publish(1, HOUR, "Tokyo", 33.0).await;
    let client = Client::with_kafka(db, &topic.kafka);
    (topic, client)
}

async fn hot(client: &Client) -> String {
    let new = json!({"name": "hot", "url": "http://a", "filter": "event.reading > 30"});
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    format!("/subscriptions/{}/replay", id_of(&made.json()))
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_replay_spans_what_was_published_between_two_times(db: PgPool) {
    let (topic, client) = four_readings(db).await;
    let path = hot(&client).await;
    let asked = json!({
        "since": ago(4 * HOUR - 60_000), "until": ago(HOUR + 60_000), "rate": 50,
    });
    let made = client.post(&path, &asked).await;
    assert_eq!(made.status, StatusCode::ACCEPTED, "{}", made.text());
    let replay = made.json();
    assert_eq!(
        (&replay["state"], &replay["count"]),
        (&json!("running"), &json!(2))
    );
    assert_eq!(
        (&replay["rate"], &replay["progress"]),
        (&json!(50.0), &json!(0.0))
    );
    assert_eq!(client.get(made.header("location")).await.json(), replay);

    let ranges: Vec<Range> = sqlx::query_as(
        "SELECT topic, partition, first_offset, next_offset, end_offset, settled
         FROM replay_ranges ORDER BY partition",
    )
    .fetch_all(&client.db)
    .await
    .expect("the ranges");
    let name = topic.kafka.kafka_topic.clone();
    assert_eq!(
        ranges,
        [(name.clone(), 0, 1, 1, 2, 0), (name, 1, 0, 0, 1, 0)]
    );
    // Each call makes one.
    let again = client.post(&path, &asked).await.json();
    assert_ne!(again["id"], replay["id"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_replay_until_now_ends_at_the_end_of_the_log_and_shows_its_progress(db: PgPool) {
    let (_topic, client) = four_readings(db).await;
    let path = hot(&client).await;
    let replay = client
        .post(&path, &json!({"since": ago(3 * HOUR + 60_000)}))
        .await
        .json();
    assert_eq!(replay["count"], 3, "{replay}");
    sqlx::query(
        "UPDATE replay_ranges SET next_offset = end_offset, settled = 1 WHERE partition = 0",
    )
    .execute(&client.db)
    .await
    .expect("moved on");
    let shown = client
        .get(&format!("/replays/{}", replay["id"].as_str().expect("id")))
        .await;
    let progress = shown.json()["progress"].as_f64().expect("a number");
    assert!((progress - 1.0 / 3.0).abs() < 1e-9, "{progress}");
    assert_eq!(shown.json()["settled"], 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_stretch_without_events_is_completed_at_once(db: PgPool) {
    let (_topic, client) = four_readings(db).await;
    let path = hot(&client).await;
    let asked = json!({"since": ago(HOUR / 2), "until": ago(HOUR / 4)});
    let replay = client.post(&path, &asked).await.json();
    assert_eq!(
        (&replay["state"], &replay["count"]),
        (&json!("completed"), &json!(0))
    );
    assert_eq!(replay["progress"], 1.0);
    assert!(replay["ended_at"].is_string());
    let cancel = format!("/replays/{}/cancel", replay["id"].as_str().expect("an id"));
    let refused = client.post(&cancel, &json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["code"], "replay_completed");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_dry_run_counts_and_makes_nothing(db: PgPool) {
    let (topic, client) = four_readings(db).await;
    topic.publish_raw(2, HOUR, b"no event").await;
    let path = hot(&client).await;
    let asked = json!({"since": ago(4 * HOUR - 60_000), "dry_run": true});
    let answer = client.post(&path, &asked).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let dry_run = answer.json();
    for (field, expected) in [
        ("count", json!(4)),
        ("scanned", json!(4)),
        ("matching", json!(3)),
        ("exact", json!(true)),
        ("unanswered", json!(0)),
    ] {
        assert_eq!(dry_run[field], expected, "{field}: {dry_run}");
    }
    assert!(dry_run["earliest"].is_string());
    assert_eq!(client.get("/replays").await.json(), json!({"items": []}));
}

#[sqlx::test(migrations = "../../migrations")]
async fn before_the_start_of_the_log_the_earliest_time_is_told_and_works(db: PgPool) {
    let (_topic, client) = four_readings(db).await;
    let path = hot(&client).await;
    let refused = client
        .post(&path, &json!({"since": "2020-01-01T00:00:00Z"}))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = refused.json();
    assert_eq!(
        (&problem["code"], &problem["pointer"]),
        (&json!("before_log"), &json!("/since"))
    );
    let earliest: DateTime<Utc> =
        serde_json::from_value(problem["earliest"].clone()).expect("a time");
    let age = (Utc::now() - earliest).num_milliseconds();
    assert!((4 * HOUR..4 * HOUR + 120_000).contains(&age), "{age}");
    let taken = client
        .post(&path, &json!({"since": problem["earliest"]}))
        .await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text());
    assert_eq!(taken.json()["count"], 4);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_field_of_a_replay_is_named(db: PgPool) {
    let client = Client::new(db);
    let path = hot(&client).await;
    for (asked, pointer) in [
        (json!({}), "/since"),
        (json!({"since": "yesterday"}), "/since"),
        (json!({"since": "2026-11-23"}), "/since"),
        (json!({"since": 7}), "/since"),
        (json!({"since": null}), "/since"),
        (json!({"since": ago(-HOUR)}), "/since"),
        (
            json!({"since": ago(HOUR), "until": ago(HOUR + 1000)}),
            "/until",
        ),
        (json!({"since": ago(HOUR), "until": "soon"}), "/until"),
        (json!({"since": ago(HOUR), "rate": 0}), "/rate"),
        (json!({"since": ago(HOUR), "rate": -1}), "/rate"),
        (json!({"since": ago(HOUR), "rate": 100_001}), "/rate"),
        (json!({"since": ago(HOUR), "dry_run": "yes"}), "/dry_run"),
        (json!({"since": ago(HOUR), "to": ago(0)}), "/to"),
    ] {
        let answer = client.post(&path, &asked).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{asked}");
        assert_eq!(answer.json()["pointer"], pointer, "{asked}");
    }
    let nobody = format!("/subscriptions/{}/replay", Uuid::now_v7());
    let unknown = client.post(&nobody, &json!({"since": ago(HOUR)})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[sqlx::test(migrations = "../../migrations")]
async fn cancelling_may_be_repeated_and_a_removed_subscription_cancels(db: PgPool) {
    let (_topic, client) = four_readings(db).await;
    let path = hot(&client).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let replay = client
            .post(&path, &json!({"since": ago(2 * HOUR)}))
            .await
            .json();
        ids.push(replay["id"].as_str().expect("an id").to_owned());
    }
    let cancel = format!("/replays/{}/cancel", ids[0]);
    let cancelled = client.post(&cancel, &json!({})).await;
    assert_eq!(cancelled.status, StatusCode::OK);
    assert_eq!(cancelled.json()["state"], "cancelled");
    assert_eq!(
        client.post(&cancel, &json!({})).await.json(),
        cancelled.json()
    );
    client.delete(path.trim_end_matches("/replay")).await;
    let other = client.get(&format!("/replays/{}", ids[1])).await.json();
    assert_eq!(other["state"], "cancelled");

    let page = client.get("/replays?skip=1&limit=1").await.json();
    assert_eq!(page["items"][0]["id"], json!(ids[1]));
    let none = client
        .get(&format!("/replays?subscription_id={}", Uuid::now_v7()))
        .await;
    assert_eq!(none.json(), json!({"items": []}));
    for (method, path) in [
        (Method::GET, format!("/replays/{}", Uuid::now_v7())),
        (Method::POST, format!("/replays/{}/cancel", Uuid::now_v7())),
    ] {
        assert_eq!(
            client.call(method, &path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn cancelling_drops_what_waits_of_that_replay_alone(db: PgPool) {
    let (_topic, client) = four_readings(db).await;
    let path = hot(&client).await;
    let asked = json!({"since": ago(2 * HOUR)});
    let replay = client.post(&path, &asked).await.json();
    let (id, subscription) = (id_of(&replay), replay["subscription_id"].as_str());
    let subscription: Uuid = subscription.expect("an id").parse().expect("a UUID");
    for (offset, replay) in [(1, None), (2, Some(id)), (3, Some(Uuid::now_v7()))] {
        sqlx::query(
            "INSERT INTO pending_deliveries (topic, subscription_id, partition, event_offset,
                event_id, payload, attempts, replay_id, due_at)
             VALUES ('updates', $1, 0, $2, 'event', '{}', 1, $3, now())",
        )
        .bind(subscription)
        .bind(offset)
        .bind(replay)
        .execute(&client.db)
        .await
        .expect("a pending delivery");
    }
    let cancelled = client
        .post(&format!("/replays/{id}/cancel"), &json!({}))
        .await;
    assert_eq!(cancelled.json()["state"], "cancelled");
    let left: Vec<i64> =
        sqlx::query_scalar("SELECT event_offset FROM pending_deliveries ORDER BY event_offset")
            .fetch_all(&client.db)
            .await
            .expect("what is left");
    assert_eq!(left, [1, 3]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_preview_shows_what_would_have_been_delivered(db: PgPool) {
    let (topic, client) = four_readings(db).await;
    topic.publish_raw(2, HOUR, b"no event").await;
    let preview = async |asked: Value| client.post("/subscriptions/preview", &asked).await.json();
    let all = preview(json!({})).await;
    assert_eq!(
        (&all["looked_at"], &all["matching"]),
        (&json!(5), &json!(4)),
        "{all}"
    );
    assert_eq!(all["whole"], true);
    assert_eq!(all["samples"][0]["event"]["reading"], 33.0);

    let asked = json!({"filter": "event.reading > 30", "cities": ["Tokyo"], "events": 100});
    let tokyo = preview(asked).await;
    assert_eq!(
        (&tokyo["matching"], &tokyo["unanswered"]),
        (&json!(2), &json!(0)),
        "{tokyo}"
    );
    let an_hour = tokyo["matching_per_hour"].as_f64().expect("a rate");
    assert!((0.6..0.7).contains(&an_hour), "{an_hour}");

    let wind = preview(json!({"filter": "event.wind > 3"})).await;
    assert_eq!(
        (&wind["matching"], &wind["unanswered"]),
        (&json!(0), &json!(4))
    );
    let operations = preview(json!({"event_types": ["delivery.*"]})).await;
    assert_eq!(operations["matching"], 0);
    let last = preview(json!({"events": 3})).await;
    assert_eq!(last["looked_at"], 3, "{last}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_empty_or_missing_topic_is_no_fault(db: PgPool) {
    let mut kafka = Topic::make(1).await.kafka;
    let empty = Client::with_kafka(db.clone(), &kafka);
    let path = hot(&empty).await;
    kafka.kafka_topic += "-missing";
    for client in [empty, Client::with_kafka(db, &kafka)] {
        let preview = client.post("/subscriptions/preview", &json!({})).await;
        assert_eq!(preview.json()["looked_at"], 0, "{}", preview.text());
        assert_eq!(preview.json()["matching_per_hour"], Value::Null);
        let replay = client.post(&path, &json!({"since": ago(HOUR)})).await;
        assert_eq!(replay.json()["state"], "completed", "{}", replay.text());
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn without_kafka_only_what_needs_it_is_refused(db: PgPool) {
    let nowhere = KafkaArgs {
        kafka_brokers: "127.0.0.1:1".into(),
        kafka_topic: "updates".into(),
        security: KafkaSecurity::default(),
    };
    let client = Client::with_kafka(db, &nowhere);
    let path = hot(&client).await;
    let replay = client.post(&path, &json!({"since": ago(HOUR)})).await;
    let preview = client.post("/subscriptions/preview", &json!({})).await;
    for refused in [replay, preview] {
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.json()["code"], "kafka_unavailable");
        assert_eq!(refused.header("retry-after"), "2");
    }
    assert_eq!(client.get("/subscriptions").await.status, StatusCode::OK);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_field_of_a_preview_is_named(db: PgPool) {
    let client = Client::new(db);
    for (asked, pointer) in [
        (json!({"events": 0}), "/events"),
        (json!({"events": 10_001}), "/events"),
        (json!({"events": "all"}), "/events"),
        (json!({"filter": "event.reading >"}), "/filter"),
        (json!({"cities": []}), "/cities"),
        (json!({"event_types": ["*"]}), "/event_types/0"),
        (json!({"url": "http://a"}), "/url"),
    ] {
        let answer = client.post("/subscriptions/preview", &asked).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{asked}");
        assert_eq!(answer.json()["pointer"], pointer, "{asked}");
    }
}
