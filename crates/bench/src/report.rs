//! The table. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::behind::Behind;
use crate::columns::aligned;
use crate::figures::{IN_TIME, Judged, Late, Latencies};

/// The goals: at least so much of the healthy deliveries in time, …
const GOAL_IN_TIME_PERCENT: f64 = 99.0;
/// … with a p99 of at most so many times that of none bad, …
const GOAL_P99_RATIO: f64 = 2.0;
/// … up to this share of bad receivers.
const GOAL_SHARE: u32 = 30;

const HEAD: [&str; 16] = [
    "case",
    "in time",
    "p50",
    "p99",
    "none bad p50",
    "p99",
    "p99 ratio",
    "repeated",
    "acks p99",
    "after p99",
    "ratio",
    "memory",
    "cores",
    "pending",
    "cursors",
    "open",
];

/// What the columns are.
const LEGEND: &str = "\
in time, p50, p99: deliveries to healthy receivers, from when their event was due to its arrival
none bad, ratio:   beside the cases right before and after
acks p99, after:   from when their event was due to the broker's acknowledgement, and from that to its arrival
memory, cores:     the processor's, at its peak and on average; the rest is what was left when the load ended
";

/// What a case left behind, and what it took.
#[derive(Clone, Debug, Serialize)]
pub struct Remains {
    /// The most that was ever resident in the processor.
    pub peak_memory_mib: u64,
    /// Processor time over elapsed time, while the load ran.
    pub cores: f64,
    /// Deliveries that waited for their time when the last event was published.
    pub pending: i64,
    /// Stretches of the log that were yet to be caught up with.
    pub cursors: i64,
    /// Circuits that were open or half-open.
    pub open_circuits: i64,
    /// Attempts made, by the class of their failure, or `delivered`: whether the bad were bad.
    pub attempts: BTreeMap<String, i64>,
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub case: String,
    /// How many receivers are bad.
    pub share_bad_percent: u32,
    /// What became of the healthy ones' deliveries.
    pub judged: Judged,
    /// How late the same deliveries were in the cases before and after, with none bad; nothing
    /// where one of them was not complete.
    pub none_bad: Option<Late>,
    /// What it took.
    pub remains: Remains,
    /// From when an event was due to the broker's acknowledgement: what the load took by itself.
    pub acknowledged_p99_ms: f64,
    /// From the broker's acknowledgement on: what we took.
    pub after: Late,
    /// The same in the cases before and after, as in `none_bad`.
    pub none_bad_after: Option<Late>,
}

impl Row {
    /// Whether it is one that others are held against: with none bad, and complete.
    fn is_none_bad(&self) -> bool {
        self.share_bad_percent == 0 && matches!(self.judged, Judged::Complete(_))
    }

    /// How its p99 after the acknowledgement compares with none bad.
    fn ratio_after(&self) -> Option<f64> {
        Some(self.after.p99_ms / self.none_bad_after?.p99_ms)
    }

    /// How its p99 compares with none bad.
    fn ratio(&self) -> Option<f64> {
        let Judged::Complete(healthy) = &self.judged else {
            return None;
        };
        Some(healthy.late.p99_ms / self.none_bad?.p99_ms)
    }
}

/// All that a run says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many there were, with an event a second each.
    pub subscriptions: usize,
    /// How long each case was measured.
    pub seconds: u64,
    /// The cases, as they were run.
    pub rows: Vec<Row>,
    /// The case of a subscription that is far behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rows.is_empty() {
            f.write_str(&self.table())?;
        }
        self.behind.iter().try_for_each(|behind| behind.fmt(f))
    }
}

