//! What is said of a subscription that is far behind: how much it got while it was measured, and how
//! late the others' deliveries were then, beside when it was still paused. Pure.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use crate::figures::{Arrivals, Healthy, Judged, Timetable, judge};

/// The goal: the p99 of the others is at most so many times that of the reference.
const GOAL_P99_RATIO: f64 = 2.0;

/// The number of the first event that it has to catch up with; those of the load are smaller.
pub const FIRST: u64 = 1 << 40;

/// When what happened, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// It was resumed.
    pub resumed_at: u64,
    /// The load ended.
    pub ended_at: u64,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// So many events it got while the load ran.
    pub measured: usize,
    /// For so long it was measured: until the load ended, or it had all.
    pub seconds: f64,
    /// So many it never got.
    pub missing: usize,
    /// Arrivals that were not the first of their event.
    pub duplicates: usize,
    /// From being resumed to the last arrival.
    pub total_seconds: f64,
}

impl Progress {
    /// Of `events` that it has to catch up with.
    pub fn of(arrivals: &Arrivals, events: u64, times: Times) -> Self {
        let own = || arrivals.iter().filter(|(event, _)| *event >= FIRST);
        let got: HashSet<u64> = own().map(|(event, _)| *event).collect();
        let last = own().map(|(_, at)| *at).max().unwrap_or(times.resumed_at);
        let missing = usize::try_from(events).unwrap_or(usize::MAX) - got.len();
        let until = if missing == 0 {
            last.min(times.ended_at)
        } else {
            times.ended_at
        };
        Self {
            measured: own().filter(|(_, at)| *at <= until).count(),
            seconds: seconds(times.resumed_at, until),
            missing,
            duplicates: own().count() - got.len(),
            total_seconds: seconds(times.resumed_at, last),
        }
    }
}

/// The two parts of a load that are held against each other.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// While it was paused.
    pub paused: Timetable,
    /// While it caught up.
    pub catching_up: Timetable,
}

/// Of a load whose events from `resumed_from` on were due when it had been resumed, and which is
/// measured for `seconds` from there.
pub fn parts(timetable: &Timetable, resumed_from: u64, seconds: f64) -> Parts {
    let caught_up = resumed_from + whole(seconds * as_float(timetable.rate));
    Parts {
        paused: Timetable {
            events: resumed_from,
            ..*timetable
        },
        catching_up: Timetable {
            measured_from: resumed_from,
            events: caught_up.min(timetable.events),
            ..*timetable
        },
    }
}

/// How late the others' deliveries were.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Others {
    /// While it was paused.
    pub paused: Judged,
    /// While it caught up.
    pub catching_up: Judged,
}

impl Others {
    /// Of what was measured in the two [`parts`] of a load.
    pub fn of(arrivals: &Arrivals, parts: &Parts) -> Self {
        let judged = |part: &Timetable| {
            let within = arrivals.iter().copied();
            let within: Arrivals = within.filter(|(n, _)| *n < part.events).collect();
            judge(&within, part, |_| true).0
        };
        Self {
            paused: judged(&parts.paused),
            catching_up: judged(&parts.catching_up),
        }
    }

    /// How the p99 compares; nothing where something is missing.
    pub fn ratio(&self) -> Option<f64> {
        self.complete().map(ratio)
    }

    fn complete(&self) -> Option<[&Healthy; 2]> {
        match (&self.paused, &self.catching_up) {
            (Judged::Complete(paused), Judged::Complete(catching_up)) => {
                Some([paused, catching_up])
            }
            _ => None,
        }
    }
}

/// All that is said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behind {
    /// So many events it had to catch up with.
    pub events: u64,
    /// How far it came.
    pub progress: Progress,
    /// What it cost the others.
    pub others: Others,
    /// From when an event was due to the broker's acknowledgement, while it was paused and while it
    /// caught up: what the load took by itself.
    pub acknowledged_p99_ms: [f64; 2],
    /// What was left of pending deliveries when all had arrived, or were waited for no longer.
    pub pending: i64,
    /// The same of cursors.
    pub cursors: i64,
    /// The most that was ever resident in the processor, before it was resumed, …
    pub paused_memory_mib: u64,
    /// … and at the end.
    pub peak_memory_mib: u64,
    /// Processor time over elapsed time while it caught up under load.
    pub cores: f64,
}

impl Behind {
    /// Whether it got all, and the others too.
    pub fn is_complete(&self) -> bool {
        self.complete().is_some()
    }

    /// The others, while it is paused and while it catches up, where nothing is missing.
    fn complete(&self) -> Option<[&Healthy; 2]> {
        self.others
            .complete()
            .filter(|_| self.progress.missing == 0)
    }

    fn meets(&self) -> bool {
        let is_near = self
            .others
            .ratio()
            .is_some_and(|ratio| ratio <= GOAL_P99_RATIO);
        is_near && self.is_complete()
    }

    /// What there is to say where something is missing.
    fn missing(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Others {
            paused,
            catching_up,
        } = &self.others;
        let missing = [
            ("it", self.progress.missing),
            ("the others, while it is paused", paused.missing()),
            ("the others, while it catches up", catching_up.missing()),
        ];
        missing
            .iter()
            .filter(|(_, count)| *count > 0)
            .try_for_each(|(who, count)| writeln!(f, "  {who}: {count} MISSING"))
    }

