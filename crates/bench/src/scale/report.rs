//! The tables, a line a size, with the goals below each. Pure.

mod replicas;

use std::fmt;

use serde::Serialize;

use super::Measured;
use super::cells::{in_mb, line, mb, or_dash, percent, table};
use super::fan_out::{FanOut, Spread};
use super::loading::Loading;
use super::matching::Matching;
use super::replicas::Replicas;
use super::scene::{Backlog, WANTING};

/// The goals: as many as there are load in so many seconds, …
const READY_SECONDS: f64 = 5.0;
/// … hold so many MB for each 10,000 that are idle, …
const IDLE_MB: f64 = 10.0;
/// … and make an event no dearer for those that want it than so many times what it is without them.
const MATCHING_RATIO: f64 = 1.2;
/// A fan-out holds no more than events, queues and requests may together, unless that is set: in
/// MB, as `MEMORY_BUDGET` has it.
const FAN_OUT_MB: f64 = 256.0 * 1024.0 * 1024.0 / 1e6;

const IDLE_UNIT: f64 = 10_000.0;

const LOADING: [&str; 6] = [
    "idle subscriptions",
    "ready s",
    "resident MB",
    "MB per 10,000",
    "peak MB",
    "CPU %",
];
const MATCHING: [&str; 7] = [
    "others",
    "events/s",
    "deliveries/s",
    "CPU µs/event",
    "x none",
    "others' CPU %",
    "duplicates",
];
const FAN_OUT: [&str; 8] = [
    "one event for",
    "arrived s",
    "deliveries/s",
    "recorded s",
    "before MB",
    "peak MB",
    "added MB",
    "duplicates",
];

/// What the columns are.
const LEGEND: &str = "\
ready:               from the start of the processor until it owned all partitions and knew all subscriptions
MB:                  10^6 bytes of the processor; per 10,000: beside none
CPU µs:              the processor's, all replicas together; others' CPU: what programs had that are no part of this
apart:               as many processors, each with its part on a topic and a database of its own, all together
x apart:             of the rate of these
x one:               of the rate of the fewest replicas, in their last line before it, or their first
of what cores allow: of that rate, times the replicas, but no more than what it left of the machine
";

/// All that a run says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// What ran it.
    pub machine: String,
    /// Idle subscriptions.
    pub loading: Vec<Loading>,
    /// Subscriptions that do not want an event.
    pub matching: Vec<Matching>,
    /// One event that all want.
    pub fan_out: Option<FanOut>,
    /// Several replicas.
    pub replicas: Vec<Replicas>,
}

impl Report {
    /// One with no figures yet.
    pub fn new(machine: String) -> Self {
        Self {
            machine,
            ..Self::default()
        }
    }

    /// Whether no delivery is missing.
    pub fn is_complete(&self) -> bool {
        let matching = self.matching.iter().map(|row| row.backlog.missing());
        let fan_out = self.fan_out.iter().map(|row| row.spread.missing());
        let replicas = self.replicas.iter();
        let replicas = replicas.flat_map(|row| std::iter::once(&row.backlog).chain(&row.apart));
        let replicas = replicas.map(Measured::missing);
        matching.chain(fan_out).chain(replicas).sum::<usize>() == 0
    }

    fn loading(&self) -> Option<String> {
        let (first, last) = (self.loading.first()?, self.loading.last()?);
        let each = |row: &Loading| idle_mb(row, first);
        let lines = self.loading.iter().map(|row| {
            vec![
                row.subscriptions.to_string(),
                format!("{:.2}", row.ready_seconds),
                mb(row.resident_bytes),
                each(row).map_or_else(|| "-".into(), |mb| format!("{mb:.2}")),
                mb(row.peak_bytes),
                format!("{:.1}", row.idle_cpu_percent),
            ]
        });
        let within = self.loading.iter().filter_map(each).all(|mb| mb <= IDLE_MB);
        let goal = format!(
            "{} loaded in < {READY_SECONDS} s, at most {IDLE_MB} MB per 10,000 idle",
            last.subscriptions
        );
        let met = within && last.ready_seconds < READY_SECONDS;
        Some(table(&LOADING, lines, &goal, met))
    }

    fn matching(&self) -> Option<String> {
        let first = self.matching.first()?.backlog.figures();
        let cost = |backlog: &Backlog| backlog.drained.cpu_micros.processor * f64::from(WANTING);
        let ratio = |backlog: &Backlog| Some(cost(backlog) / cost(first?));
        let lines = self.matching.iter().map(|row| {
            let figures = |it: &Backlog| {
                vec![
                    format!("{:.0}", it.drained.per_second / f64::from(WANTING)),
                    format!("{:.0}", it.drained.per_second),
                    format!("{:.1}", cost(it)),
                    or_dash(ratio(it)),
                    percent(it.drained.others_percent),
                    it.duplicates.to_string(),
                ]
            };
            line(row.others, &row.backlog, figures)
        });
        let ratios = self.matching.iter();
        let met = ratios
            .map(|row| row.backlog.figures().and_then(ratio))
            .all(|ratio| ratio.is_some_and(|ratio| ratio <= MATCHING_RATIO));
        let goal =
            format!("an event costs at most {MATCHING_RATIO} x what it costs with no others");
        Some(table(&MATCHING, lines, &goal, met))
    }

