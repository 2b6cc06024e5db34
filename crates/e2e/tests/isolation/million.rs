//! A million events for a receiver that is dead.

use e2e::receiver::Receiver;
use e2e::stage::{PARTITIONS, Stage, until};

use crate::two::MOST_PENDING;

const EVENTS: usize = 1_000_000;

/// As fast as it can.
const RATE: usize = 100_000;

/// What the program may take more at the end than at the beginning: less than a hundredth of what
/// the events are in memory.
const GROWTH: usize = 96 * 1024 * 1024;

#[tokio::test]
async fn a_dead_receiver_for_a_million_events_leaves_a_row_a_partition_and_no_memory() {
    let (stage, dead) = (Stage::new().await, Receiver::new().await);
    stage.subscribe("dead", &format!("{}/a", dead.url)).await;
    dead.answer(503);
    let processor = stage.processor(&[]);
    stage.system(1000, RATE).ended().await;
    let detached = async || {
        let sql = "SELECT count(*) FROM cursors WHERE end_offset IS NULL";
        stage.count(sql).await == i64::from(PARTITIONS)
    };
    until("it is detached", detached).await;
    let before = processor.peak_memory();
    stage.system(EVENTS, RATE).ended().await;
    until("all events were passed", async || {
        let passed = "SELECT COALESCE(sum(next_offset), 0)::bigint FROM progress";
        usize::try_from(stage.count(passed).await).unwrap() >= EVENTS + 1000
    })
    .await;
    assert_eq!(
        stage.count("SELECT count(*) FROM cursors").await,
        i64::from(PARTITIONS)
    );
    assert!(stage.count("SELECT count(*) FROM pending_deliveries").await <= MOST_PENDING);
    assert_eq!(stage.count("SELECT count(*) FROM dead_letters").await, 0);
    let grown = processor.peak_memory().saturating_sub(before);
    assert!(grown <= GROWTH, "{} MiB", grown / 1024 / 1024);
}
