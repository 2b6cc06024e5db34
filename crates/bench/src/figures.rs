//! What a case's arrivals say: whether all came, how often, and how late. Pure.
//!
//! Late is counted from when an event was meant to be published, not from when it was: a stage that
//! stands still delays what comes after it, and that counts.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A delivery is in time when it arrives before its subscription's next event is due.
pub const IN_TIME: Duration = Duration::from_secs(1);

/// What arrived at the healthy receivers: the event's number, and when, in microseconds since the
/// Unix epoch.
pub type Arrivals = Vec<(u64, u64)>;

/// The events of a case, by their numbers.
#[derive(Clone, Copy, Debug)]
pub struct Timetable {
    /// When the first event was due, in microseconds since the Unix epoch.
    pub began_at: u64,
    /// Events a second.
    pub rate: u64,
    /// The first event that is measured.
    pub measured_from: u64,
    /// How many there were.
    pub events: u64,
}

impl Timetable {
    /// When an event was due.
    pub fn due_at(&self, event: u64) -> u64 {
        self.began_at + event * 1_000_000 / self.rate
    }
}

/// The figures of the healthy receivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Healthy {
    /// Of what was measured, in percent.
    pub in_time_percent: f64,
    /// Of what was measured.
    pub late: Late,
    /// Arrivals that were not the first of their event, over the whole case.
    pub duplicates: usize,
}

/// What becomes of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// So many deliveries to healthy receivers never came; nothing else is worth a figure.
    Missing(usize),
    /// All came.
    Complete(Healthy),
}

impl Judged {
    /// How many never came.
    pub const fn missing(&self) -> usize {
        match self {
            Self::Missing(count) => *count,
            Self::Complete(_) => 0,
        }
    }
}

/// Judges a case, and gives its latencies in microseconds. `healthy` says whether an event is for a
/// healthy receiver.
pub fn judge(
    arrivals: &Arrivals,
    timetable: &Timetable,
    healthy: impl Fn(u64) -> bool,
) -> (Judged, Vec<u64>) {
    let mut first: HashMap<u64, u64> = HashMap::new();
    for &(event, at) in arrivals {
        let earliest = first.entry(event).or_insert(at);
        *earliest = at.min(*earliest);
    }
    let due: Vec<u64> = (0..timetable.events).filter(|n| healthy(*n)).collect();
    let missing = due.iter().filter(|n| !first.contains_key(n)).count();
    if missing > 0 {
        return (Judged::Missing(missing), Vec::new());
    }
    let measured = due.iter().filter(|n| **n >= timetable.measured_from);
    let mut late: Vec<u64> = measured
        .map(|n| first[n].saturating_sub(timetable.due_at(*n)))
        .collect();
    late.sort_unstable();
    let in_time = late.partition_point(|late| u128::from(*late) <= IN_TIME.as_micros());
    let healthy = Healthy {
        in_time_percent: percent(in_time, late.len()),
        late: Late::of(&late),
        duplicates: arrivals.len() - first.len(),
    };
    (Judged::Complete(healthy), late)
}

/// How late a case's deliveries were, in microseconds, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// From when their events were due.
    pub late: Vec<u64>,
    /// From when the broker acknowledged their events; 0 where they arrived before that.
    pub acknowledged: Vec<u64>,
}

/// How long after the broker's acknowledgement deliveries to healthy receivers arrived, in
/// microseconds, sorted, by when each event was acknowledged.
pub fn after_acknowledgement(
    arrivals: &Arrivals,
    timetable: &Timetable,
    acknowledged: impl Fn(u64) -> Option<u64>,
    healthy: impl Fn(u64) -> bool,
) -> Vec<u64> {
    let measured = timetable.measured_from..timetable.events;
    let mut seen = HashSet::new();
    let first = arrivals
        .iter()
        .filter(|(event, _)| measured.contains(event) && healthy(*event) && seen.insert(*event));
    let mut after: Vec<u64> = first
        .filter_map(|(event, at)| {
            let acknowledged = acknowledged(*event)?;
            Some(at.saturating_sub(acknowledged))
        })
        .collect();
    after.sort_unstable();
    after
}

