//! Recorded readings, from a CSV file with the columns `timestamp,city,reading,unit` (RFC 4180
//! without line breaks in fields; timestamps are RFC 3339).
//!
//! The whole file is read and checked before the first event is published, so that an error in its
//! last line is known at once; it is held in memory, about 80 bytes a row. Every row is an event,
//! also one that repeats the reading before it, and keeps its recorded time, in each round.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};

use crate::reading::Reading;

/// The first line of every recording.
const HEADER: [&str; 4] = ["timestamp", "city", "reading", "unit"];

/// The longest city or unit, in bytes; it keeps an event far below the largest that is relayed.
const MAX_NAME_BYTES: usize = 256;

/// A recording that was checked.
#[derive(Debug)]
pub struct Recording(Vec<Row>);

#[derive(Debug)]
struct Row {
    timestamp: DateTime<Utc>,
    city: Arc<str>,
    reading: f64,
    unit: Arc<str>,
}

impl Recording {
    /// Reads a file.
    ///
    /// # Errors
    /// That it cannot be read, or the file, line and what is wrong there.
    pub async fn load(path: &Path) -> anyhow::Result<Self> {
        let bytes = tokio::fs::read(path).await;
        let bytes = bytes.with_context(|| format!("reading {}", path.display()))?;
        parse(&bytes).map_err(|fault| fault.in_file(path))
    }

    /// The readings in their order: once, or again and again.
    pub fn readings(self, again: bool) -> impl Iterator<Item = Reading> + Send {
        let rounds = if again { usize::MAX } else { 1 };
        let count = self.0.len();
        let mut last = HashMap::new();
        (0..rounds)
            .flat_map(move |_| 0..count)
            .map(move |row| self.0[row].reading_after(&mut last))
    }
}

impl Row {
    /// The reading, given the last of each city, among which it takes its place.
    fn reading_after(&self, last: &mut HashMap<Arc<str>, f64>) -> Reading {
        Reading {
            timestamp: self.timestamp,
            city: self.city.clone(),
            value: self.reading,
            unit: self.unit.clone(),
            previous: last.insert(self.city.clone(), self.reading),
        }
    }
}

/// What is wrong with a recording, and in which line, from 1.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: usize,
    what: String,
}

impl Fault {
    fn in_file(&self, path: &Path) -> anyhow::Error {
        anyhow::anyhow!("{}, line {}: {}", path.display(), self.line, self.what)
    }
}

fn parse(bytes: &[u8]) -> Result<Recording, Fault> {
    let mut names = Names::default();
    let mut lines = (1..).zip(lines(bytes));
    let at = |line| move |what| Fault { line, what };
    let (_, header) = lines.next().unwrap_or((1, b""));
    check_header(header).map_err(at(1))?;
    let rows = lines
        .map(|(line, text)| names.row(text).map_err(at(line)))
        .collect::<Result<Vec<Row>, Fault>>()?;
    if rows.is_empty() {
        return Err(at(2)("there is no reading".into()));
    }
    Ok(Recording(rows))
}

/// The lines without their ends; the last may or may not have one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn check_header(line: &[u8]) -> Result<(), String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let found = fields(line)?;
    if found == HEADER {
        return Ok(());
    }
    let (wanted, found) = (HEADER.join(","), found.join(","));
    Err(format!("the columns must be {wanted:?}, not {found:?}"))
}

/// The names in the rows, each kept once.
#[derive(Default)]
struct Names(HashSet<Arc<str>>);

impl Names {
    fn row(&mut self, line: &[u8]) -> Result<Row, String> {
        let fields: [String; 4] = fields(line)?
            .try_into()
            .map_err(|found: Vec<_>| format!("there are {} columns, not 4", found.len()))?;
        let [timestamp, city, reading, unit] = &fields;
        Ok(Row {
            timestamp: timestamp
                .parse()
                .map_err(|e| format!("timestamp {timestamp:?} is not one of RFC 3339: {e}"))?,
            city: self.name("city", city)?,
            reading: number(reading)?,
            unit: self.name("unit", unit)?,
        })
    }

    fn name(&mut self, column: &str, text: &str) -> Result<Arc<str>, String> {
        if text.is_empty() {
            return Err(format!("{column} is empty"));
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(format!("{column} is longer than {MAX_NAME_BYTES} bytes"));
        }
        if let Some(name) = self.0.get(text) {
            return Ok(name.clone());
        }
        let name: Arc<str> = text.into();
        self.0.insert(name.clone());
        Ok(name)
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .ok_or_else(|| format!("reading {text:?} is not a number"))
}

/// The fields of a line; a quoted one may hold commas, and quotes doubled.
fn fields(line: &[u8]) -> Result<Vec<String>, String> {
    let mut rest = str::from_utf8(line).map_err(|_| "the line is not UTF-8")?;
    let mut fields = Vec::with_capacity(HEADER.len());
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => bare(rest),
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("a closing quote is followed by more than a comma".into()),
        }
    }
}

