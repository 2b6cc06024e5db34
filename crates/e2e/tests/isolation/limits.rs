//! What a subscription asks for of its own bounds what it gets, and how fast.

use std::time::Duration;

use e2e::stage::until;
use serde_json::json;
use tokio::time::Instant;

use crate::one::{One, until_passed};

#[tokio::test]
async fn what_is_older_than_max_age_expires_and_is_counted() {
    let one = One::with(json!({"max_age": "5s"})).await;
    one.publish(300).await;
    until_passed(Instant::now(), Duration::from_secs(5)).await;
    let _processor = one.processor();
    until("they expire", async || one.shown().await["expired"] == 300).await;
    one.publish(100).await;
    one.until_arrived(100).await;
    assert_eq!(one.shown().await["expired"], 300);
    one.until_nothing_is_left().await;
    assert_eq!(one.stage.dead_letters().await.len(), 0);
}

#[tokio::test]
async fn a_rate_limit_bounds_what_is_sent() {
    const PER_SECOND: f64 = 50.0;
    let one = One::with(json!({"rate_limit": PER_SECOND})).await;
    let _processor = one.processor();
    let began = Instant::now();
    one.publish(200).await;
    one.until_arrived(200).await;
    // A quarter of a second's worth may go at once.
    let most = PER_SECOND * (began.elapsed().as_secs_f64() + 0.25) + 1.0;
    assert!(most >= 200.0, "{most}");
    one.until_nothing_is_left().await;
    assert_eq!(one.receiver.duplicates(), 0);
}

#[tokio::test]
async fn no_more_are_in_flight_than_it_asks_for() {
    let one = One::with(json!({"max_in_flight": 1})).await;
    one.receiver.delay(Duration::from_millis(3));
    let _processor = one.processor();
    one.publish(500).await;
    one.until_arrived(500).await;
    one.until_nothing_is_left().await;
    assert_eq!(one.receiver.most_in_hand(), 1);
}

#[tokio::test]
async fn a_policy_that_is_changed_holds_for_what_waits() {
    let one = One::with(json!({"max_in_flight": 1})).await;
    one.receiver.delay(Duration::from_millis(200));
    let _processor = one.processor();
    one.publish(300).await;
    assert!(one.arrived() < 100);
    one.receiver.delay(Duration::from_millis(20));
    let patched = one
        .stage
        .patch(&one.path, &json!({"max_in_flight": 8}))
        .await;
    assert_eq!(patched["max_in_flight"], 8);
    one.until_arrived(300).await;
    let most = one.receiver.most_in_hand();
    assert!((2..=8).contains(&most), "{most}");
}
