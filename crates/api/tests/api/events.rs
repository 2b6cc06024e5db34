//! `/events/{id}`.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::recorded::Recorded;
use crate::support::Client;
use crate::topic::Topic;

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_tells_what_became_of_it_for_each_subscription(db: PgPool) {
    let client = Client::new(db);
    let (one, other) = (
        client.subscription("a").await,
        client.subscription("b").await,
    );
    Recorded::new(one, 1).write(&client.db).await;
    let pending = Recorded::new(other, 1).failed("pending");
    pending.write(&client.db).await;
    pending.wait(&client.db).await;
    let event = client.get("/events/event-1").await;
    assert_eq!(event.status, StatusCode::OK, "{}", event.text());
    let event = event.json();
    for (field, expected) in [
        ("id", json!("event-1")),
        ("partition", json!(3)),
        ("offset", json!(1)),
        ("city", json!("Tokyo")),
        ("payload", json!({"pending": true})),
        ("payload_from", json!("pending_delivery")),
        ("recorded", json!("all")),
    ] {
        assert_eq!(event[field], expected, "{field}");
    }
    let mut statuses: Vec<_> = event["deliveries"]
        .as_array()
        .expect("deliveries")
        .iter()
        .map(|it| it["status"].as_str().expect("a status").to_owned())
        .collect();
    statuses.sort();
    assert_eq!(statuses, ["delivered", "pending"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_dead_letter_keeps_its_event(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    client.dead_letter_with(Some(id), 1, b"\xff no JSON").await;
    Recorded::new(id, 1).failed("dead").write(&client.db).await;
    let event = client.get("/events/event-1").await.json();
    assert_eq!(event["payload_from"], "dead_letter");
    assert_eq!(event["payload_base64"], "/yBubyBKU09O");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_payload_is_read_from_its_place_in_the_topic_if_it_is_still_that_event(db: PgPool) {
    let topic = Topic::make(4).await;
    topic.publish(3, 1000, "Oslo", 1.0).await;
    let named =
        br#"{"id":"a/b","city":"Oslo","reading":2,"unit":"C","timestamp":"2026-11-23T21:00:00Z"}"#;
    topic.publish_raw(3, 1000, named).await;
    let client = Client::with_kafka(db, &topic.kafka);
    let row = |offset, event_id: &str| Recorded {
        event_id: event_id.into(),
        topic: topic.kafka.kafka_topic.clone(),
        ..Recorded::new(Uuid::now_v7(), offset)
    };
    for (offset, id, from) in [
        (1, "a%2Fb", "topic"),
        // The topic was made anew, or is shorter by now.
        (0, "another", "gone"),
        (7, "later", "gone"),
    ] {
        row(offset, &id.replace("%2F", "/")).write(&client.db).await;
        let event = client.get(&format!("/events/{id}")).await.json();
        assert_eq!(event["payload_from"], from, "{event}");
        assert_eq!(event["payload"].is_object(), from == "topic", "{event}");
    }
    let elsewhere = Recorded {
        topic: "operations".into(),
        ..row(0, "elsewhere")
    };
    elsewhere.write(&client.db).await;
    let event = client.get("/events/elsewhere").await.json();
    assert_eq!(event["payload_from"], "another_topic");
}