    fn figures(&self, others: [&Healthy; 2], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let progress = &self.progress;
        let [paused, catching_up] = others.map(said);
        writeln!(f, "  the others, while it is paused:  {paused}")?;
        writeln!(f, "  the others, while it catches up: {catching_up}")?;
        let [paused, catching_up] = self.acknowledged_p99_ms;
        writeln!(
            f,
            "  p99 ratio: {:.2}; acks p99 {paused:.1} ms, then {catching_up:.1} ms",
            ratio(others)
        )?;
        writeln!(
            f,
            "  it got {} in {:.1} s ({:.0}/s) beside the load; all of it in {:.1} s, {} repeated",
            progress.measured,
            progress.seconds,
            per_second(progress.measured, progress.seconds),
            progress.total_seconds,
            progress.duplicates,
        )?;
        writeln!(
            f,
            "  left: {} pending, {} cursors; memory at most {} MiB ({} MiB before), {:.2} cores",
            self.pending, self.cursors, self.peak_memory_mib, self.paused_memory_mib, self.cores,
        )
    }
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "one subscription {} events behind", self.events)?;
        match self.complete() {
            Some(others) => self.figures(others, f)?,
            None => self.missing(f)?,
        }
        let met = if self.meets() { "met" } else { "MISSED" };
        writeln!(
            f,
            "goal p99 at most {GOAL_P99_RATIO} x, nothing missing: {met}"
        )
    }
}

fn said(healthy: &Healthy) -> String {
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, {:.2} % in time, {} repeated",
        healthy.late.p50_ms, healthy.late.p99_ms, healthy.in_time_percent, healthy.duplicates
    )
}

fn ratio([paused, catching_up]: [&Healthy; 2]) -> f64 {
    catching_up.late.p99_ms / paused.late.p99_ms
}

fn seconds(from: u64, until: u64) -> f64 {
    std::time::Duration::from_micros(until.saturating_sub(from)).as_secs_f64()
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn per_second(count: usize, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are positive and far below 2^53"
)]
fn whole(count: f64) -> u64 {
    count.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        resumed_at: 10_000_000,
        ended_at: 20_000_000,
    };

    const TIMETABLE: Timetable = Timetable {
        began_at: 0,
        rate: 10,
        measured_from: 2,
        events: 10,
    };

    fn own(at_seconds: &[(u64, u64)]) -> Arrivals {
        let at = |&(n, at): &(u64, u64)| (FIRST + n, at * 1_000_000);
        at_seconds.iter().map(at).collect()
    }

    #[test]
    fn what_comes_after_the_load_is_not_measured_but_not_missing_either() {
        let progress = Progress::of(&own(&[(0, 11), (1, 19), (2, 30)]), 3, TIMES);
        assert_eq!((progress.measured, progress.missing), (2, 0));
        assert!((progress.seconds - 10.0).abs() < 1e-9);
        assert!((progress.total_seconds - 20.0).abs() < 1e-9);
    }

    #[test]
    fn it_is_measured_no_longer_than_it_catches_up() {
        let progress = Progress::of(&own(&[(0, 11), (1, 12), (1, 12)]), 2, TIMES);
        assert!((progress.seconds - 2.0).abs() < 1e-9);
        assert_eq!((progress.missing, progress.duplicates), (0, 1));
    }

    #[test]
    fn what_never_comes_is_missing() {
        let progress = Progress::of(&own(&[(0, 11)]), 3, TIMES);
        assert_eq!((progress.measured, progress.missing), (1, 2));
        assert!((progress.seconds - 10.0).abs() < 1e-9);
    }

    #[test]
    fn the_others_are_held_against_when_it_was_paused() {
        // 5 ms late while it is paused, 15 ms while it catches up, 900 ms when it has.
        let late = |n: u64| match n {
            0..6 => 5_000,
            6..8 => 15_000,
            _ => 900_000,
        };
        let mut arrivals: Arrivals = (0..10)
            .map(|n| (n, TIMETABLE.due_at(n) + late(n)))
            .collect();
        arrivals.extend(own(&[(0, 1)]));
        let parts = parts(&TIMETABLE, 6, 0.2);
        let others = Others::of(&arrivals, &parts);
        assert!((others.ratio().unwrap() - 3.0).abs() < 1e-9);
        arrivals.retain(|(n, _)| *n != 7);
        assert_eq!(Others::of(&arrivals, &parts).ratio(), None);
    }

    #[test]
    fn the_goal_is_missed_by_p99_or_by_what_is_missing() {
        for (late_ms, events, met) in [(10, 1, true), (11, 1, false), (10, 2, false)] {
            let late = |n: u64| if n < 6 { 5_000 } else { late_ms * 1_000 };
            let live = (0..10).map(|n| (n, TIMETABLE.due_at(n) + late(n)));
            let arrivals: Arrivals = live.chain(own(&[(0, 11)])).collect();
            let behind = Behind {
                events,
                progress: Progress::of(&arrivals, events, TIMES),
                others: Others::of(&arrivals, &parts(&TIMETABLE, 6, 1.0)),
                acknowledged_p99_ms: [1.0, 2.0],
                pending: 0,
                cursors: 0,
                paused_memory_mib: 40,
                peak_memory_mib: 50,
                cores: 0.5,
            };
            assert_eq!(behind.to_string().ends_with(": met\n"), met, "{behind}");
            let is_complete = events == 1;
            assert_eq!(behind.is_complete(), is_complete);
            assert_eq!(behind.to_string().contains("p99 ratio"), is_complete);
            assert_eq!(behind.to_string().contains("it: 1 MISSING"), !is_complete);
        }
    }
}
