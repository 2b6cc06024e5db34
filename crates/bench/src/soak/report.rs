//! What a soak says: each thing that was looked at, how it changed over the second half, and whether
//! it stayed flat. Pure.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::sample::Sample;
use super::trend::{FLAT_ERRORS, FLAT_PERCENT, Trend};
use crate::columns::aligned;
use crate::figures::{Healthy, Judged};

/// What is looked at of a sample.
type Value = fn(&Sample) -> f64;

/// Each line: what it says, how many digits are shown, whether it is to stay flat, and where it comes
/// from.
const LINES: [(&str, usize, bool, Value); 9] = [
    ("memory MB, processor", 1, true, |it| {
        whole(it.memory_bytes) / 1e6
    }),
    ("open files", 0, true, |it| whole(it.open_files)),
    ("threads", 0, true, |it| whole(it.threads)),
    ("dead tuples", 0, true, |it| signed(it.dead_tuples)),
    ("table bytes/row recorded", 1, true, Sample::bytes_per_row),
    ("database MB", 1, false, |it| {
        signed(it.database_bytes) / 1e6
    }),
    ("live tuples", 0, false, |it| signed(it.live_tuples)),
    ("pending", 0, false, |it| signed(it.pending)),
    ("lag", 0, false, |it| signed(it.lag)),
];

const HEAD: [&str; 9] = [
    "",
    "first",
    "half way",
    "last",
    "least since",
    "most since",
    "% an hour",
    "grown %",
    "flat",
];

/// What the lines and columns are.
const LEGEND: &str = "\
half way:       where the second half begins, from which least, most and the line through all are
grown:          over the second half, of its mean, with the standard error; an hour: the same for an hour
row recorded:   all tables and indexes, without the write-ahead log, over the rows of the record of attempts
lag:            events that the broker had and the processor had not settled
";

/// All that a soak says.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What ran it.
    pub machine: String,
    /// How long it was.
    pub minutes: f64,
    /// Events a second, and subscriptions: each gets one.
    pub rate: u64,
    /// How many of them have a dead receiver.
    pub dead_percent: u32,
    /// What became of the healthy ones' deliveries.
    pub judged: Judged,
    /// Attempts made, by the class of their failure, or `delivered`: whether the dead were dead.
    pub attempts: BTreeMap<String, i64>,
    /// What was looked at, in order.
    pub samples: Vec<Sample>,
}

/// The same as it is written: without figures where something is missing.
#[derive(Serialize)]
struct Written<'a> {
    machine: &'a str,
    minutes: f64,
    rate: u64,
    dead_percent: u32,
    judged: &'a Judged,
    attempts: &'a BTreeMap<String, i64>,
    samples: &'a [Sample],
    second_half: BTreeMap<&'static str, Option<Trend>>,
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = self.healthy().is_some();
        let trends = LINES.iter().filter(|_| told);
        let trends = trends.map(|(name, _, _, value)| (*name, self.trend(*value)));
        let written = Written {
            machine: &self.machine,
            minutes: self.minutes,
            rate: self.rate,
            dead_percent: self.dead_percent,
            judged: &self.judged,
            attempts: &self.attempts,
            samples: if told { &self.samples } else { &[] },
            second_half: trends.collect(),
        };
        written.serialize(serializer)
    }
}

impl Report {
    /// Whether no delivery to a healthy receiver is missing.
    pub fn is_complete(&self) -> bool {
        self.healthy().is_some()
    }

    fn healthy(&self) -> Option<&Healthy> {
        match &self.judged {
            Judged::Missing(_) => None,
            Judged::Complete(healthy) => Some(healthy),
        }
    }

    fn second_half(&self) -> &[Sample] {
        &self.samples[self.samples.len() / 2..]
    }

    fn trend(&self, value: Value) -> Option<Trend> {
        let points = self.second_half().iter();
        let points: Vec<_> = points.map(|it| (it.seconds, value(it))).collect();
        Trend::of(&points)
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let head = HEAD.map(String::from).to_vec();
        let lines = LINES.iter().filter_map(|(name, digits, goal, value)| {
            let half = self.second_half().iter().map(value);
            let (first, last) = (self.samples.first()?, self.samples.last()?);
            let mut cells = vec![(*name).to_owned()];
            cells.extend(
                [
                    value(first),
                    value(self.second_half().first()?),
                    value(last),
                    half.clone().fold(f64::MAX, f64::min),
                    half.fold(f64::MIN, f64::max),
                ]
                .map(|number| format!("{number:.digits$}")),
            );
            cells.extend(told(self.trend(*value), *goal));
            Some(cells)
        });
        std::iter::once(head).chain(lines).collect()
    }

