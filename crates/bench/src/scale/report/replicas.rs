//! The table of replicas. A number of them may have several lines, which tell how much one says: the
//! goal holds for their medians. Pure.

use std::collections::BTreeMap;

use super::super::Measured;
use super::super::cells::{self, line, or_dash, percent};
use super::super::replicas::Replicas;
use super::super::scene::Backlog;

/// They deliver at least this share of what the processors of the machine allow.
const SHARE: f64 = 0.8;

const HEAD: [&str; 10] = [
    "replicas",
    "deliveries/s",
    "CPU µs/delivery",
    "x fewest",
    "apart",
    "CPU µs/delivery",
    "of what cores allow",
    "CPU % in use",
    "others' CPU %",
    "duplicates",
];

/// A line each, and whether the goal is met; nothing where nothing was measured.
pub fn table(rows: &[Replicas]) -> Option<String> {
    let fewest = rows.iter().map(|row| row.replicas).min()?;
    let basis = Basis::of(rows, fewest);
    let lines = rows.iter().map(|row| {
        line(row.replicas, &row.backlog, |it| {
            cells_of(row, it, basis.as_ref())
        })
    });
    let shares = basis
        .as_ref()
        .map_or_else(BTreeMap::new, |basis| basis.shares(rows));
    let medians: Vec<String> = shares
        .iter()
        .map(|(replicas, share)| format!("{replicas}: {}", or_dash(*share)))
        .collect();
    let goal = format!(
        "at least {SHARE} of what the cores allow, medians {}",
        medians.join(", ")
    );
    let all = |share: &Option<f64>| share.is_some_and(|it| it >= SHARE);
    let met = !shares.is_empty() && shares.values().all(all);
    Some(cells::table(&HEAD, lines, &goal, met))
}

fn cells_of(row: &Replicas, it: &Backlog, basis: Option<&Basis>) -> Vec<String> {
    let apart = row.apart.as_ref().and_then(Measured::figures);
    let dash = || "-".to_owned();
    vec![
        format!("{:.0}", it.drained.per_second),
        format!("{:.1}", it.drained.cpu_micros.processor),
        or_dash(basis.map(|basis| it.drained.per_second / basis.per_second)),
        apart.map_or_else(dash, |it| format!("{:.0}", it.drained.per_second)),
        apart.map_or_else(dash, |it| format!("{:.1}", it.drained.cpu_micros.processor)),
        or_dash(basis.map(|basis| basis.share(row.replicas, it))),
        format!("{:.0}", it.drained.busy_percent),
        percent(it.drained.others_percent),
        it.duplicates.to_string(),
    ]
}

/// What the fewest replicas did, by the median of their lines.
struct Basis {
    replicas: u32,
    per_second: f64,
    /// How much of the machine is in use for that.
    busy_percent: f64,
}

impl Basis {
    /// Nothing where a delivery of theirs is missing.
    fn of(rows: &[Replicas], fewest: u32) -> Option<Self> {
        let lines = rows.iter().filter(|row| row.replicas == fewest);
        let lines: Vec<&Backlog> = lines
            .map(|row| row.backlog.figures())
            .collect::<Option<_>>()?;
        let of = |figure: fn(&Backlog) -> f64| median(lines.iter().map(|it| figure(it)).collect());
        Some(Self {
            replicas: fewest,
            per_second: of(|it| it.drained.per_second)?,
            busy_percent: of(|it| it.drained.busy_percent)?,
        })
    }

    /// How much so many deliver of what the machine allows.
    fn share(&self, replicas: u32, it: &Backlog) -> f64 {
        let more = f64::from(replicas) / f64::from(self.replicas);
        let left = 100.0 / self.busy_percent;
        it.drained.per_second / (self.per_second * more.min(left))
    }

    /// The median of each number of replicas; nothing where a delivery is missing.
    fn shares(&self, rows: &[Replicas]) -> BTreeMap<u32, Option<f64>> {
        let mut lines: BTreeMap<u32, Vec<Option<f64>>> = BTreeMap::new();
        for row in rows {
            let share = row.backlog.figures();
            let share = share.map(|it| self.share(row.replicas, it));
            lines.entry(row.replicas).or_default().push(share);
        }
        let median_of =
            |shares: Vec<Option<f64>>| median(shares.into_iter().collect::<Option<_>>()?);
        lines
            .into_iter()
            .map(|(replicas, shares)| (replicas, median_of(shares)))
            .collect()
    }
}

/// The one in the middle, or what is between the two there.
fn median(mut of: Vec<f64>) -> Option<f64> {
    of.sort_unstable_by(f64::total_cmp);
    let upper = of.len() / 2;
    let lower = of.len().checked_sub(1)? / 2;
    Some(f64::midpoint(*of.get(lower)?, *of.get(upper)?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{backlog, is_met};
    use super::*;

    fn row(replicas: u32, per_second: f64) -> Replicas {
        Replicas {
            replicas,
            backlog: backlog(per_second, 10.0),
            apart: None,
        }
    }

    #[test]
    fn they_are_held_against_what_one_left_of_the_machine() {
        // One uses half of it: two may be twice as fast, and four no more than that.
        for (two, four, met) in [
            (160.0, 160.0, true),
            (160.0, 159.0, false),
            (159.0, 200.0, false),
        ] {
            let rows = [row(1, 100.0), row(2, two), row(4, four)];
            assert_eq!(is_met(table(&rows)), met, "{:?}", table(&rows));
        }
    }

    #[test]
    fn of_several_lines_the_median_is_held_against_the_median() {
        let ones = [90.0, 100.0, 200.0].map(|rate| row(1, rate));
        for (twos, met) in [
            ([100.0, 160.0, 161.0], true),
            ([159.0, 159.0, 500.0], false),
        ] {
            let rows = [ones.to_vec(), twos.map(|rate| row(2, rate)).to_vec()].concat();
            assert_eq!(is_met(table(&rows)), met, "{:?}", table(&rows));
        }
        assert_eq!(median(vec![3.0, 1.0, 2.0, 9.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn where_a_delivery_is_missing_nothing_is_met() {
        for missing in [1, 2] {
            let mut rows = [row(1, 100.0), row(1, 100.0), row(2, 200.0), row(2, 200.0)];
            let gone = rows.iter_mut().find(|row| row.replicas == missing).unwrap();
            gone.backlog = Measured::Missing(3);
            assert!(!is_met(table(&rows)), "{:?}", table(&rows));
        }
    }
}
