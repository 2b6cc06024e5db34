//! The table: a column a case, a line a figure. Pure.

use std::fmt;

use serde::Serialize;

use super::case::{BASE, Case, log_name, shown_kilobytes};
use super::ceiling::Bare;
use super::figures::{Figures, Result, Run};
use super::goals;
use crate::columns::aligned;

/// What a figure is of a run; nothing where it was not measured.
type Figure = fn(&Figures) -> Option<f64>;

/// Each line: what it says, how many digits are shown, and where they come from.
const LINES: [(&str, usize, Figure); 27] = [
    ("deliveries/s, topic drained", 0, |it| {
        Some(it.drained.per_second)
    }),
    ("  share of a bare reqwest loop", 2, |it| {
        Some(share(it, it.ceiling.reqwest))
    }),
    ("  … of hyper-util's client", 2, |it| {
        Some(share(it, it.ceiling.legacy?))
    }),
    ("  … of hyper's conn::http1", 2, |it| {
        Some(share(it, it.ceiling.http1))
    }),
    ("  … of the processor's sender", 2, |it| {
        Some(share(it, it.ceiling.outbound))
    }),
    ("CPU µs/delivery, processor", 1, |it| {
        Some(it.drained.cpu_micros.processor)
    }),
    ("  Postgres", 1, |it| it.drained.cpu_micros.postgres),
    ("  Kafka", 1, |it| it.drained.cpu_micros.kafka),
    ("  sink", 1, |it| Some(it.drained.cpu_micros.sink)),
    ("  processor / bare reqwest loop", 2, |it| {
        Some(it.drained.cpu_micros.processor / it.ceiling.reqwest.cpu_micros)
    }),
    ("CPU % that others had", 0, |it| it.drained.others_percent),
    ("bare POSTs/s, reqwest", 0, |it| {
        Some(it.ceiling.reqwest.per_second)
    }),
    ("  hyper-util's client", 0, |it| {
        Some(it.ceiling.legacy?.per_second)
    }),
    ("  hyper's conn::http1", 0, |it| {
        Some(it.ceiling.http1.per_second)
    }),
    ("  the processor's sender", 0, |it| {
        Some(it.ceiling.outbound.per_second)
    }),
    ("CPU µs/bare POST, reqwest", 1, |it| {
        Some(it.ceiling.reqwest.cpu_micros)
    }),
    ("  the processor's sender", 1, |it| {
        Some(it.ceiling.outbound.cpu_micros)
    }),
    ("latency at deliveries/s", 0, |it| {
        integer(it.latency.at_per_second)
    }),
    ("  CPU % that others had", 0, |it| it.latency.others_percent),
    ("  p50 ms since acknowledged", 1, |it| {
        Some(it.latency.since_acknowledged_ms.p50)
    }),
    ("  p99 ms", 1, |it| {
        Some(it.latency.since_acknowledged_ms.p99)
    }),
    ("  p99.9 ms", 1, |it| {
        Some(it.latency.since_acknowledged_ms.p999)
    }),
    ("  p50 ms since due", 1, |it| {
        Some(it.latency.since_due_ms.p50)
    }),
    ("  p99 ms", 1, |it| Some(it.latency.since_due_ms.p99)),
    ("  p99.9 ms", 1, |it| Some(it.latency.since_due_ms.p999)),
    ("peak memory MiB, processor", 0, |it| {
        integer(it.peak_memory_mib)
    }),
    ("duplicates", 0, |it| integer(it.duplicates as u64)),
];

/// What the lines are.
const LEGEND: &str = "\
topic drained: the processor gets through a full topic, with Kafka, Postgres and the sink on the same machine
bare loop:     the same signed POSTs to the same sink in the same run, with no queue and no record
latency:       events published on a timetable, at that many deliveries a second; due: when they were to be published
";

fn share(of: &Figures, bare: Bare) -> f64 {
    of.drained.per_second / bare.per_second
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
#[allow(clippy::unnecessary_wraps, reason = "it is the end of a figure")]
fn integer(count: u64) -> Option<f64> {
    Some(count as f64)
}

/// All that a run of the benchmark says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What ran it.
    pub machine: String,
    /// The cases, as they were run.
    pub runs: Vec<Run>,
}

/// A case, with all its runs.
struct Column<'a> {
    case: Case,
    before: bool,
    runs: Vec<&'a Run>,
}