impl Report {
    /// A report on measured cases, each with its latencies.
    pub fn new(subscriptions: usize, seconds: u64, measured: Vec<(Row, Latencies)>) -> Self {
        let none_bad = |at: usize| measured.get(at).filter(|(row, _)| row.is_none_bad());
        let beside = |at: usize| {
            let (before, after) = (none_bad(at.checked_sub(1)?)?, none_bad(at + 1)?);
            let both = |of: fn(&Latencies) -> &[u64]| {
                let mut both = [of(&before.1), of(&after.1)].concat();
                both.sort_unstable();
                Late::of(&both)
            };
            Some([both(|it| &it.late), both(|it| &it.acknowledged)])
        };
        let compared: Vec<_> = (0..measured.len()).map(beside).collect();
        let rows = measured.into_iter().zip(compared);
        let rows = rows.map(|((row, _), none_bad)| Row {
            none_bad: none_bad.map(|[late, _]| late),
            none_bad_after: none_bad.map(|[_, after]| after),
            ..row
        });
        Self {
            subscriptions,
            seconds,
            rows: rows.collect(),
            behind: None,
        }
    }

    /// Whether nothing is missing in any of its cases.
    pub fn is_complete(&self) -> bool {
        let rows = self.rows.iter().all(|row| row.judged.missing() == 0);
        rows && self.behind.as_ref().is_none_or(Behind::is_complete)
    }

    /// The table, a line a case, and whether the goals are met.
    pub fn table(&self) -> String {
        let mut lines = vec![HEAD.map(String::from).to_vec()];
        lines.extend(self.rows.iter().map(cells));
        let mut table = aligned(&lines);
        table.push_str(LEGEND);
        table.push_str(&self.verdict());
        table
    }

    /// Which cases with a goal miss it.
    fn verdict(&self) -> String {
        let with_goal = self
            .rows
            .iter()
            .filter(|row| row.share_bad_percent <= GOAL_SHARE);
        let missed: Vec<&str> = with_goal
            .filter(|row| !Self::meets(row))
            .map(|row| &*row.case)
            .collect();
        let goal = format!(
            "goal up to {GOAL_SHARE} % bad: {GOAL_IN_TIME_PERCENT} % of healthy deliveries within {IN_TIME:?}, \
             p99 at most {GOAL_P99_RATIO} x none bad"
        );
        if missed.is_empty() {
            format!("{goal}: met\n")
        } else {
            format!("{goal}: MISSED by: {}\n", missed.join("; "))
        }
    }

    fn meets(row: &Row) -> bool {
        let Judged::Complete(healthy) = &row.judged else {
            return false;
        };
        let is_near = row.ratio().is_some_and(|ratio| ratio <= GOAL_P99_RATIO);
        healthy.in_time_percent >= GOAL_IN_TIME_PERCENT && (is_near || row.share_bad_percent == 0)
    }
}

