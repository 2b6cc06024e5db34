//! What a replica has counted since it wrote that down last. Pure.
//!
//! It holds a cell for each subscription and result, and for each city and result, up to
//! a number of cities: all others are one. Results are an outcome and a class of failure, both from
//! closed sets.

use std::collections::HashMap;

use common::statistics::Cell;
use uuid::Uuid;

use super::MAX_CITY_BYTES;

/// What became of a delivery: the outcome, and the class of the failure (or nothing).
pub type Became = (&'static str, &'static str);

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub(super) received: u64,
    pub(super) subscriptions: HashMap<(Uuid, Became), Cell>,
    /// A few results each.
    pub(super) cities: HashMap<String, Vec<(Became, Cell)>>,
    pub(super) other_cities: Vec<(Became, Cell)>,
}

/// One delivery that is settled.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    pub subscription_id: Uuid,
    /// `None` where it tells of none.
    pub city: Option<&'a str>,
    pub result: Became,
    /// How long the receiver took, in microseconds, if an attempt was made.
    pub latency_us: Option<u64>,
    /// From publishing to delivered, in microseconds, if it is and that is known.
    pub delay_us: Option<u64>,
}

impl Tally {
    pub fn is_empty(&self) -> bool {
        self.received == 0 && self.subscriptions.is_empty()
    }

    /// Counts an event that was taken from the topic.
    pub fn receive(&mut self) {
        self.received += 1;
    }

    /// Counts a delivery; by itself no more than so many cities.
    pub fn count(&mut self, counted: &Counted<'_>, max_cities: usize) {
        let at = (counted.subscription_id, counted.result);
        add(self.subscriptions.entry(at).or_default(), counted);
        let Some(city) = counted.city else {
            return;
        };
        let results = self.results(city, max_cities);
        let at = results
            .iter()
            .position(|(result, _)| *result == counted.result);
        let at = at.unwrap_or_else(|| {
            results.push((counted.result, Cell::default()));
            results.len() - 1
        });
        add(&mut results[at].1, counted);
    }

    fn results(&mut self, city: &str, max_cities: usize) -> &mut Vec<(Became, Cell)> {
        if !self.cities.contains_key(city) {
            if self.cities.len() >= max_cities || !is_a_name(city) {
                return &mut self.other_cities;
            }
            self.cities.insert(city.to_owned(), Vec::new());
        }
        self.cities.get_mut(city).unwrap_or(&mut self.other_cities)
    }
}

/// Whether Postgres can keep and index it.
fn is_a_name(city: &str) -> bool {
    city.len() <= MAX_CITY_BYTES && !city.contains(char::is_control)
}

fn add(cell: &mut Cell, counted: &Counted<'_>) {
    cell.count += 1;
    if let Some(latency_us) = counted.latency_us {
        cell.attempts += 1;
        cell.latency.record(latency_us);
    }
    if let Some(delay_us) = counted.delay_us {
        cell.delay.record(delay_us);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const DELIVERED: Became = ("delivered", "");
    pub(in super::super) const REFUSED: Became = ("retry", "http_5xx");

    /// A delivery that took a millisecond, and ten since it was published if it succeeded.
    pub(in super::super) fn counted(id: u128, city: &str, result: Became) -> Counted<'_> {
        Counted {
            subscription_id: Uuid::from_u128(id),
            city: Some(city),
            result,
            latency_us: Some(1_000),
            delay_us: (result == DELIVERED).then_some(10_000),
        }
    }

    #[test]
    fn a_delivery_is_counted_for_its_subscription_and_for_its_city() {
        let mut tally = Tally::default();
        assert!(tally.is_empty());
        for (id, city, result) in [
            (1, "Oslo", DELIVERED),
            (1, "Rome", REFUSED),
            (2, "Rome", REFUSED),
        ] {
            tally.count(&counted(id, city, result), 10);
        }
        let one = &tally.subscriptions[&(Uuid::from_u128(1), DELIVERED)];
        assert_eq!((one.count, one.attempts), (1, 1));
        assert_eq!((one.latency.sum_us, one.delay.sum_us), (1_000, 10_000));
        let (result, rome) = &tally.cities["Rome"][0];
        assert_eq!(
            (*result, rome.count, rome.delay.histogram.count()),
            (REFUSED, 2, 0)
        );
        assert!(!tally.is_empty());
    }

    #[test]
    fn what_was_not_attempted_counts_as_no_attempt() {
        let mut tally = Tally::default();
        let parked = Counted {
            latency_us: None,
            city: None,
            ..counted(1, "", ("parked", ""))
        };
        tally.count(&parked, 10);
        let cell = tally
            .subscriptions
            .values()
            .next()
            .map(|cell| (cell.count, cell.attempts));
        assert_eq!(cell, Some((1, 0)));
        assert!(tally.cities.is_empty() && tally.other_cities.is_empty());
    }

    #[test]
    fn cities_beyond_the_number_and_names_that_cannot_be_kept_are_others() {
        let mut tally = Tally::default();
        let long = "x".repeat(MAX_CITY_BYTES + 1);
        for city in ["a", "b", "c", "a", "nu\0l", &long] {
            tally.count(&counted(1, city, DELIVERED), 2);
        }
        assert_eq!(tally.cities.len(), 2);
        assert_eq!(tally.cities["a"][0].1.count, 2);
        assert_eq!(tally.other_cities[0].1.count, 3);
    }
}
