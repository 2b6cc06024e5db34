//! What was received, counted. The one lock of the receiver is in here, held for two look-ups.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::{Counter, counter, describe_counter};
use serde::Serialize;

use crate::recent::{Digest, Recent};

/// Counts requests by `result`: `distinct`, `duplicate` or `refused`.
const REQUESTS: &str = "webhook_requests_total";

/// How many cities are counted by name, and how long a name may be, in bytes: a sender must not
/// decide how much memory that takes. What is beyond is counted under no city.
const MAX_CITIES: usize = 10_000;
const MAX_CITY_BYTES: usize = 256;

/// The receiver's counts and memory.
#[derive(Debug)]
pub struct Inbox {
    remember: NonZeroUsize,
    state: Mutex<State>,
    meters: Meters,
}

#[derive(Debug)]
struct State {
    recent: Recent,
    counts: Counts,
}

/// What was received since the start, or since it was reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Deliveries answered with a success: distinct events and duplicates.
    pub total: u64,
    /// Those whose `webhook-id` had not been seen.
    pub distinct: u64,
    /// Those whose `webhook-id` had.
    pub duplicates: u64,
    /// Requests answered otherwise, or never.
    pub refused: u64,
    /// Distinct events by city; those without one are in `distinct` only.
    pub by_city: BTreeMap<String, u64>,
}

/// Whether a delivery's event had come before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// It had not.
    Distinct,
    /// It had.
    Duplicate,
}

impl Inbox {
    /// An empty inbox that remembers so many ids.
    pub fn new(remember: NonZeroUsize) -> Self {
        Self {
            remember,
            state: Mutex::new(State::new(remember)),
            meters: Meters::new(),
        }
    }

    /// Counts a delivery.
    pub fn receive(&self, id: Digest, city: Option<&str>) -> Novelty {
        let novelty = self.lock().receive(id, city);
        self.meters.received(novelty);
        novelty
    }

    /// Counts a request that was not received.
    pub fn refuse(&self) {
        self.lock().counts.refused += 1;
        self.meters.refused.increment(1);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Forgets counts and ids. The metrics go on: a scraper expects them to grow.
    pub fn reset(&self) {
        let fresh = State::new(self.remember);
        let old = std::mem::replace(&mut *self.lock(), fresh);
        // A million ids take a while to free; the lock is free again by now.
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(remember: NonZeroUsize) -> Self {
        Self {
            recent: Recent::new(remember.get()),
            counts: Counts::default(),
        }
    }

    fn receive(&mut self, id: Digest, city: Option<&str>) -> Novelty {
        self.counts.total += 1;
        if !self.recent.insert(id) {
            self.counts.duplicates += 1;
            return Novelty::Duplicate;
        }
        self.counts.distinct += 1;
        if let Some(city) = city {
            self.counts.add_city(city);
        }
        Novelty::Distinct
    }
}

impl Counts {
    fn add_city(&mut self, city: &str) {
        if let Some(count) = self.by_city.get_mut(city) {
            *count += 1;
        } else if self.by_city.len() < MAX_CITIES && city.len() <= MAX_CITY_BYTES {
            self.by_city.insert(city.into(), 1);
        }
    }
}

/// The metrics, looked up once.
struct Meters {
    distinct: Counter,
    duplicate: Counter,
    refused: Counter,
}

impl Meters {
    fn new() -> Self {
        describe_counter!(REQUESTS, "POST requests, by what became of them");
        Self {
            distinct: counter!(REQUESTS, "result" => "distinct"),
            duplicate: counter!(REQUESTS, "result" => "duplicate"),
            refused: counter!(REQUESTS, "result" => "refused"),
        }
    }

    fn received(&self, novelty: Novelty) {
        match novelty {
            Novelty::Distinct => self.distinct.increment(1),
            Novelty::Duplicate => self.duplicate.increment(1),
        }
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> Inbox {
        Inbox::new(NonZeroUsize::new(100_000).expect("it is not 0"))
    }

    #[test]
    fn the_names_of_cities_take_bounded_memory() {
        let inbox = inbox();
        let events = u64::try_from(MAX_CITIES).unwrap() + 10;
        for number in 0..events {
            let city = number.to_string();
            inbox.receive(Digest::of(city.as_bytes()), Some(&city));
        }
        inbox.receive(Digest::of(b"0 again"), Some("0"));
        let counts = inbox.counts();
        assert_eq!(counts.by_city.len(), MAX_CITIES);
        assert_eq!(counts.by_city["0"], 2);
        assert_eq!(counts.distinct, events + 1);
    }

    #[test]
    fn a_name_of_endless_length_is_not_kept() {
        let inbox = inbox();
        inbox.receive(Digest::of(b"1"), Some(&"x".repeat(MAX_CITY_BYTES + 1)));
        assert_eq!(inbox.counts().distinct, 1);
        assert!(inbox.counts().by_city.is_empty());
    }
}
