//! The table and the file. Pure, but for writing the file.

use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use super::case::Case;
use super::ceiling::Ceiling;
use crate::columns::aligned;
use crate::figures::percentile_ms;

/// The goals of the first case: deliveries a second, …
const GOAL_PER_SECOND: f64 = 20_000.0;
/// … as a share of what a bare loop of reqwest posts, …
const GOAL_SHARE: f64 = 0.4;
/// … the processor's time for one, in microseconds, …
const GOAL_CPU_MICROS: f64 = 35.0;
/// … and at half the load, from the broker's acknowledgement to the sink, in milliseconds.
const GOAL_P50_MS: f64 = 5.0;
const GOAL_P99_MS: f64 = 50.0;

const HEAD: [&str; 15] = [
    "case", "/s", "reqwest", "outbound", "http1", "cpu µs", "pg", "kafka", "sink", "at /s", "p50",
    "p99", "p99.9", "due p99", "MiB",
];

/// What the columns are.
const LEGEND: &str = "\
/s:             deliveries a second while the topic is drained, Kafka, Postgres and the sink on the same machine
reqwest …:      that as a share of what a bare loop of the same signed POSTs makes in the same run
cpu µs …:       processor time for a delivery: the processor's, Postgres', Kafka's, the sink's
p50 … p99.9:    ms from the broker's acknowledgement to the sink at half that load; due: from when it was due
";

/// What a case says: figures, or how many deliveries never came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub case: &'static str,
    /// Nothing else is worth a figure then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<usize>,
    /// All came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    #[serde(skip)]
    is_base: bool,
}

/// The figures of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How fast the topic was drained.
    pub drained: Drained,
    /// How late deliveries are at half of that; nothing where one of them did not come.
    pub latency: Option<Latency>,
    /// What bare loops do.
    pub ceiling: Ceiling,
    /// Arrivals that were not the first of their delivery.
    pub repeated: usize,
    /// The most memory that was ever resident in the processor.
    pub peak_memory_mib: u64,
}

/// What getting through a full topic takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drained {
    /// Deliveries a second.
    pub per_second: f64,
    /// Processor time for a delivery, in microseconds.
    pub cpu_micros: Costs<f64>,
}

/// Something of each process; of servers that cannot be seen nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Costs<T> {
    /// The processor.
    pub processor: T,
    /// The sink.
    pub sink: T,
    /// All of Postgres.
    pub postgres: Option<T>,
    /// The broker.
    pub kafka: Option<T>,
}

/// How late deliveries are, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// At so many deliveries a second.
    pub at_per_second: u64,
    /// From the broker's acknowledgement: 50 %, 99 % and 99.9 % are no later.
    pub since_acknowledged_ms: [f64; 3],
    /// From when the event was due, which a stage that stands still cannot hide.
    pub since_due_ms: [f64; 3],
}

impl Latency {
    /// Of latencies in microseconds, sorted.
    pub fn of(at_per_second: u64, since_acknowledged: &[u64], since_due: &[u64]) -> Self {
        let of = |sorted: &[u64]| {
            let p999 = sorted.len().saturating_sub(sorted.len() / 1000 + 1);
            let p999 = sorted.get(p999).map_or(0, |micros| *micros);
            [
                percentile_ms(sorted, 50),
                percentile_ms(sorted, 99),
                percentile_ms(&[p999], 100),
            ]
        };
        Self {
            at_per_second,
            since_acknowledged_ms: of(since_acknowledged),
            since_due_ms: of(since_due),
        }
    }
}

impl Row {
    /// A case of which so many deliveries never came.
    pub fn missing(case: Case, missing: usize) -> Self {
        Self {
            missing: Some(missing),
            ..Self::of(case)
        }
    }

    /// A case of which all came.
    pub fn complete(case: Case, figures: Figures) -> Self {
        Self {
            figures: Some(figures),
            ..Self::of(case)
        }
    }

    fn of(case: Case) -> Self {
        Self {
            case: case.name(),
            missing: None,
            figures: None,
            is_base: case == Case::Base,
        }
    }

    fn cells(&self) -> Vec<String> {
        let Some(figures) = &self.figures else {
            return vec![
                self.case.into(),
                format!("{} MISSING", self.missing.unwrap_or_default()),
            ];
        };
        let (drained, ceiling) = (&figures.drained, figures.ceiling);
        let cpu = drained.cpu_micros;
        let share = |of: f64| format!("{:.2}", drained.per_second / of);
        let seen = |micros: Option<f64>| micros.map_or("-".into(), |micros| format!("{micros:.1}"));
        let mut cells = vec![
            self.case.into(),
            format!("{:.0}", drained.per_second),
            share(ceiling.reqwest),
            share(ceiling.outbound),
            share(ceiling.http1),
            seen(Some(cpu.processor)),
            seen(cpu.postgres),
            seen(cpu.kafka),
            seen(Some(cpu.sink)),
        ];
        match &figures.latency {
            None => cells.extend(["MISSING"; 5].map(String::from)),
            Some(latency) => {
                cells.push(latency.at_per_second.to_string());
                cells.extend(latency.since_acknowledged_ms.map(|ms| format!("{ms:.1}")));
                cells.push(format!("{:.1}", latency.since_due_ms[1]));
            }
        }
        cells.push(figures.peak_memory_mib.to_string());
        cells
    }

