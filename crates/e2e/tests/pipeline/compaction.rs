//! A compacted topic: most of its offsets are missing.

use std::collections::HashSet;

use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};

use crate::unusual::event;

/// A broker that compacts as soon and as much as it can.
const COMPACTED: [(&str, &str); 5] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "100"),
    ("min.cleanable.dirty.ratio", "0.001"),
    ("max.compaction.lag.ms", "100"),
    ("delete.retention.ms", "100"),
];

const CITIES: [&str; 4] = ["Oslo", "Rome", "Lima", "Tokyo"];

const PROGRESS: &str = "SELECT COALESCE(max(next_offset), 0) FROM progress";

/// How often each city is published before it is compacted.
const ROUNDS: usize = 10;

/// Publishes every city some times, and until the broker has removed most of that.
async fn compacted(stage: &Stage) {
    let broker = &stage.broker;
    broker.create_topic(1, &COMPACTED).await;
    for _ in 0..ROUNDS {
        for city in CITIES {
            broker.publish_keyed(city, &event(city, 0));
        }
    }
    until("the log is compacted", async || {
        // A segment is closed, and may be compacted, when a record comes after its time.
        broker.publish_keyed("Tick", &event("Tick", 0));
        let first = broker.stored();
        let cities = first.iter().filter(|at| at.key.as_deref() != Some("Tick"));
        cities.count() == CITIES.len()
    })
    .await;
}

#[tokio::test]
async fn gaps_that_compaction_leaves_in_the_log_hold_nothing_up() {
    let (stage, receiver) = (Stage::without_topic().await, Receiver::new().await);
    stage.subscribe("all", &format!("{}/a", receiver.url)).await;
    compacted(&stage).await;
    let processor = stage.processor(&[]);
    let end = stage.broker.log_end(0);
    until("progress passes the gaps", async || {
        stage.count(PROGRESS).await == end
    })
    .await;
    let bodies: HashSet<_> = receiver.bodies("a").into_iter().collect();
    for city in CITIES {
        assert!(bodies.contains(&*event(city, 0)), "{city}");
    }
    assert!(processor.stop().await.success());
    let before = receiver.distinct("a");
    let _processor = stage.processor(&[]);
    stage.broker.publish_keyed("Oslo", &event("Oslo", 0));
    until("what comes next arrives", async || {
        receiver.distinct("a") == before + 1
    })
    .await;
    assert_eq!(receiver.duplicates(), 0);
}
