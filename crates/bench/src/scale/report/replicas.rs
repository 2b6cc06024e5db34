//! The table of replicas. A number of them may have several lines, which tell how much one says: each is
//! held against the fewest replicas of its round, for the machine is not as fast in the next. Pure.

use super::super::Measured;
use super::super::cells::{self, line, or_dash, percent};
use super::super::replicas::Replicas;
use super::super::scene::Backlog;

/// They deliver at least this share of what the processors of the machine allow.
const SHARE: f64 = 0.8;

const HEAD: [&str; 11] = [
    "replicas",
    "deliveries/s",
    "CPU µs/delivery",
    "x one",
    "apart",
    "CPU µs/delivery",
    "x apart",
    "of what cores allow",
    "CPU % in use",
    "others' CPU %",
    "duplicates",
];

/// A line each, and whether all meet the goal; nothing where nothing was measured.
pub fn table(rows: &[Replicas]) -> Option<String> {
    let fewest = rows.iter().map(|row| row.replicas).min()?;
    let mut one = rows.iter().find(|row| row.replicas == fewest)?;
    let (mut lines, mut met) = (Vec::new(), true);
    for row in rows {
        if row.replicas == fewest {
            one = row;
        }
        lines.push(line(row.replicas, &row.backlog, |it| {
            cells_of(row, it, one)
        }));
        met &= share_of_allowed(row, one).is_some_and(|share| share >= SHARE);
    }
    let goal = format!("at least {SHARE} of what the cores allow");
    Some(cells::table(&HEAD, lines.into_iter(), &goal, met))
}

fn cells_of(row: &Replicas, it: &Backlog, one: &Replicas) -> Vec<String> {
    let apart = row.apart.as_ref().and_then(Measured::figures);
    let one_per_second = one.backlog.figures().map(|one| one.drained.per_second);
    let dash = || "-".to_owned();
    vec![
        format!("{:.0}", it.drained.per_second),
        format!("{:.1}", it.drained.cpu_micros.processor),
        or_dash(one_per_second.map(|one| it.drained.per_second / one)),
        apart.map_or_else(dash, |it| format!("{:.0}", it.drained.per_second)),
        apart.map_or_else(dash, |it| format!("{:.1}", it.drained.cpu_micros.processor)),
        or_dash(apart.map(|apart| it.drained.per_second / apart.drained.per_second)),
        or_dash(share_of_allowed(row, one)),
        format!("{:.0}", it.drained.busy_percent),
        percent(it.drained.others_percent),
        it.duplicates.to_string(),
    ]
}

/// How much of what the machine allows so many replicas deliver: `one` says how much of it is in use for
/// that rate. Nothing where a delivery is missing.
fn share_of_allowed(row: &Replicas, one: &Replicas) -> Option<f64> {
    let (it, of_one) = (row.backlog.figures()?, one.backlog.figures()?);
    let more = f64::from(row.replicas) / f64::from(one.replicas);
    let left = 100.0 / of_one.drained.busy_percent;
    Some(it.drained.per_second / (of_one.drained.per_second * more.min(left)))
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
    fn each_is_held_against_the_one_of_its_round_and_all_are_to_meet_it() {
        let rounds = |shares: [f64; 3]| -> Vec<Replicas> {
            let rates = [100.0, 200.0, 400.0].into_iter().zip(shares);
            rates
                .flat_map(|(rate, share)| [row(1, rate), row(2, 2.0 * rate * share)])
                .collect()
        };
        for (shares, met) in [([0.8, 0.8, 0.9], true), ([0.9, 0.9, 0.79], false)] {
            let rows = rounds(shares);
            assert_eq!(is_met(table(&rows)), met, "{:?}", table(&rows));
        }
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
