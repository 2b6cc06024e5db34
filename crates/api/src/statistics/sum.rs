//! Cells added up, and what they say: counts, shares, and how long things took. Pure.

use common::statistics::{Key, RECEIVED, Timing};
use common::store::statistics::Row;
use serde::Serialize;
use utoipa::ToSchema;

/// What some cells count together.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    pub events: u64,
    pub attempts: u64,
    pub delivered: u64,
    pub failed: u64,
    pub retried: u64,
    pub dead_lettered: u64,
    pub parked: u64,
    pub postponed: u64,
    pub expired: u64,
    pub superseded: u64,
    pub latency: Timing,
    pub delay: Timing,
}

/// How long some things took, in milliseconds. Each quantile is off by 9.1 % at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Times {
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Sum {
    /// All of those rows.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut sum = Self::default();
        rows.into_iter().for_each(|row| sum.add(row));
        sum
    }

    /// Adds a row.
    pub fn add(&mut self, row: &Row) {
        let Row { key, cell, .. } = row;
        if let Some(outcome) = self.outcome(key) {
            *outcome += cell.count;
        }
        self.attempts += cell.attempts;
        if !key.failure.is_empty() {
            self.failed += cell.attempts;
        }
        self.latency.merge(&cell.latency);
        self.delay.merge(&cell.delay);
    }

    fn outcome(&mut self, key: &Key) -> Option<&mut u64> {
        match &*key.outcome {
            RECEIVED => Some(&mut self.events),
            "delivered" => Some(&mut self.delivered),
            "retry" => Some(&mut self.retried),
            "dead_lettered" => Some(&mut self.dead_lettered),
            "parked" => Some(&mut self.parked),
            "postponed" => Some(&mut self.postponed),
            "expired" => Some(&mut self.expired),
            "superseded" => Some(&mut self.superseded),
            // Its subscription was deleted.
            _ => None,
        }
    }

    /// Of the attempts, how many delivered; `None` where none was made.
    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub fn success_share(&self) -> Option<f64> {
        let delivered = self.attempts.saturating_sub(self.failed);
        (self.attempts > 0).then(|| delivered as f64 / self.attempts as f64)
    }
}

/// So many a second.
#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub fn rate(count: u64, seconds: f64) -> f64 {
    rounded(count as f64 / seconds)
}

/// What was timed, in milliseconds; `None` of nothing.
pub fn times(timing: &Timing) -> Option<Times> {
    Some(Times {
        mean: milliseconds(timing.mean()?),
        p50: quantile(timing, 0.5)?,
        p95: quantile(timing, 0.95)?,
        p99: quantile(timing, 0.99)?,
    })
}

/// The quantile in milliseconds.
pub fn quantile(timing: &Timing, q: f64) -> Option<f64> {
    timing.histogram.quantile(q).map(milliseconds)
}

/// Of microseconds.
pub fn milliseconds(time_us: f64) -> f64 {
    rounded(time_us / 1000.0)
}

/// To thousandths: nobody reads more.
fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use common::statistics::{Cell, Family};

    use super::*;

    fn row(outcome: &str, failure: &str, count: u64, attempts: u64) -> Row {
        let mut cell = Cell {
            count,
            attempts,
            ..Cell::default()
        };
        (0..attempts).for_each(|_| cell.latency.record(10_000));
        Row {
            at: DateTime::UNIX_EPOCH,
            key: Key {
                family: Family::All,
                key: String::new(),
                outcome: outcome.into(),
                failure: failure.into(),
            },
            cell,
        }
    }

    #[test]
    fn outcomes_and_attempts_are_added_up_beside_each_other() {
        let sum = Sum::of(&[
            row("received", "", 9, 0),
            row("delivered", "", 6, 6),
            row("retry", "timeout", 3, 3),
            row("dead_lettered", "http_5xx", 1, 1),
            row("parked", "", 2, 0),
            row("expired", "", 4, 0),
        ]);
        assert_eq!((sum.events, sum.attempts, sum.delivered), (9, 10, 6));
        assert_eq!((sum.failed, sum.retried, sum.dead_lettered), (4, 3, 1));
        assert_eq!((sum.parked, sum.expired, sum.superseded), (2, 4, 0));
        assert_eq!(sum.success_share(), Some(0.6));
        let times = times(&sum.latency).expect("attempts were made");
        assert!((times.mean - 10.0).abs() < 1e-9 && (times.p99 / 10.0 - 1.0).abs() < 0.091);
        assert_eq!(Sum::default().success_share(), None);
    }
}
