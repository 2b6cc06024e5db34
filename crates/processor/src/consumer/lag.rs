//! How far behind the consumer is, as its client knows without asking the broker.

use std::collections::HashMap;

use metrics::gauge;
use rdkafka::Statistics;

use crate::observe;

/// How often the client says what it knows, in milliseconds.
pub const INTERVAL_MS: &str = "5000";

/// Tells of each partition that is owned, by where it was read from when it came.
pub fn observe(topic: &str, starts: &HashMap<i32, i64>, statistics: &Statistics) {
    let Some(known) = statistics.topics.get(topic) else {
        return;
    };
    for (partition, start) in starts {
        let Some(known) = known.partitions.get(partition) else {
            continue;
        };
        let settled = known.committed_offset.max(*start);
        let set = |name, until: i64| {
            // Fewer than 2^53; where the client does not know yet, it is negative.
            #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
            let events = (until - settled).max(0) as f64;
            let labels = [
                ("topic", topic.to_owned()),
                ("partition", partition.to_string()),
            ];
            gauge!(name, &labels).set(events);
        };
        set(observe::LAG, known.hi_offset);
        set(observe::UNSETTLED, known.app_offset);
    }
}

/// Says of partitions that went that nothing of them is ours to do.
pub fn forget(topic: &str, partitions: &[i32]) {
    for partition in partitions {
        let labels = [
            ("topic", topic.to_owned()),
            ("partition", partition.to_string()),
        ];
        gauge!(observe::LAG, &labels).set(0.0);
        gauge!(observe::UNSETTLED, &labels).set(0.0);
    }
}
