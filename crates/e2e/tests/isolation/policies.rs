//! What a subscription asks for of its own.

use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};

/// An event of a city, whose reading tells which it is.
fn event(city: &str, reading: i64) -> Vec<u8> {
    let event = json!({
        "city": city, "reading": reading, "unit": "C", "timestamp": "2026-11-23T21:00:00Z",
    });
    event.to_string().into_bytes()
}

/// The readings that arrived of a city.
fn readings(receiver: &Receiver, city: &str) -> Vec<i64> {
    let bodies = receiver.bodies("a");
    let events = bodies
        .iter()
        .map(|body| serde_json::from_slice::<Value>(body).unwrap());
    let mut readings: Vec<i64> = events
        .filter(|event| event["city"] == json!(city))
        .map(|event| event["reading"].as_i64().unwrap())
        .collect();
    readings.sort_unstable();
    readings
}

async fn subscribe(stage: &Stage, receiver: &Receiver, policy: Value) -> String {
    let mut subscription = json!({"name": "picky", "url": format!("{}/a", receiver.url)});
    subscription
        .as_object_mut()
        .unwrap()
        .extend(policy.as_object().unwrap().clone());
    let made = stage.post("/subscriptions", &subscription).await;
    made["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{made}"))
        .to_owned()
}

#[tokio::test]
async fn a_filter_lets_through_what_it_is_true_for_live_and_when_caught_up_with() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    let id = subscribe(&stage, &receiver, json!({"filter": "event.reading > 5"})).await;
    let _processor = stage.processor(&[]);
    stage
        .broker
        .publish(&(0..10).map(|n| event("Oslo", n)).collect::<Vec<_>>());
    until("the live ones arrive", async || {
        readings(&receiver, "Oslo") == [6, 7, 8, 9]
    })
    .await;
    stage
        .post(&format!("/subscriptions/{id}/pause"), &json!({}))
        .await;
    until("it is detached", async || {
        stage
            .count("SELECT count(*) FROM cursors WHERE end_offset IS NULL")
            .await
            == 4
    })
    .await;
    stage
        .broker
        .publish(&(0..10).map(|n| event("Rome", n)).collect::<Vec<_>>());
    stage
        .post(&format!("/subscriptions/{id}/resume"), &json!({}))
        .await;
    until("those it missed arrive", async || {
        readings(&receiver, "Rome") == [6, 7, 8, 9]
    })
    .await;
}

#[tokio::test]
async fn of_what_it_missed_one_that_coalesces_gets_the_newest_of_each_city() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    let policy = json!({"coalesce": "latest_per_key"});
    let id = subscribe(&stage, &receiver, policy).await;
    stage
        .post(&format!("/subscriptions/{id}/pause"), &json!({}))
        .await;
    let _processor = stage.processor(&[]);
    let events: Vec<_> = (0..60)
        .map(|n| event(["Oslo", "Rome", "Lima"][n % 3], i64::try_from(n).unwrap()))
        .collect();
    stage.broker.publish(&events);
    // What is read after it was resumed is not behind, and need not be superseded.
    until("all of it passes by", async || {
        stage.passed().await == events.len()
    })
    .await;
    stage
        .post(&format!("/subscriptions/{id}/resume"), &json!({}))
        .await;
    let newest = [("Oslo", 57), ("Rome", 58), ("Lima", 59)];
    until("the newest arrive", async || {
        newest
            .iter()
            .all(|(city, reading)| readings(&receiver, city).contains(reading))
    })
    .await;
    for (city, reading) in newest {
        assert_eq!(readings(&receiver, city), [reading]);
    }
    until("the others are counted", async || {
        let shown = stage.get(&format!("/subscriptions/{id}")).await;
        shown["superseded"] == json!(57)
    })
    .await;
}