fn bare(text: &str) -> (String, &str) {
    let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    (field.to_owned(), after)
}

/// Reads to the closing quote; what is before it, and what is after.
fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => rest = more,
            None => return Ok((field, after)),
        }
        field.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_CITIES: &str = "timestamp,city,reading,unit\n\
        2026-01-01T00:00:00Z,Oslo,-1.5,C\n\
        2026-01-01T00:00:00Z,\"Washington, \"\"D.C.\"\"\",3,C\n\
        2026-01-01T01:00:00+01:00,Oslo,-1.5,C\n";

    fn readings(text: &str, again: bool) -> impl Iterator<Item = Reading> {
        parse(text.as_bytes()).unwrap().readings(again)
    }

    #[test]
    fn each_row_is_a_reading_that_knows_the_one_before() {
        let all: Vec<_> = readings(TWO_CITIES, false)
            .map(|r| (r.city.to_string(), r.value, r.previous))
            .collect();
        let washington = "Washington, \"D.C.\"".to_owned();
        assert_eq!(
            all,
            [
                ("Oslo".into(), -1.5, None),
                (washington, 3.0, None),
                ("Oslo".into(), -1.5, Some(-1.5)),
            ]
        );
    }

    #[test]
    fn a_loop_begins_again_with_the_recorded_times() {
        let all: Vec<_> = readings(TWO_CITIES, true).take(7).collect();
        assert_eq!(all[0].timestamp, all[3].timestamp);
        assert_eq!(all[3].previous, Some(-1.5));
        assert_eq!(all[6], all[3]);
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_are_no_fault() {
        let text = format!("\u{feff}{}", TWO_CITIES.replace('\n', "\r\n"));
        assert_eq!(readings(&text, false).count(), 3);
    }

    #[test]
    fn a_fault_is_named_with_its_line() {
        let good = "2026-01-01T00:00:00Z,Oslo,1,C";
        let long = format!("2026-01-01T00:00:00Z,{},1,C", "x".repeat(257));
        for (row, what) in [
            ("", "there are 1 columns, not 4"),
            ("2026-01-01T00:00:00Z,Oslo,1", "there are 3 columns"),
            ("2026-01-01T00:00:00Z,Oslo,1,C,x", "there are 5 columns"),
            (
                "yesterday,Oslo,1,C",
                "timestamp \"yesterday\" is not one of RFC 3339",
            ),
            ("2026-01-01T00:00:00Z,,1,C", "city is empty"),
            (
                "2026-01-01T00:00:00Z,Oslo,warm,C",
                "reading \"warm\" is not a number",
            ),
            (
                "2026-01-01T00:00:00Z,Oslo,NaN,C",
                "reading \"NaN\" is not a number",
            ),
            ("2026-01-01T00:00:00Z,Oslo,1,", "unit is empty"),
            ("2026-01-01T00:00:00Z,\"Oslo,1,C", "a quote is not closed"),
            (
                "2026-01-01T00:00:00Z,\"Oslo\"x,1,C",
                "a closing quote is followed",
            ),
            (&long, "city is longer than 256 bytes"),
        ] {
            let text = format!("timestamp,city,reading,unit\n{good}\n{row}\n{good}\n");
            let fault = parse(text.as_bytes()).unwrap_err();
            assert_eq!(fault.line, 3, "{row}");
            assert!(fault.what.contains(what), "{row}: {}", fault.what);
        }
    }

    #[test]
    fn a_file_that_is_no_recording_is_told_what_it_lacks() {
        for (bytes, line, what) in [
            (&b""[..], 1, "the columns must be"),
            (b"city,reading\n", 1, "the columns must be"),
            (b"timestamp,city,reading,unit\n", 2, "there is no reading"),
            (b"timestamp,city,reading,unit\n\xff\n", 2, "not UTF-8"),
        ] {
            let fault = parse(bytes).unwrap_err();
            assert_eq!(fault.line, line);
            assert!(fault.what.contains(what), "{}", fault.what);
        }
    }

    #[tokio::test]
    async fn the_recording_of_this_repository_is_a_good_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/temperatures.csv");
        let recording = Recording::load(Path::new(path)).await.unwrap();
        assert_eq!(recording.readings(false).count(), 14_603);
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_named() {
        let error = Recording::load(Path::new("no/such.csv")).await.unwrap_err();
        assert_eq!(error.to_string(), "reading no/such.csv");
    }
}