/// How late deliveries were.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Late {
    /// Half of them were not later.
    pub p50_ms: f64,
    /// Nor were 99 % of them later than this.
    pub p99_ms: f64,
}

impl Late {
    /// Of latencies in microseconds, sorted.
    pub fn of(sorted: &[u64]) -> Self {
        Self {
            p50_ms: percentile_ms(sorted, 50),
            p99_ms: percentile_ms(sorted, 99),
        }
    }
}

/// The smallest of the sorted numbers that so many percent do not exceed, of microseconds in
/// milliseconds; 0 where there is none.
pub fn percentile_ms(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    let micros = sorted.get(rank - 1).copied().unwrap_or_default();
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMETABLE: Timetable = Timetable {
        began_at: 1_000_000,
        rate: 10,
        measured_from: 2,
        events: 6,
    };

    /// Each so many milliseconds late.
    fn arriving(late_ms: &[(u64, u64)]) -> Arrivals {
        let at = |&(n, late): &(u64, u64)| (n, TIMETABLE.due_at(n) + late * 1000);
        late_ms.iter().map(at).collect()
    }

    #[test]
    fn a_percentile_is_one_of_the_samples() {
        let micros: Vec<u64> = (1..=200).map(|n| n * 1000).collect();
        for (percent, ms) in [(1, 2.0), (50, 100.0), (99, 198.0), (100, 200.0)] {
            assert!((percentile_ms(&micros, percent) - ms).abs() < 1e-9);
        }
        assert!((percentile_ms(&[7000], 99) - 7.0).abs() < 1e-9);
        assert!(percentile_ms(&[], 99).abs() < 1e-9);
    }

    #[test]
    fn what_the_broker_takes_to_acknowledge_is_not_counted_after_it() {
        let arrivals = arriving(&[(1, 9), (2, 30), (3, 5), (4, 9), (4, 90)]);
        let acknowledged = [(1, 1), (2, 10), (3, 6), (4, 1)];
        let at = acknowledged.map(|(n, late)| (n, TIMETABLE.due_at(n) + late * 1000));
        let at = HashMap::from(at);
        let at = |n| at.get(&n).copied();
        let after = after_acknowledgement(&arrivals, &TIMETABLE, at, |n| n != 4);
        assert_eq!(after, [0, 20_000]);
    }

    #[test]
    fn what_is_missing_is_all_that_is_said() {
        let arrivals = arriving(&[(0, 1), (2, 1), (5, 1)]);
        let (judged, late) = judge(&arrivals, &TIMETABLE, |_| true);
        assert_eq!(judged, Judged::Missing(3));
        assert!(late.is_empty());
    }

    #[test]
    fn what_bad_receivers_miss_is_nobody_elses() {
        let arrivals = arriving(&[(0, 1), (2, 1), (4, 1)]);
        let (judged, _) = judge(&arrivals, &TIMETABLE, |n| n % 2 == 0);
        assert!(matches!(judged, Judged::Complete(_)));
    }

    #[test]
    fn the_warm_up_is_not_measured_and_repeats_are_counted_once() {
        let late_ms = [
            (0, 5000),
            (1, 5000),
            (2, 10),
            (3, 20),
            (4, 30),
            (5, 1500),
            (5, 1400),
        ];
        let (judged, late) = judge(&arriving(&late_ms), &TIMETABLE, |_| true);
        assert_eq!(late, [10_000, 20_000, 30_000, 1_400_000]);
        let expected = Healthy {
            in_time_percent: 75.0,
            late: Late {
                p50_ms: 20.0,
                p99_ms: 1400.0,
            },
            duplicates: 1,
        };
        assert_eq!(judged, Judged::Complete(expected));
    }
}
