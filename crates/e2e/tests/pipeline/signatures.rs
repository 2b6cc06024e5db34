//! Deliveries are signed, with the old and the new secret while one is exchanged for the other.

use e2e::program::Program;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const EVENTS: usize = 10;

/// Publishes to whoever is subscribed, by a processor that knows all that was changed before.
async fn deliver(stage: &Stage) -> Program {
    let processor = stage.processor(&[("RETRY_SCHEDULE", "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s")]);
    stage.system(EVENTS, 100).ended().await;
    processor
}

async fn until_received(webhook: &Program, events: usize) {
    until("it has all", async || {
        webhook.received().await["distinct"] == json!(events)
    })
    .await;
}

/// What a receiver verifies with after that: the new secret, or the new public key.
async fn rotate(stage: &Stage, id: &str, rotation: &Value) -> String {
    let path = format!("/subscriptions/{id}/secret/rotate");
    let rotated = stage.post(&path, rotation).await;
    let key = rotated["signing_secret"].as_str();
    let key = key.or(rotated["public_key"].as_str());
    key.unwrap().to_owned()
}

async fn point_to(stage: &Stage, id: &str, webhook: &Program) {
    let path = format!("/subscriptions/{id}");
    stage.patch(&path, &json!({"url": webhook.url()})).await;
}

#[tokio::test]
async fn a_processor_without_the_keys_holds_back_what_it_cannot_sign_and_loses_nothing() {
    let stage = Stage::new().await;
    let webhook = stage.webhook(FIRST).await;
    let new = json!({"name": "a", "url": webhook.url(), "signing_secret": FIRST});
    stage.post("/subscriptions", &new).await;
    let processor = stage.processor(&[stage.without_its_keys()]);
    stage.system(EVENTS, 100).ended().await;
    until("all of it passes by", async || {
        stage.passed().await == EVENTS
    })
    .await;
    assert!(processor.stop().await.success());
    assert_eq!(webhook.received().await["distinct"], json!(0));
    let _processor = stage.processor(&[]);
    until_received(&webhook, EVENTS).await;
}

#[tokio::test]
async fn both_secrets_sign_until_the_grace_period_is_over_and_then_only_the_new_one() {
    rotated("hmac_sha256").await;
}

#[tokio::test]
async fn a_secret_can_be_exchanged_for_a_key_pair_and_that_for_another() {
    rotated("ed25519").await;
}

/// From a secret to a key of that algorithm, within a grace period, and to another without one.
async fn rotated(algorithm: &str) {
    let stage = Stage::new().await;
    let first = stage.webhook(FIRST).await;
    let new = json!({"name": "a", "url": first.url(), "signing_secret": FIRST});
    let made: Value = stage.post("/subscriptions", &new).await;
    let id = made["id"].as_str().unwrap();
    let processor = deliver(&stage).await;
    until_received(&first, EVENTS).await;
    assert!(processor.stop().await.success());

    let to_algorithm = json!({"grace_period": "1h", "signing_algorithm": algorithm});
    let second = stage
        .webhook(&rotate(&stage, id, &to_algorithm).await)
        .await;
    for (webhook, events) in [(&second, EVENTS), (&first, 2 * EVENTS)] {
        point_to(&stage, id, webhook).await;
        let processor = deliver(&stage).await;
        until_received(webhook, events).await;
        assert_eq!(webhook.received().await["refused"], json!(0));
        assert!(processor.stop().await.success());
    }

    let at_once = json!({"grace_period": "0s"});
    let third = stage.webhook(&rotate(&stage, id, &at_once).await).await;
    let _processor = deliver(&stage).await;
    until("the old secret is no use any more", async || {
        first.received().await["refused"].as_u64() >= Some(EVENTS as u64)
    })
    .await;
    assert_eq!(first.received().await["distinct"], json!(2 * EVENTS));
    point_to(&stage, id, &third).await;
    until_received(&third, EVENTS).await;
}
