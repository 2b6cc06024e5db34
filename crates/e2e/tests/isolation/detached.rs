//! A receiver that fails takes its subscription off the log, at the price of a row a partition;
//! when it is well again it gets everything, whoever was killed meanwhile.

use e2e::load::PER_KILL;
use e2e::stage::PARTITIONS;

use crate::two::{EVENTS, MOST_PENDING, Two};

#[tokio::test]
async fn a_dead_receiver_leaves_a_row_a_partition_and_gets_everything_later() {
    let two = Two::new().await;
    two.ill.answer(503);
    let _processor = two.processor();
    two.publish().ended().await;
    two.until_well_has_all().await;
    two.until_detached().await;
    assert!(two.pending().await <= MOST_PENDING);
    two.ill.answer(200);
    two.until_all_is_well().await;
    assert_eq!(two.well.duplicates(), 0);
    // Its lane may have had as many in flight when it was detached, each time.
    assert!(two.ill.duplicates() <= 64, "{}", two.ill.duplicates());
}

#[tokio::test]
async fn a_receiver_that_hangs_costs_the_other_nothing() {
    let two = Two::new().await;
    two.ill.hang(true);
    let settings = [
        ("ATTEMPT_TIMEOUT", "2s"),
        ("RETRY_SCHEDULE", "1s,1s,1s,1s,1s,1s,1s,1s"),
    ];
    let _processor = two.stage.processor(&settings);
    two.publish().ended().await;
    two.until_well_has_all().await;
    two.until_detached().await;
    assert!(two.pending().await <= MOST_PENDING);
    two.ill.hang(false);
    two.until_all_is_well().await;
}

#[tokio::test]
async fn killed_while_it_is_detached_and_while_it_catches_up_nothing_is_missing() {
    let two = Two::new().await;
    two.ill.answer(503);
    let processor = two.processor();
    two.publish().ended().await;
    two.until_detached().await;
    processor.kill();
    // The next owner knows of it from the tables alone.
    let processor = two.processor();
    two.until_well_has_all().await;
    assert_eq!(two.detached().await, i64::from(PARTITIONS));
    two.ill.delay(std::time::Duration::from_millis(5));
    two.ill.answer(200);
    e2e::stage::until("it catches up", async || two.ill.distinct("a") > EVENTS / 8).await;
    processor.kill();
    let processor = two.processor();
    e2e::stage::until("it goes on", async || two.ill.distinct("a") > EVENTS / 2).await;
    processor.kill();
    let _processor = two.processor();
    two.until_all_is_well().await;
    assert!(
        two.ill.duplicates() <= 3 * PER_KILL,
        "{}",
        two.ill.duplicates()
    );
}

#[tokio::test]
async fn two_replicas_agree_on_who_is_detached() {
    let two = Two::new().await;
    two.ill.answer(503);
    let (first, _second) = (two.processor(), two.processor());
    e2e::stage::until("both own partitions", async || {
        two.stage.owners().await == 2
    })
    .await;
    two.publish().ended().await;
    two.until_well_has_all().await;
    two.until_detached().await;
    first.kill();
    two.ill.answer(200);
    two.until_all_is_well().await;
}

#[tokio::test]
async fn what_was_in_flight_when_it_was_detached_arrives_after_a_kill() {
    let two = Two::new().await;
    two.ill.hang(true);
    let processor = two.processor();
    two.publish().ended().await;
    two.until_detached().await;
    assert!(two.ill.hung() > 0);
    processor.kill();
    two.ill.hang(false);
    let _processor = two.processor();
    two.until_all_is_well().await;
}