    /// What was to stay flat and did not, or of which it cannot be told.
    fn grown(&self) -> Vec<&'static str> {
        let goals = LINES.iter().filter(|(_, _, goal, _)| *goal);
        let grown = goals
            .filter(|(_, _, _, value)| !self.trend(*value).is_some_and(|trend| trend.is_flat()));
        grown.map(|(name, ..)| *name).collect()
    }
}

/// The last cells of a line.
fn told(trend: Option<Trend>, goal: bool) -> [String; 3] {
    let Some(trend) = trend else {
        return ["-", "-", "-"].map(String::from);
    };
    let flat = match (goal, trend.is_flat()) {
        (false, _) => "-",
        (true, true) => "yes",
        (true, false) => "NO",
    };
    [
        format!("{:.1}", trend.percent_per_hour),
        format!("{:.1} ± {:.1}", trend.grown_percent, trend.error_percent),
        flat.to_owned(),
    ]
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, rate, dead) = (self.minutes, self.rate, self.dead_percent);
        writeln!(
            f,
            "{minutes} minutes, {rate} events/s for as many subscriptions, {dead} % dead"
        )?;
        match &self.judged {
            Judged::Missing(missing) => {
                return writeln!(f, "{missing} deliveries to healthy receivers MISSING");
            }
            Judged::Complete(healthy) => writeln!(
                f,
                "healthy receivers: none missing, {} repeated; {:.2} % in time, p50 {:.1} ms, p99 {:.1} ms",
                healthy.duplicates,
                healthy.in_time_percent,
                healthy.late.p50_ms,
                healthy.late.p99_ms,
            )?,
        }
        writeln!(f, "attempts: {:?}", self.attempts)?;
        f.write_str(&aligned(&self.lines()))?;
        f.write_str(LEGEND)?;
        writeln!(f, "machine:        {}", self.machine)?;
        let goal = format!(
            "goal: grown by no more than {FLAT_PERCENT} % over the second half, or than {FLAT_ERRORS} \
             standard errors"
        );
        match &*self.grown() {
            [] => writeln!(f, "{goal}: met"),
            grown => writeln!(f, "{goal}: MISSED by: {}", grown.join(", ")),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "they are far below 2^53")]
fn whole(number: u64) -> f64 {
    number as f64
}

#[allow(clippy::cast_precision_loss, reason = "they are far below 2^53")]
fn signed(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Late;

    fn complete() -> Judged {
        Judged::Complete(Healthy {
            in_time_percent: 100.0,
            late: Late {
                p50_ms: 3.0,
                p99_ms: 9.0,
            },
            duplicates: 0,
        })
    }

    /// Of memory that is so large at each look, in MB.
    fn report(judged: Judged, memory_mb: &[u64]) -> Report {
        let sample = |(n, mb): (u32, &u64)| Sample {
            seconds: f64::from(n) * 10.0,
            memory_bytes: mb * 1_000_000,
            open_files: 40,
            threads: 9,
            table_bytes: 300,
            recorded: 1,
            ..Sample::default()
        };
        Report {
            machine: "2 x any".into(),
            minutes: 1.0,
            rate: 100,
            dead_percent: 5,
            judged,
            attempts: BTreeMap::new(),
            samples: (0..).zip(memory_mb).map(sample).collect(),
        }
    }

    #[test]
    fn only_the_second_half_says_what_grows() {
        let rising_first = report(complete(), &[10, 50, 90, 100, 100, 100]);
        assert!(
            rising_first.to_string().ends_with(": met\n"),
            "{rising_first}"
        );
        let rising = report(complete(), &[100, 100, 100, 100, 110, 120]);
        assert!(
            rising
                .to_string()
                .ends_with("MISSED by: memory MB, processor\n"),
            "{rising}"
        );
    }

    #[test]
    fn of_what_grows_by_itself_no_flatness_is_asked() {
        let mut growing = report(complete(), &[100; 6]);
        for (n, sample) in (1..).zip(&mut growing.samples) {
            sample.database_bytes = n * 1_000_000;
        }
        assert!(growing.to_string().ends_with(": met\n"), "{growing}");
    }

    #[test]
    fn where_a_delivery_is_missing_there_is_no_other_figure() {
        let lost = report(Judged::Missing(3), &[100; 6]);
        assert!(!lost.is_complete());
        assert_eq!(lost.to_string().lines().count(), 2, "{lost}");
        let written = serde_json::to_value(&lost).unwrap();
        assert_eq!(written["judged"]["missing"], 3);
        assert_eq!(written["samples"], serde_json::json!([]));
    }

    #[test]
    fn of_too_few_looks_it_cannot_be_told() {
        let short = report(complete(), &[100; 4]);
        assert!(
            short
                .to_string()
                .contains("MISSED by: memory MB, processor, open files")
        );
    }
}
