//! A tally as bytes: what one row of `statistics_deltas` holds. Pure.
//!
//! A version, the words (outcomes and classes of failures) once each, then the cells, with numbers
//! in as few bytes as they need. A version that is not known is refused, and the row stays for who
//! knows it: a replica of another release may write there.

use common::statistics::{Cell, Family, Histogram, Key, RECEIVED, Timing, varint};
use uuid::Uuid;

use super::tally::{Became, Tally};

/// The first byte.
pub const VERSION: u8 = 1;

/// Why bytes are no tally.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it is of version {0}")]
    Version(u8),
    #[error("it breaks off, or holds what no tally does")]
    Broken,
}

/// Writes a tally down.
pub fn pack(tally: &Tally) -> Vec<u8> {
    let words = words(tally);
    let mut bytes = vec![VERSION];
    put(&mut bytes, words.len());
    for word in &words {
        put_text(&mut bytes, word);
    }
    varint::put(&mut bytes, tally.received);
    put(&mut bytes, tally.subscriptions.len());
    for ((id, result), cell) in &tally.subscriptions {
        bytes.extend(id.as_bytes());
        put_result(&mut bytes, &words, *result, cell);
    }
    put(&mut bytes, tally.cities.len());
    for (city, results) in &tally.cities {
        put_text(&mut bytes, city);
        put_results(&mut bytes, &words, results);
    }
    put_results(&mut bytes, &words, &tally.other_cities);
    bytes
}

/// All words of a tally.
fn words(tally: &Tally) -> Vec<&'static str> {
    let of_cities = tally.cities.values().chain([&tally.other_cities]).flatten();
    let results = tally.subscriptions.keys().map(|(_, result)| *result);
    let results = results.chain(of_cities.map(|(result, _)| *result));
    let mut words: Vec<&str> = Vec::new();
    for word in results.flat_map(|(outcome, failure)| [outcome, failure]) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

fn put(bytes: &mut Vec<u8>, count: usize) {
    varint::put(bytes, count as u64);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put(bytes, text.len());
    bytes.extend(text.as_bytes());
}

fn put_results(bytes: &mut Vec<u8>, words: &[&str], results: &[(Became, Cell)]) {
    put(bytes, results.len());
    for (result, cell) in results {
        put_result(bytes, words, *result, cell);
    }
}

fn put_result(bytes: &mut Vec<u8>, words: &[&str], (outcome, failure): Became, cell: &Cell) {
    for word in [outcome, failure] {
        let at = words.iter().position(|known| *known == word);
        put(bytes, at.expect("all words were gathered before"));
    }
    varint::put(bytes, cell.count);
    varint::put(bytes, cell.attempts);
    for timing in [&cell.latency, &cell.delay] {
        varint::put(bytes, timing.sum_us);
        let histogram = timing.histogram.to_bytes();
        put(bytes, histogram.len());
        bytes.extend(histogram);
    }
}

/// Reads what was written down, as cells by what they count.
///
/// # Errors
/// Why it is no tally.
pub fn unpack(bytes: &[u8]) -> Result<Vec<(Key, Cell)>, Error> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Packed { bytes: rest }.cells().ok_or(Error::Broken),
        Some((version, _)) => Err(Error::Version(*version)),
        None => Err(Error::Broken),
    }
}

/// What is left to be read.
struct Packed<'a> {
    bytes: &'a [u8],
}

impl<'a> Packed<'a> {
    fn cells(mut self) -> Option<Vec<(Key, Cell)>> {
        let mut words = Vec::new();
        for _ in 0..self.count()? {
            words.push(self.text()?);
        }
        let mut cells = self.received()?;
        for _ in 0..self.count()? {
            let id = Uuid::from_slice(self.take(16)?).ok()?.to_string();
            cells.push(self.result(&words, Family::Subscription, &id)?);
        }
        for _ in 0..self.count()? {
            let city = self.text()?;
            self.results(&words, (Family::City, city), &mut cells)?;
        }
        self.results(&words, (Family::OtherCities, ""), &mut cells)?;
        self.bytes.is_empty().then_some(cells)
    }

    fn received(&mut self) -> Option<Vec<(Key, Cell)>> {
        let count = varint::take(&mut self.bytes)?;
        let cell = Cell {
            count,
            ..Cell::default()
        };
        let received = (count > 0).then(|| (key(Family::All, "", RECEIVED, ""), cell));
        Some(received.into_iter().collect())
    }

