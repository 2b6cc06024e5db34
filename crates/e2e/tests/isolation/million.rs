//! A million events for a receiver that is dead.

use e2e::receiver::Receiver;
use e2e::stage::{PARTITIONS, Stage, until};

use crate::two::MOST_PENDING;

const EVENTS: usize = 1_000_000;

/// As fast as it can.
const RATE: usize = 100_000;

const MIB: usize = 1024 * 1024;
const BUDGET: usize = 64 * MIB;

/// What the program takes besides.
const BESIDES: usize = 150 * MIB;

#[tokio::test]
async fn a_dead_receiver_for_a_million_events_leaves_a_row_a_partition_and_no_memory() {
    let (stage, dead) = (Stage::new().await, Receiver::new().await);
    stage.subscribe("dead", &format!("{}/a", dead.url)).await;
    dead.answer(503);
    let budget = BUDGET.to_string();
    let processor = stage.processor(&[("MEMORY_BUDGET", &budget)]);
    stage.system(1000, RATE).ended().await;
    let detached = async || {
        let sql = "SELECT count(*) FROM cursors WHERE end_offset IS NULL";
        stage.count(sql).await == i64::from(PARTITIONS)
    };
    until("it is detached", detached).await;
    stage.system(EVENTS, RATE).ended().await;
    until("all events were passed", async || {
        stage.passed().await >= EVENTS + 1000
    })
    .await;
    assert_eq!(
        stage.count("SELECT count(*) FROM cursors").await,
        i64::from(PARTITIONS)
    );
    assert!(stage.count("SELECT count(*) FROM pending_deliveries").await <= MOST_PENDING);
    assert_eq!(stage.count("SELECT count(*) FROM dead_letters").await, 0);
    until("nothing of it is held", async || {
        processor.metric("processor_budget_bytes").await == Some(0.0)
    })
    .await;
    let peak = processor.peak_memory();
    assert!(peak <= BUDGET + BESIDES, "{} MiB", peak / MIB);
}
