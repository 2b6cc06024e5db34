//! Programs that are killed or stopped while load runs: nothing is missing, and no more is sent
//! twice than what was in flight and in one flush.

use e2e::load::{EVENTS, Load, PER_KILL};
use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};

/// So few that their failures do not open a circuit.
const FEW: usize = 6;

#[tokio::test]
async fn a_processor_killed_twice_under_load_loses_nothing() {
    let load = Load::of(EVENTS).await;
    let stage = &load.stage;
    let system = load.publish();
    for least in [EVENTS / 4, EVENTS / 2] {
        let processor = stage.processor(&[]);
        load.until_arrived(least).await;
        processor.kill();
    }
    let _processor = stage.processor(&[]);
    system.ended().await;
    load.all_arrived().await;
    load.repeated_at_most(2 * PER_KILL);
}

#[tokio::test]
async fn one_of_two_replicas_killed_under_load_loses_nothing() {
    let load = Load::of(EVENTS).await;
    let stage = &load.stage;
    let first = stage.processor(&[]);
    let system = load.publish();
    load.until_arrived(EVENTS / 8).await;
    let _second = stage.processor(&[]);
    until("both own partitions", async || stage.owners().await == 2).await;
    first.kill();
    system.ended().await;
    load.all_arrived().await;
    // The rebalance waits for what is in flight and repeats nothing; the kill may.
    load.repeated_at_most(PER_KILL);
}

#[tokio::test]
async fn a_processor_stopped_under_load_neither_loses_nor_repeats() {
    let load = Load::of(EVENTS).await;
    let stage = &load.stage;
    let system = load.publish();
    let processor = stage.processor(&[]);
    load.until_arrived(EVENTS / 4).await;
    assert!(processor.stop().await.success());
    let _processor = stage.processor(&[]);
    system.ended().await;
    load.all_arrived().await;
    load.repeated_at_most(0);
}

#[tokio::test]
async fn a_delivery_whose_retries_are_used_up_is_dead_and_arrives_when_reprocessed() {
    let (stage, down) = (Stage::new().await, Receiver::new().await);
    let well = Receiver::new().await;
    let id = stage.subscribe("down", &format!("{}/a", down.url)).await;
    stage.subscribe("well", &format!("{}/b", well.url)).await;
    down.answer(503);
    let _processor =
        stage.processor(&[("RETRY_SCHEDULE", "100ms,100ms"), ("PENDING_POLL", "100ms")]);
    stage.system(FEW, 1000).ended().await;
    until("all are dead", async || {
        stage.dead_letters().await.len() == FEW
    })
    .await;
    let dead = stage.dead_letters().await;
    for letter in &dead {
        assert_eq!(letter["subscription_id"], json!(id));
        assert_eq!(letter["reason"], json!("exhausted"));
        assert_eq!(letter["attempts"], json!(3));
        assert_eq!(letter["last_status"], json!(503));
    }
    down.answer(200);
    let ids: Vec<Value> = dead.iter().map(|letter| letter["id"].clone()).collect();
    let answer = stage.post("/dlqs", &json!({"dlqs": ids})).await;
    assert_eq!(answer["requeued"], json!(ids));
    until("they arrive", async || down.distinct("a") == FEW).await;
    // For the subscription that failed, and never for the others.
    assert_eq!(well.distinct("b"), FEW);
    assert_eq!(down.duplicates() + well.duplicates(), 0);
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_subscription() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    let id = stage
        .subscribe("gone", &format!("{}/a", receiver.url))
        .await;
    receiver.answer(410);
    let _processor = stage.processor(&[]);
    stage.system(1, 1000).ended().await;
    until("it is disabled", async || {
        stage.get(&format!("/subscriptions/{id}")).await["state"] == json!("disabled")
    })
    .await;
    let dead = stage.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["reason"], json!("gone"));
}

#[tokio::test]
async fn what_a_killed_processor_held_under_lease_is_sent_by_the_next() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    stage.subscribe("all", &format!("{}/a", receiver.url)).await;
    receiver.answer(503);
    let settings = [("RETRY_SCHEDULE", "1s,1s,1s"), ("LEASE", "20s")];
    let processor = stage.processor(&settings);
    stage.system(2, 1000).ended().await;
    until("all wait", async || {
        stage.count("SELECT count(*) FROM pending_deliveries").await == 2
    })
    .await;
    receiver.hang(true);
    until("the retries are in flight", async || receiver.hung() == 2).await;
    let held = stage.count("SELECT count(*) FROM pending_deliveries WHERE lease IS NOT NULL");
    assert_eq!(held.await, 2);
    processor.kill();
    receiver.answer(200);
    receiver.hang(false);
    let _processor = stage.processor(&settings);
    until("they arrive", async || receiver.distinct("a") == 2).await;
    assert_eq!(receiver.duplicates(), 0);
}

#[tokio::test]
async fn an_old_owner_that_is_still_alive_writes_nothing_more() {
    let load = Load::of(EVENTS).await;
    let stage = &load.stage;
    let old = stage.processor(&[]);
    let system = load.publish();
    load.until_arrived(EVENTS / 8).await;
    // Stopped for longer than its session, it wakes up and believes it owns what another has.
    old.pause();
    let _new = stage.processor(&[]);
    stage.until_taken_over().await;
    old.resume();
    system.ended().await;
    load.all_arrived().await;
    load.repeated_at_most(PER_KILL);
}