    fn results(
        &mut self,
        words: &[&str],
        (family, of): (Family, &str),
        cells: &mut Vec<(Key, Cell)>,
    ) -> Option<()> {
        for _ in 0..self.count()? {
            cells.push(self.result(words, family, of)?);
        }
        Some(())
    }

    fn result(&mut self, words: &[&str], family: Family, of: &str) -> Option<(Key, Cell)> {
        let outcome = *words.get(self.count()?)?;
        let failure = *words.get(self.count()?)?;
        let cell = Cell {
            count: varint::take(&mut self.bytes)?,
            attempts: varint::take(&mut self.bytes)?,
            latency: self.timing()?,
            delay: self.timing()?,
        };
        Some((key(family, of, outcome, failure), cell))
    }

    fn timing(&mut self) -> Option<Timing> {
        let sum_us = varint::take(&mut self.bytes)?;
        let length = self.count()?;
        let histogram = Histogram::from_bytes(self.take(length)?)?;
        Some(Timing { sum_us, histogram })
    }

    fn count(&mut self) -> Option<usize> {
        varint::take(&mut self.bytes)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        str::from_utf8(self.take(length)?).ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}

fn key(family: Family, of: &str, outcome: &str, failure: &str) -> Key {
    Key {
        family,
        key: of.to_owned(),
        outcome: outcome.to_owned(),
        failure: failure.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::super::tally::Counted;
    use super::super::tally::tests::{DELIVERED, REFUSED};
    use super::*;

    fn deliveries() -> impl Strategy<Value = Vec<(u128, String, Became, u64)>> {
        let results = prop_oneof![Just(DELIVERED), Just(REFUSED), Just(("parked", ""))];
        proptest::collection::vec((0..5_u128, "[a-zé]{0,3}", results, any::<u64>()), 0..50)
    }

    proptest! {
        #[test]
        fn a_tally_is_read_as_it_was_counted(all in deliveries(), received in 0..9_u64) {
            let mut tally = Tally::default();
            let mut counts: HashMap<(String, Became), u64> = HashMap::new();
            (0..received).for_each(|_| tally.receive());
            for (id, city, result, time) in &all {
                let id = Uuid::from_u128(*id);
                let counted = Counted {
                    subscription_id: id, city: Some(city), result: *result,
                    latency_us: Some(*time), delay_us: Some(time / 2),
                };
                tally.count(&counted, 3);
                *counts.entry((id.to_string(), *result)).or_default() += 1;
            }
            let cells = unpack(&pack(&tally)).expect("it is one");
            let of = |family| cells.iter().filter(move |(key, _)| key.family == family);
            for (key, cell) in of(Family::Subscription) {
                let counted = counts.iter().find(|((id, (outcome, failure)), _)| {
                    (id, *outcome, *failure) == (&key.key, &*key.outcome, &*key.failure)
                });
                prop_assert_eq!(counted.map(|(_, count)| *count), Some(cell.count));
                prop_assert_eq!(cell.latency.histogram.count(), cell.attempts);
            }
            prop_assert_eq!(of(Family::Subscription).count(), counts.len());
            let by_city = of(Family::City).chain(of(Family::OtherCities));
            prop_assert_eq!(by_city.map(|(_, cell)| cell.count).sum::<u64>(), all.len() as u64);
            prop_assert_eq!(of(Family::All).map(|(_, cell)| cell.count).sum::<u64>(), received);
        }

        #[test]
        fn what_is_no_tally_is_refused_and_nothing_panics(mut bytes: Vec<u8>) {
            prop_assume!(bytes.first().is_none_or(|version| *version != VERSION));
            prop_assert!(unpack(&bytes).is_err());
            bytes.insert(0, VERSION);
            drop(unpack(&bytes));
        }
    }

    #[test]
    fn one_that_breaks_off_or_goes_on_is_broken() {
        let mut tally = Tally::default();
        tally.receive();
        let mut whole = pack(&tally);
        assert!(unpack(&whole).is_ok());
        assert_eq!(unpack(&whole[..whole.len() - 1]), Err(Error::Broken));
        whole.push(0);
        assert_eq!(unpack(&whole), Err(Error::Broken));
        assert_eq!(unpack(&[2, 0]), Err(Error::Version(2)));
    }
}
