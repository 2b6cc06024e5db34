//! One cell: how many, and how long they took. Cells are added to each other in any order.

use super::Histogram;

/// How long some things took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// All of them together, in microseconds.
    pub sum_us: u64,
    /// Each of them.
    pub histogram: Histogram,
}

impl Timing {
    /// Counts a time, in microseconds.
    pub fn record(&mut self, time_us: u64) {
        self.sum_us = self.sum_us.saturating_add(time_us);
        self.histogram.record(time_us);
    }

    /// Adds all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
        self.histogram.merge(&other.histogram);
    }

    /// On average, in microseconds; `None` of nothing.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub fn mean(&self) -> Option<f64> {
        let count = self.histogram.count();
        (count > 0).then(|| self.sum_us as f64 / count as f64)
    }
}

/// Deliveries that had the same outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// How many.
    pub count: u64,
    /// How many attempts were made for it.
    pub attempts: u64,
    /// How long receivers took to answer; one an attempt.
    pub latency: Timing,
    /// From publishing the event to the end of the attempt that delivered it.
    pub delay: Timing,
}

impl Cell {
    /// Adds all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.latency.merge(&other.latency);
        self.delay.merge(&other.delay);
    }
}
