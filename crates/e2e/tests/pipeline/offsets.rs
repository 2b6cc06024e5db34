//! Offsets that somebody else moved: an operator, who deleted the topic or reset the group, or
//! retention.

use e2e::receiver::Receiver;
use e2e::stage::{PARTITIONS, Stage, until};

use crate::unusual::event;

/// How many events are published at a time, all to one partition.
const SOME: i64 = 20;

/// A stage whose receiver has had the first events.
async fn read_once() -> (Stage, Receiver) {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    stage.subscribe("all", &format!("{}/a", receiver.url)).await;
    publish(&stage, SOME);
    let processor = stage.processor(&[]);
    until_arrived(&receiver, SOME).await;
    assert!(processor.stop().await.success());
    (stage, receiver)
}

fn publish(stage: &Stage, events: i64) {
    let events: Vec<_> = (0..events).map(|_| event("Oslo", 0)).collect();
    stage.broker.publish(&events);
}

async fn until_arrived(receiver: &Receiver, events: i64) {
    until("events arrive", async || distinct(receiver) == events).await;
}

fn distinct(receiver: &Receiver) -> i64 {
    i64::try_from(receiver.distinct("a")).unwrap()
}

#[tokio::test]
async fn a_reset_of_the_group_is_followed_once() {
    let (stage, receiver) = read_once().await;
    let back = SOME / 2;
    stage.broker.reset_group_to(SOME - back);
    let processor = stage.processor(&[]);
    let repeated = usize::try_from(back).unwrap();
    until("they come again", async || {
        receiver.duplicates() == repeated
    })
    .await;
    assert!(processor.stop().await.success());
    let _processor = stage.processor(&[]);
    publish(&stage, 1);
    until_arrived(&receiver, SOME + 1).await;
    assert_eq!(receiver.duplicates(), repeated);
}

#[tokio::test]
async fn a_reset_to_the_end_skips_what_was_not_read() {
    let (stage, receiver) = read_once().await;
    publish(&stage, SOME);
    stage.broker.reset_group_to(2 * SOME);
    let _processor = stage.processor(&[]);
    publish(&stage, 1);
    until_arrived(&receiver, SOME + 1).await;
    assert_eq!(receiver.duplicates(), 0);
}

#[tokio::test]
async fn a_topic_made_anew_is_read_from_its_start() {
    let (stage, receiver) = read_once().await;
    stage.broker.delete_topic().await;
    stage.broker.create_topic(PARTITIONS, &[]).await;
    publish(&stage, SOME / 2);
    let _processor = stage.processor(&[]);
    until_arrived(&receiver, SOME + SOME / 2).await;
    assert_eq!(receiver.duplicates(), 0);
}

#[tokio::test]
async fn a_topic_made_anew_while_it_is_read_is_read_from_its_start() {
    let (stage, receiver) = read_once().await;
    let processor = stage.processor(&[]);
    until("it is ready", async || processor.is_ready().await).await;
    stage.broker.delete_topic().await;
    stage.broker.create_topic(PARTITIONS, &[]).await;
    publish(&stage, SOME / 2);
    until_arrived(&receiver, SOME + SOME / 2).await;
    assert_eq!(receiver.duplicates(), 0);
}

#[tokio::test]
async fn what_retention_removed_unread_is_counted_and_stepped_over() {
    let (stage, receiver) = read_once().await;
    publish(&stage, SOME);
    let removed = SOME / 2;
    stage.broker.delete_records_before(SOME + removed).await;
    let processor = stage.processor(&[]);
    until_arrived(&receiver, 2 * SOME - removed).await;
    assert_eq!(receiver.duplicates(), 0);
    let missing = processor.metric("processor_missing_total").await;
    assert_eq!(missing, Some(10.0));
}
