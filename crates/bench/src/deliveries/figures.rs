//! What is measured of a case. Pure.

use serde::Serialize;

use super::case::Case;
use super::ceiling::Ceiling;
use super::costs::Drained;
use crate::figures::percentile_ms;

/// A case that was run once: figures, or how many deliveries never came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    /// Which.
    pub case: Case,
    /// Whether it was run with another build of the processor, to compare.
    pub before: bool,
    /// What came of it.
    #[serde(flatten)]
    pub result: Result,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    /// So many deliveries never came; nothing else is worth a figure then.
    Missing(usize),
    /// All came.
    Figures(Box<Figures>),
}

/// The figures of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How fast the topic was drained.
    pub drained: Drained,
    /// How late deliveries are at half of that.
    pub latency: Latency,
    /// What bare loops do.
    pub ceiling: Ceiling,
    /// Arrivals that were not the first of their delivery.
    pub duplicates: usize,
    /// The most memory that was ever resident in the processor.
    pub peak_memory_mib: u64,
}

/// How late deliveries are, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// At so many deliveries a second.
    pub at_per_second: u64,
    /// How much of the machine's processor time all others had meanwhile, in percent.
    pub others_percent: Option<f64>,
    /// From the broker's acknowledgement.
    pub since_acknowledged_ms: Percentiles,
    /// From when the event was due to be published, which no stage that stands still can hide.
    pub since_due_ms: Percentiles,
}

/// Of so many of all deliveries none was later than that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Of half of them.
    pub p50: f64,
    /// Of 99 %.
    pub p99: f64,
    /// Of 99.9 %.
    pub p999: f64,
}

impl Percentiles {
    /// Of latencies in microseconds, sorted.
    pub fn of(sorted: &[u64]) -> Self {
        // Those later than 99.9 %, but for one, are a thousandth.
        let p999 = sorted.len().saturating_sub(sorted.len() / 1000 + 1);
        let p999 = sorted.get(p999).copied().unwrap_or_default();
        Self {
            p50: percentile_ms(sorted, 50),
            p99: percentile_ms(sorted, 99),
            p999: percentile_ms(&[p999], 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thousand_one_is_later_than_p999() {
        let sorted: Vec<u64> = (1..=1000).map(|n| n * 1000).collect();
        let percentiles = Percentiles::of(&sorted);
        for (ms, expected) in [
            (percentiles.p50, 500.0),
            (percentiles.p99, 990.0),
            (percentiles.p999, 999.0),
        ] {
            assert!((ms - expected).abs() < 1e-9);
        }
    }
}
