//! Adds cells to those that are there: deltas to a minute, minutes to an hour and a day. Pure.
//!
//! By city no cell of time has more than a number of them, whatever is added in whatever order: all
//! others are counted as one.

use std::collections::{HashMap, HashSet};

use common::statistics::{Cell, Family, Key};

/// The cells of one stretch of time, and which of them changed.
#[derive(Debug, Default)]
pub struct Cells {
    held: HashMap<Key, Cell>,
    changed: HashSet<Key>,
    cities: HashSet<String>,
    max_cities: usize,
}

impl Cells {
    /// Those that are there.
    pub fn holding(cells: impl IntoIterator<Item = (Key, Cell)>, max_cities: usize) -> Self {
        let held: HashMap<Key, Cell> = cells.into_iter().collect();
        let of_cities = held.keys().filter(|key| key.family == Family::City);
        Self {
            cities: of_cities.map(|key| key.key.clone()).collect(),
            held,
            changed: HashSet::new(),
            max_cities,
        }
    }

    /// Adds a cell.
    pub fn add(&mut self, key: Key, cell: &Cell) {
        let key = self.bounded(key);
        self.held.entry(key.clone()).or_default().merge(cell);
        self.changed.insert(key);
    }

    fn bounded(&mut self, mut key: Key) -> Key {
        if key.family != Family::City || self.cities.contains(&key.key) {
            return key;
        }
        if self.cities.len() < self.max_cities {
            self.cities.insert(key.key.clone());
            return key;
        }
        key.family = Family::OtherCities;
        key.key.clear();
        key
    }

    /// Those that are not any more as they were, in the order of their keys.
    pub fn into_changed(mut self) -> Vec<(Key, Cell)> {
        let mut keys: Vec<Key> = self.changed.into_iter().collect();
        keys.sort_unstable();
        let cells = keys.into_iter();
        cells
            .filter_map(|key| self.held.remove_entry(&key))
            .collect()
    }
}

/// What a subscription's cell counts for besides: for all, and for its owner if it has one.
pub fn also(key: &Key, owner: Option<&str>) -> impl Iterator<Item = Key> {
    let for_all = (Family::All, String::new());
    let for_owner = owner.map(|owner| (Family::Owner, owner.to_owned()));
    let (outcome, failure) = (key.outcome.clone(), key.failure.clone());
    [Some(for_all), for_owner]
        .into_iter()
        .flatten()
        .map(move |(family, key)| Key {
            family,
            key,
            outcome: outcome.clone(),
            failure: failure.clone(),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(family: Family, key: &str) -> Key {
        Key {
            family,
            key: key.into(),
            outcome: "delivered".into(),
            failure: String::new(),
        }
    }

    fn cell(count: u64) -> Cell {
        let mut cell = Cell {
            count,
            attempts: count,
            ..Cell::default()
        };
        (0..count).for_each(|at| cell.latency.record(at * 1000));
        cell
    }

    #[test]
    fn only_what_changed_is_written() {
        let there = [
            (key(Family::City, "Oslo"), cell(2)),
            (key(Family::All, ""), cell(5)),
        ];
        let mut cells = Cells::holding(there, 1);
        cells.add(key(Family::City, "Oslo"), &cell(1));
        cells.add(key(Family::City, "Rome"), &cell(4));
        let counts = cells.into_changed().into_iter();
        let counts: Vec<_> = counts
            .map(|(key, cell)| (key.family, key.key, cell.count))
            .collect();
        let expected = [
            (Family::City, "Oslo".into(), 3),
            (Family::OtherCities, String::new(), 4),
        ];
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_subscription_counts_for_all_and_for_its_owner() {
        let of = key(Family::Subscription, "id");
        let also = |owner| also(&of, owner).collect::<Vec<_>>();
        assert_eq!(also(None), [key(Family::All, "")]);
        assert_eq!(
            also(Some("acme")),
            [key(Family::All, ""), key(Family::Owner, "acme")]
        );
    }

    proptest! {
        /// Folded one by one or all at once, with any restart between: the same sums.
        #[test]
        fn however_they_are_added_nothing_is_lost_and_cities_stay_bounded(
            added in proptest::collection::vec(("[a-f]", 1..5_u64), 1..40),
            restarts in 1..10_usize, max in 0..4_usize,
        ) {
            let mut held: HashMap<Key, Cell> = HashMap::new();
            for some in added.chunks(restarts) {
                let mut cells = Cells::holding(held.clone(), max);
                for (city, count) in some {
                    cells.add(key(Family::City, city), &cell(*count));
                }
                held.extend(cells.into_changed());
            }
            let cities = held.keys().filter(|key| key.family == Family::City).count();
            prop_assert!(cities <= max);
            let mut total = Cell::default();
            for cell in held.values() {
                total.merge(cell);
            }
            let mut expected = Cell::default();
            for (_, count) in &added {
                expected.merge(&cell(*count));
            }
            prop_assert_eq!(total, expected);
        }
    }
}
