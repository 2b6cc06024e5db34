//! The metrics that each delivery moves, looked up once: finding a metric by its name and labels
//! takes a map, a hash and often an allocation, several times a delivery.

use chrono::Utc;
use metrics::{Counter, Histogram, counter, histogram};
use outbound::{Attempt, Verdict};

use crate::delivery::Delivery;
use crate::event::Kind;
use crate::observe;

/// What the engine counts of attempts.
pub struct Meters {
    events: Counter,
    attempts: ByLabel,
    connections: ByLabel,
    attempt_seconds: Histogram,
    delivery_seconds: Histogram,
    publish_to_delivered: Histogram,
}

impl Meters {
    /// Those of the recorder that is installed by now, for the pipeline of `kind`.
    pub fn of_installed(kind: Kind) -> Self {
        Self {
            events: counter!(observe::EVENTS, "pipeline" => kind.label()),
            attempts: ByLabel::new(observe::ATTEMPTS, "verdict"),
            connections: ByLabel::new(observe::CONNECTIONS, "use"),
            attempt_seconds: histogram!(observe::ATTEMPT_SECONDS),
            delivery_seconds: histogram!(observe::DELIVERY_SECONDS),
            publish_to_delivered: histogram!(observe::PUBLISH_TO_DELIVERED),
        }
    }

    /// A record was taken from the topic.
    pub fn count_event(&self) {
        self.events.increment(1);
    }

    /// An attempt ended.
    pub fn observe(&mut self, delivery: &Delivery, attempt: &Attempt) {
        self.attempts.count(attempt.verdict.label());
        self.attempt_seconds.record(attempt.latency);
        if attempt.connection.is_some() {
            let used = if attempt.reused { "reused" } else { "opened" };
            self.connections.count(used);
        }
        if attempt.verdict == Verdict::Delivered {
            self.observe_delivered(delivery);
        }
    }

    fn observe_delivered(&self, delivery: &Delivery) {
        if delivery.attempts == 0 {
            self.delivery_seconds.record(delivery.queued_at.elapsed());
        }
        if let Some(published_at) = delivery.event.published_at {
            // Where the broker's clock is ahead of ours, it was at once.
            let passed = (Utc::now() - published_at).to_std().unwrap_or_default();
            self.publish_to_delivered.record(passed);
        }
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

/// A counter for each value of a label, of which there are few: one that has not been counted is
/// not told of.
pub struct ByLabel {
    name: &'static str,
    label: &'static str,
    counters: Vec<(&'static str, Counter)>,
}

impl ByLabel {
    pub fn new(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            counters: Vec::new(),
        }
    }

    pub fn count(&mut self, value: &'static str) {
        let known = self.counters.iter().position(|(of, _)| *of == value);
        let at = known.unwrap_or_else(|| {
            let counter = counter!(self.name, self.label => value);
            self.counters.push((value, counter));
            self.counters.len() - 1
        });
        self.counters[at].1.increment(1);
    }
}

impl std::fmt::Debug for ByLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByLabel")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