    /// What the first case misses of its goals.
    fn misses(&self) -> Vec<String> {
        let Some(figures) = self.figures.as_ref().filter(|_| self.is_base) else {
            return Vec::new();
        };
        let per_second = figures.drained.per_second;
        let cpu = figures.drained.cpu_micros.processor;
        let [p50, p99, _] = figures
            .latency
            .as_ref()
            .map_or([f64::INFINITY; 3], |latency| latency.since_acknowledged_ms);
        let goals = [
            (
                per_second >= GOAL_PER_SECOND,
                format!("{GOAL_PER_SECOND}/s"),
            ),
            (
                per_second / figures.ceiling.reqwest >= GOAL_SHARE,
                format!("{GOAL_SHARE} of reqwest"),
            ),
            (cpu <= GOAL_CPU_MICROS, format!("{GOAL_CPU_MICROS} µs")),
            (p50 < GOAL_P50_MS, format!("p50 {GOAL_P50_MS} ms")),
            (p99 < GOAL_P99_MS, format!("p99 {GOAL_P99_MS} ms")),
        ];
        let missed = goals.into_iter().filter(|(met, _)| !met);
        missed.map(|(_, goal)| goal).collect()
    }
}

/// All that a run says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The cases, as they were run.
    pub rows: Vec<Row>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![HEAD.map(String::from).to_vec()];
        lines.extend(self.rows.iter().map(Row::cells));
        f.write_str(&aligned(&lines))?;
        f.write_str(LEGEND)?;
        let repeated = self.rows.iter().filter_map(|row| row.figures.as_ref());
        let repeated: usize = repeated.map(|figures| figures.repeated).sum();
        writeln!(
            f,
            "deliveries that arrived twice, over all drains: {repeated}"
        )?;
        for row in self.rows.iter().filter(|row| row.is_base) {
            match &*row.misses() {
                [] if row.figures.is_some() => writeln!(f, "goals of the first case: met")?,
                missed => writeln!(f, "goals of the first case: MISSED: {}", missed.join(", "))?,
            }
        }
        Ok(())
    }
}

impl Report {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// That the file cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let writing = || format!("writing {}", file.display());
        let out = BufWriter::new(File::create(file).with_context(writing)?);
        serde_json::to_writer_pretty(out, self).with_context(writing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(per_second: f64, p99_ms: f64) -> Figures {
        let cpu_micros = Costs {
            processor: 30.0,
            sink: 5.0,
            postgres: None,
            kafka: Some(1.0),
        };
        Figures {
            drained: Drained {
                per_second,
                cpu_micros,
            },
            latency: Some(Latency {
                at_per_second: 10_000,
                since_acknowledged_ms: [1.0, p99_ms, 60.0],
                since_due_ms: [2.0, 3.0, 4.0],
            }),
            ceiling: Ceiling {
                reqwest: 50_000.0,
                outbound: 60_000.0,
                http1: 80_000.0,
            },
            repeated: 0,
            peak_memory_mib: 40,
        }
    }

    #[test]
    fn the_first_case_says_which_goals_it_misses() {
        let said = |row: Row| Report { rows: vec![row] }.to_string();
        let met = said(Row::complete(Case::Base, figures(20_000.0, 49.0)));
        assert!(met.ends_with(": met\n"), "{met}");
        let missed = said(Row::complete(Case::Base, figures(19_999.0, 50.0)));
        assert!(
            missed.ends_with(": MISSED: 20000/s, 0.4 of reqwest, p99 50 ms\n"),
            "{missed}"
        );
    }

    #[test]
    fn where_a_delivery_is_missing_there_is_no_other_figure() {
        let row = Row::missing(Case::Base, 3);
        assert_eq!(row.cells(), [Case::Base.name(), "3 MISSING"]);
    }

    #[test]
    fn of_a_thousand_one_is_later_than_p999() {
        let sorted: Vec<u64> = (1..=1000).map(|n| n * 1000).collect();
        let latency = Latency::of(1, &sorted, &sorted);
        let expected = [500.0, 990.0, 999.0];
        for (ms, expected) in latency.since_due_ms.into_iter().zip(expected) {
            assert!((ms - expected).abs() < 1e-9);
        }
    }
}
