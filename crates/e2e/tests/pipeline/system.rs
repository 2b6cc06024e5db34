//! What `system` says that it published is on the topic, and nothing else is.

use std::collections::{HashMap, HashSet};

use e2e::broker::Stored;
use e2e::stage::{Stage, until};
use serde_json::Value;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/temperatures.csv");

/// The number that it printed when it ended.
fn published(printed: &str) -> usize {
    let (published, failed) = printed.trim().split_once(", ").unwrap();
    assert_eq!(failed, "failed 0");
    published.trim_start_matches("published ").parse().unwrap()
}

/// The events, after a check that each is there once, under its city, in its city's partition.
fn events(stored: &[Stored]) -> Vec<Value> {
    let (mut ids, mut partitions) = (HashSet::new(), HashMap::new());
    let mut events = Vec::new();
    for record in stored {
        let event: Value = serde_json::from_slice(&record.value).unwrap();
        let city = event["city"].as_str().unwrap().to_owned();
        assert_eq!(record.key.as_ref(), Some(&city));
        let partition = *partitions.entry(city).or_insert(record.partition);
        assert_eq!(partition, record.partition);
        assert!(ids.insert(event["id"].to_string()));
        events.push(event);
    }
    events
}

#[tokio::test]
async fn so_many_events_as_were_asked_for_are_on_the_topic() {
    let stage = Stage::new().await;
    let printed = stage.system(500, 10_000).ended().await;
    assert_eq!(published(&printed), 500);
    let stored = stage.broker.stored();
    assert_eq!(events(&stored).len(), 500);
    let partitions: HashSet<_> = stored.iter().map(|record| record.partition).collect();
    assert!(partitions.len() > 1);
}

#[tokio::test]
async fn it_makes_the_topic_where_there_is_none() {
    let stage = Stage::without_topic().await;
    let flags = ["--count", "10", "--rate", "1000", "--partitions", "3"];
    let printed = stage.system_with(&flags).ended().await;
    assert_eq!(published(&printed), 10);
    assert_eq!(events(&stage.broker.stored()).len(), 10);
}

#[tokio::test]
async fn what_was_published_when_it_is_stopped_is_on_the_topic() {
    let stage = Stage::new().await;
    let system = stage.system_with(&["--rate", "20000"]);
    until("some are there", async || stage.broker.log_end(0) > 1000).await;
    let printed = system.stopped().await;
    assert_eq!(events(&stage.broker.stored()).len(), published(&printed));
}

#[tokio::test]
async fn a_recording_is_published_as_it_is_and_once() {
    let stage = Stage::new().await;
    let flags = ["--replay", RECORDING, "--rate", "100000"];
    let printed = stage.system_with(&flags).ended().await;
    let recorded = std::fs::read_to_string(RECORDING).unwrap();
    let recorded: Vec<&str> = recorded.lines().skip(1).collect();
    assert_eq!(published(&printed), recorded.len());
    let events = events(&stage.broker.stored());
    assert_eq!(events.len(), recorded.len());
    for city in recorded.iter().map(|row| city(row)).collect::<HashSet<_>>() {
        let there = events.iter().filter(|event| event["city"] == city);
        let rows = recorded.iter().filter(|row| self::city(row) == city);
        assert!(rows.copied().map(row).eq(there.map(row_of)), "{city}");
    }
}

fn city(row: &str) -> &str {
    row.split(',').nth(1).unwrap()
}

/// Time, reading and unit.
fn row(row: &str) -> (String, f64, String) {
    let fields: Vec<&str> = row.split(',').collect();
    let reading = fields[2].parse().unwrap();
    (fields[0].to_owned(), reading, fields[3].to_owned())
}

fn row_of(event: &Value) -> (String, f64, String) {
    let text = |name: &str| event[name].as_str().unwrap().to_owned();
    (
        text("timestamp"),
        event["reading"].as_f64().unwrap(),
        text("unit"),
    )
}
