//! Records that no well-behaved producer writes, between those that one does.

use axum::body::Bytes;
use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};

/// The largest event that is relayed.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// A bare event of another producer, padded to that size.
pub fn event(city: &str, bytes: usize) -> Vec<u8> {
    let bare = |padding: &str| {
        let event = json!({
            "city": city, "reading": 1, "unit": "C", "timestamp": "2026-11-23T21:00:00Z", "x": padding,
        });
        event.to_string()
    };
    let padding = bytes.saturating_sub(bare("").len());
    bare(&"x".repeat(padding)).into_bytes()
}

#[tokio::test]
async fn what_is_no_event_goes_to_the_dead_letters_and_holds_nothing_up() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    stage.subscribe("all", &format!("{}/a", receiver.url)).await;
    let good = [event("Oslo", 0), event("Rome", MAX_EVENT_BYTES)];
    let poison = b"not JSON \0 at all".to_vec();
    let large = event("Lima", MAX_EVENT_BYTES + 1);
    let records = [good[0].clone(), poison, large, good[1].clone()];
    stage.broker.publish(&records);
    let _processor = stage.processor(&[]);
    until("the good arrive", async || receiver.distinct("a") == 2).await;
    let mut bodies = receiver.bodies("a");
    bodies.sort_by_key(Bytes::len);
    // Byte for byte.
    assert_eq!(bodies, good);
    until("the others are dead", async || {
        stage.dead_letters().await.len() == 2
    })
    .await;
    let dead = stage.dead_letters().await;
    for letter in dead {
        assert_eq!(letter["reason"], json!("malformed"));
        assert_eq!(letter["subscription_id"], Value::Null);
    }
}

#[tokio::test]
async fn gaps_that_transactions_leave_in_the_log_hold_nothing_up() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    stage.subscribe("all", &format!("{}/a", receiver.url)).await;
    for (city, commit) in [("Oslo", true), ("Nowhere", false), ("Rome", true)] {
        stage
            .broker
            .publish_in_transaction(&[event(city, 0)], commit);
    }
    let processor = stage.processor(&[]);
    until("the committed arrive", async || receiver.distinct("a") == 2).await;
    // A record and a marker for each of three transactions; the last marker is not received.
    until("progress passes the gaps", async || {
        stage.count("SELECT max(next_offset) FROM progress").await == 5
    })
    .await;
    assert!(processor.stop().await.success());
    let _processor = stage.processor(&[]);
    stage.broker.publish(&[event("Lima", 0)]);
    until("what comes next arrives", async || {
        receiver.distinct("a") == 3
    })
    .await;
    assert_eq!(receiver.duplicates(), 0);
}