impl Column<'_> {
    /// How many deliveries never came, over all its runs.
    fn missing(&self) -> usize {
        let missing = self.runs.iter().map(|run| match run.result {
            Result::Missing(missing) => missing,
            Result::Figures(_) => 0,
        });
        missing.sum()
    }

    fn figures(&self) -> Vec<&Figures> {
        let figures = self.runs.iter().filter_map(|run| match &run.result {
            Result::Missing(_) => None,
            Result::Figures(figures) => Some(&**figures),
        });
        figures.collect()
    }

    /// Whether each of its runs meets the goals of the first case; where a delivery is missing in one of
    /// them, none is worth a look.
    fn verdicts(&self) -> Vec<String> {
        if self.missing() > 0 {
            return vec!["MISSED: deliveries are missing".into()];
        }
        let verdict = |figures: &Figures| match &*goals::missed(figures) {
            [] => "met".to_owned(),
            missed => format!("MISSED: {}", missed.join(", ")),
        };
        self.figures().into_iter().map(verdict).collect()
    }

    /// The median of a figure over its runs, and where there are several the least and the most.
    fn cell(&self, digits: usize, figure: Figure) -> String {
        if self.missing() > 0 {
            return String::new();
        }
        let mut all: Vec<f64> = self.figures().into_iter().filter_map(figure).collect();
        all.sort_by(f64::total_cmp);
        match &*all {
            [] => "-".into(),
            [one] => format!("{one:.digits$}"),
            [least, .., most] => {
                let median = f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2]);
                format!("{median:.digits$} ({least:.digits$}-{most:.digits$})")
            }
        }
    }
}

impl Report {
    fn columns(&self) -> Vec<Column<'_>> {
        let mut columns: Vec<Column<'_>> = Vec::new();
        for run in &self.runs {
            let same = |of: &&mut Column<'_>| of.case == run.case && of.before == run.before;
            match columns.iter_mut().find(same) {
                Some(column) => column.runs.push(run),
                None => columns.push(Column {
                    case: run.case,
                    before: run.before,
                    runs: vec![run],
                }),
            }
        }
        columns
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let columns = self.columns();
        let line = |label: &str, cell: &dyn Fn(&Column<'_>) -> String| {
            let cells = columns.iter().map(cell);
            std::iter::once(label.to_owned()).chain(cells).collect()
        };
        let mut lines: Vec<Vec<String>> = vec![
            line("fan-out", &|of| of.case.fan_out.to_string()),
            line("event KB", &|of| shown_kilobytes(of.case.event_bytes)),
            line("scheme", &|of| of.case.scheme.name().into()),
            line("attempt log", &|of| log_name(of.case.attempt_log).into()),
            line("origins", &|of| of.case.origins.to_string()),
            line("processor", &|of| {
                if of.before { "before" } else { "now" }.into()
            }),
            line("deliveries missing", &|of| of.missing().to_string()),
        ];
        lines.extend(
            LINES
                .iter()
                .map(|(label, digits, figure)| line(label, &|of| of.cell(*digits, *figure))),
        );
        lines
    }

    /// Whether nothing is missing in any of its runs.
    pub fn is_complete(&self) -> bool {
        self.columns().iter().all(|column| column.missing() == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&aligned(&self.lines()))?;
        f.write_str(LEGEND)?;
        writeln!(f, "machine:       {}", self.machine)?;
        let columns = self.columns();
        let first = columns.iter().find(|of| of.case == BASE && !of.before);
        let verdicts = first.map(Column::verdicts).unwrap_or_default();
        verdicts
            .iter()
            .try_for_each(|said| writeln!(f, "goals of the first case: {said}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::goals::tests::figures;
    use super::*;

    fn run(case: Case, result: Result) -> Run {
        Run {
            case,
            before: false,
            result,
        }
    }

    fn complete(per_second: f64) -> Run {
        run(BASE, Result::Figures(Box::new(figures(per_second, 49.0))))
    }

    fn lines(runs: Vec<Run>) -> Vec<Vec<String>> {
        let machine = "2 x any".to_owned();
        Report { machine, runs }.lines()
    }

    #[test]
    fn repeated_runs_of_a_case_are_one_column_with_their_spread() {
        let lines = lines(vec![complete(10.0), complete(30.0), complete(20.0)]);
        assert_eq!(lines[7][1], "20 (10-30)");
    }

    #[test]
    fn the_median_of_an_even_number_of_runs_is_between_the_two_in_the_middle() {
        let lines = lines([10.0, 40.0, 20.0, 26.0].map(complete).to_vec());
        assert_eq!(lines[7][1], "23 (10-40)");
    }

    #[test]
    fn where_a_delivery_is_missing_there_is_no_other_figure() {
        let runs = vec![complete(30_000.0), run(BASE, Result::Missing(3))];
        let lines = lines(runs.clone());
        assert_eq!(lines[6], ["deliveries missing", "3"]);
        assert!(lines[7..].iter().all(|line| line[1].is_empty()));
        let machine = "2 x any".to_owned();
        let said = Report { machine, runs }.to_string();
        assert!(said.contains("MISSED: deliveries are missing"), "{said}");
        assert!(!said.contains("first case: met"), "{said}");
    }

    #[test]
    fn each_case_has_a_column() {
        let other = Case { fan_out: 1, ..BASE };
        let lines = lines(vec![complete(10.0), run(other, Result::Missing(1))]);
        assert_eq!(lines[0], ["fan-out", "10", "1"]);
        assert_eq!(lines[7][1..], ["10", ""]);
    }
}