fn cells(row: &Row) -> Vec<String> {
    let healthy = match &row.judged {
        Judged::Missing(missing) => return vec![row.case.clone(), format!("{missing} MISSING")],
        Judged::Complete(healthy) => healthy,
    };
    let remains = &row.remains;
    let ms = |ms: f64| format!("{ms:.1} ms");
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    vec![
        row.case.clone(),
        format!("{:.2} %", healthy.in_time_percent),
        ms(healthy.late.p50_ms),
        ms(healthy.late.p99_ms),
        or_dash(row.none_bad.map(|late| ms(late.p50_ms))),
        or_dash(row.none_bad.map(|late| ms(late.p99_ms))),
        or_dash(row.ratio().map(|ratio| format!("{ratio:.2}"))),
        healthy.duplicates.to_string(),
        ms(row.acknowledged_p99_ms),
        ms(row.after.p99_ms),
        or_dash(row.ratio_after().map(|ratio| format!("{ratio:.2}"))),
        format!("{} MiB", remains.peak_memory_mib),
        format!("{:.2}", remains.cores),
        remains.pending.to_string(),
        remains.cursors.to_string(),
        remains.open_circuits.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Healthy;

    const NONE_BAD: Late = Late {
        p50_ms: 3.0,
        p99_ms: 10.0,
    };

    fn row(case: &str, share: u32, judged: Judged) -> Row {
        Row {
            case: case.into(),
            share_bad_percent: share,
            judged,
            none_bad: Some(NONE_BAD),
            remains: Remains {
                peak_memory_mib: 40,
                cores: 0.25,
                pending: 7,
                cursors: 12,
                open_circuits: 3,
                attempts: BTreeMap::new(),
            },
            acknowledged_p99_ms: 4.0,
            after: NONE_BAD,
            none_bad_after: Some(NONE_BAD),
        }
    }

    fn complete(in_time_percent: f64, p99_ms: f64) -> Judged {
        Judged::Complete(Healthy {
            in_time_percent,
            late: Late {
                p50_ms: 3.0,
                p99_ms,
            },
            duplicates: 0,
        })
    }

    fn latencies(late: &[u64]) -> Latencies {
        Latencies {
            late: late.to_vec(),
            acknowledged: late.iter().map(|late| late / 2).collect(),
        }
    }

    fn report(rows: Vec<Row>) -> Report {
        Report {
            subscriptions: 2000,
            seconds: 40,
            rows,
            behind: None,
        }
    }

    fn table(rows: Vec<Row>) -> String {
        report(rows).table()
    }

    #[test]
    fn a_case_that_misses_something_shows_nothing_else() {
        let table = table(vec![row("30 % mixed", 30, Judged::Missing(5))]);
        let line = table.lines().nth(1).unwrap();
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            ["30", "%", "mixed", "5", "MISSING"]
        );
        assert!(table.contains("MISSED by: 30 % mixed"));
    }

    #[test]
    fn a_report_is_complete_where_no_case_misses_anything() {
        for (missing, is_complete) in [(0, true), (1, false)] {
            let mut rows = vec![row("none bad", 0, complete(100.0, 10.0))];
            rows.extend((0..missing).map(|_| row("bad", 30, Judged::Missing(1))));
            assert_eq!(report(rows).is_complete(), is_complete);
        }
    }

    #[test]
    fn columns_are_aligned_and_hold_the_ratio_to_none_bad() {
        let rows = vec![
            row("none bad", 0, complete(100.0, 10.0)),
            row("10 % mixed", 10, complete(99.5, 15.0)),
        ];
        let table = table(rows);
        let widths: Vec<usize> = table.lines().take(3).map(str::len).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
        assert!(table.contains("1.50"));
        assert!(table.ends_with("met\n"));
    }

    #[test]
    fn a_case_is_held_against_the_ones_beside_it() {
        let none_bad = || row("none bad", 0, complete(100.0, 10.0));
        let bad = || row("bad", 30, complete(100.0, 10.0));
        let lost = row("none bad", 0, Judged::Missing(1));
        let measured = vec![
            (none_bad(), latencies(&[1000, 3000])),
            (bad(), latencies(&[9000])),
            (none_bad(), latencies(&[2000, 7000])),
            (bad(), latencies(&[9000])),
            (lost, latencies(&[])),
        ];
        let report = Report::new(2000, 40, measured);
        let compared: Vec<_> = report.rows.iter().map(|row| row.none_bad).collect();
        let late = Late {
            p50_ms: 2.0,
            p99_ms: 7.0,
        };
        assert_eq!(compared, [None, Some(late), None, None, None]);
        let after = report.rows[1].none_bad_after.unwrap();
        assert!((after.p99_ms - 3.5).abs() < 1e-9, "{after:?}");
    }

    #[test]
    fn a_goal_is_missed_by_rate_or_by_p99_up_to_its_share() {
        for (share, in_time, p99_ms, met) in [
            (30, 99.0, 20.0, true),
            (30, 98.9, 20.0, false),
            (30, 99.0, 20.1, false),
            (50, 10.0, 900.0, true),
        ] {
            let table = table(vec![row("case", share, complete(in_time, p99_ms))]);
            assert_eq!(table.ends_with("met\n"), met, "{table}");
        }
    }
}