    fn fan_out(&self) -> Option<String> {
        let row = self.fan_out.as_ref()?;
        let added = |it: &Spread| it.peak_bytes.saturating_sub(it.before_bytes);
        let figures = |it: &Spread| {
            let rate = f64::from(row.subscriptions) / it.arrived_seconds;
            vec![
                format!("{:.2}", it.arrived_seconds),
                format!("{rate:.0}"),
                format!("{:.2}", it.recorded_seconds),
                mb(it.before_bytes),
                mb(it.peak_bytes),
                mb(added(it)),
                it.duplicates.to_string(),
            ]
        };
        let lines = [line(row.subscriptions, &row.spread, figures)];
        let spread = row.spread.figures();
        let met = spread.is_some_and(|it| in_mb(added(it)) <= FAN_OUT_MB && it.duplicates == 0);
        let goal = format!("each arrives once, at most {FAN_OUT_MB:.0} MB added");
        Some(table(&FAN_OUT, lines.into_iter(), &goal, met))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.loading(),
            self.matching(),
            self.fan_out(),
            replicas::table(&self.replicas),
        ];
        for part in parts.into_iter().flatten() {
            writeln!(f, "{part}")?;
        }
        f.write_str(LEGEND)?;
        writeln!(f, "machine:             {}", self.machine)
    }
}

/// What 10,000 idle subscriptions hold beside none, in MB; nothing where there are none.
fn idle_mb(row: &Loading, none: &Loading) -> Option<f64> {
    let more = f64::from(row.subscriptions.checked_sub(none.subscriptions)?);
    let held = in_mb(row.resident_bytes) - in_mb(none.resident_bytes);
    (more > 0.0).then(|| held / (more / IDLE_UNIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliveries::costs::{Costs, Drained};

    pub fn backlog(per_second: f64, cpu_micros: f64) -> Measured<Backlog> {
        Measured::Figures(Backlog {
            drained: Drained {
                per_second,
                cpu_micros: Costs {
                    processor: cpu_micros,
                    sink: 5.0,
                    postgres: None,
                    kafka: None,
                },
                others_percent: None,
                busy_percent: 50.0,
            },
            duplicates: 0,
        })
    }

    fn loading(subscriptions: u32, ready_seconds: f64, resident_mb: u64) -> Loading {
        Loading {
            subscriptions,
            ready_seconds,
            resident_bytes: resident_mb * 1_000_000,
            peak_bytes: 0,
            idle_cpu_percent: 1.0,
        }
    }

    pub fn is_met(part: Option<String>) -> bool {
        part.unwrap().ends_with(": met\n")
    }

    #[test]
    fn idle_subscriptions_are_held_against_none() {
        for (ready, resident, met) in [(4.9, 130, true), (5.0, 130, false), (4.9, 131, false)] {
            let report = Report {
                loading: vec![loading(0, 1.0, 30), loading(100_000, ready, resident)],
                ..Report::default()
            };
            assert_eq!(is_met(report.loading()), met, "{report}");
        }
        let none = loading(0, 1.0, 30);
        assert_eq!(idle_mb(&none, &none), None);
    }

    #[test]
    fn an_event_may_cost_hardly_more_for_those_that_do_not_want_it() {
        for (cost, met) in [(12.0, true), (12.1, false)] {
            let matching = |others, cost| Matching {
                others,
                backlog: backlog(100.0, cost),
            };
            let report = Report {
                matching: vec![matching(0, 10.0), matching(100_000, cost)],
                ..Report::default()
            };
            assert_eq!(is_met(report.matching()), met, "{report}");
        }
    }

    #[test]
    fn a_fan_out_may_hold_the_budget_and_repeat_nothing() {
        for (added, duplicates, met) in [(256, 0, true), (257, 0, false), (1, 1, false)] {
            let spread = Spread {
                arrived_seconds: 2.0,
                recorded_seconds: 3.0,
                before_bytes: 1024,
                peak_bytes: 1024 + added * 1024 * 1024,
                duplicates,
            };
            let report = Report {
                fan_out: Some(FanOut {
                    subscriptions: 1000,
                    spread: Measured::Figures(spread),
                }),
                ..Report::default()
            };
            assert_eq!(is_met(report.fan_out()), met, "{report}");
        }
    }

    #[test]
    fn what_is_missing_of_those_that_share_nothing_is_missing() {
        let report = Report {
            replicas: vec![Replicas {
                replicas: 2,
                backlog: backlog(100.0, 10.0),
                apart: Some(Measured::Missing(3)),
            }],
            ..Report::default()
        };
        assert!(!report.is_complete());
    }

    #[test]
    fn where_a_delivery_is_missing_there_is_no_other_figure() {
        let report = Report {
            matching: vec![
                Matching {
                    others: 0,
                    backlog: backlog(100.0, 10.0),
                },
                Matching {
                    others: 1000,
                    backlog: Measured::Missing(3),
                },
            ],
            ..Report::default()
        };
        assert!(!report.is_complete() && !is_met(report.matching()));
        let table = report.matching().unwrap();
        let cells: Vec<_> = table.lines().nth(2).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["1000", "3", "MISSING"]);
    }
}
