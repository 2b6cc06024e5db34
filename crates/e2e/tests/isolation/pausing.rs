//! A subscription that is paused, or disabled by its receiver, is held back by a row a partition,
//! and gets what happened meanwhile when it is let through again.

use e2e::stage::{PARTITIONS, until};
use serde_json::json;

use crate::one::One;

const EVENTS: usize = 1000;

/// It is off the log everywhere, and the API says so.
async fn until_held_back(one: &One) {
    until("it is held back", async || {
        one.shown().await["held_back"]["partitions"] == json!(PARTITIONS)
    })
    .await;
}

#[tokio::test]
async fn what_happens_while_it_is_paused_arrives_when_it_is_resumed() {
    let one = One::with(json!({})).await;
    let _processor = one.processor();
    one.publish(EVENTS).await;
    one.until_arrived(EVENTS).await;
    assert_eq!(one.ask("pause").await["state"], "paused");
    until_held_back(&one).await;
    one.publish(EVENTS).await;
    assert_eq!((one.arrived(), one.pending().await), (EVENTS, 0));
    assert_eq!(one.ask("resume").await["state"], "active");
    one.until_arrived(2 * EVENTS).await;
    one.until_nothing_is_left().await;
    assert_eq!(one.receiver.duplicates(), 0);
    // And what comes then arrives as it comes.
    one.publish(EVENTS).await;
    one.until_arrived(3 * EVENTS).await;
}

#[tokio::test]
async fn a_pause_outlasts_the_processor() {
    let one = One::with(json!({})).await;
    let processor = one.processor();
    one.publish(EVENTS).await;
    one.ask("pause").await;
    until_held_back(&one).await;
    processor.kill();
    one.publish(EVENTS).await;
    let before = one.arrived();
    let processor = one.processor();
    until("what is paused passes by", async || {
        one.stage.passed().await == 2 * EVENTS
    })
    .await;
    assert_eq!((one.arrived(), one.pending().await), (before, 0));
    processor.kill();
    one.ask("resume").await;
    let _processor = one.processor();
    one.until_arrived(2 * EVENTS).await;
    one.until_nothing_is_left().await;
}

#[tokio::test]
async fn one_that_was_disabled_by_a_410_gets_the_rest_after_a_probe() {
    let one = One::with(json!({})).await;
    let _processor = one.processor();
    one.receiver.answer(410);
    one.publish(1).await;
    until("it is disabled", async || {
        one.shown().await["state"] == "disabled"
    })
    .await;
    until_held_back(&one).await;
    one.receiver.answer(200);
    one.publish(EVENTS).await;
    assert_eq!((one.arrived(), one.pending().await), (0, 0));
    let enabled = one.ask("enable").await;
    assert_eq!(
        (&enabled["state"], &enabled["circuit"]["state"]),
        (&json!("active"), &json!("open"))
    );
    // The one that was answered with 410 is dead.
    one.until_arrived(EVENTS).await;
    one.until_nothing_is_left().await;
    assert_eq!(one.stage.dead_letters().await.len(), 1);
}
