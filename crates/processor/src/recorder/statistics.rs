//! What the recorder has counted of committed outcomes, until it is written as one row with those
//! that come then. Pure, but for the clocks it is asked under.
//!
//! Two clocks meet in how long it takes from publishing to delivered: the time of the Kafka record
//! (the producer's clock, or the broker's where the topic says so) and this replica's. What would
//! be negative counts as nothing.

use std::borrow::Cow;
use std::time::Duration;

use chrono::Utc;
use common::event::AnyEvent;
use outbound::{Attempt, Failure};
use tokio::time::Instant;
use uuid::Uuid;

use super::batch::Settled;
use crate::delivery::Outcome;
use crate::event::{Event, Kind};
use crate::statistics::Tally;
use crate::statistics::packed::pack;
use crate::statistics::tally::Counted;

/// How often it is written, and how many cities are counted by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub interval: Duration,
    pub max_cities: usize,
}

/// The counts of one recorder.
#[derive(Debug)]
pub struct Statistics {
    settings: Settings,
    kind: Kind,
    replica: Uuid,
    /// Of the row that is written next.
    number: i64,
    tally: Tally,
    /// When what was counted is written; `None` while that is nothing.
    due_at: Option<Instant>,
}

impl Statistics {
    pub fn new(settings: Settings, kind: Kind) -> Self {
        Self {
            settings,
            kind,
            replica: Uuid::new_v4(),
            number: 0,
            tally: Tally::default(),
            due_at: None,
        }
    }

    /// When there is something to write.
    pub fn due_at(&self) -> Option<Instant> {
        self.due_at
    }

    /// Whatever was counted is to be written at once.
    pub fn hurry(&mut self, now: Instant) {
        self.due_at = self.due_at.map(|_| now);
    }

    /// Counts an event that was taken from the topic.
    pub fn receive(&mut self, now: Instant) {
        if self.kind == Kind::Readings {
            self.tally.receive();
            self.counted(now);
        }
    }

    /// Counts a delivery that is settled.
    pub fn count(&mut self, settled: &Settled, now: Instant) {
        let (delivery, attempt) = (&settled.delivery, settled.attempt.as_ref());
        let city = (self.kind == Kind::Readings).then(|| city(&delivery.event));
        let failure = attempt.and_then(|attempt| attempt.failure);
        let delay_us = attempt
            .filter(|_| settled.outcome == Outcome::Delivered)
            .and_then(|attempt| delay_us(&delivery.event, attempt, now));
        let counted = Counted {
            subscription_id: delivery.subscription_id,
            city: city.as_ref().and_then(|city| city.as_deref()),
            result: (settled.outcome.label(), failure.map_or("", Failure::label)),
            latency_us: attempt.map(|attempt| microseconds(attempt.latency)),
            delay_us,
        };
        self.tally.count(&counted, self.settings.max_cities);
        self.counted(now);
    }

    fn counted(&mut self, now: Instant) {
        self.due_at.get_or_insert(now + self.settings.interval);
    }

    /// What is to be written by now: whose, its number, and the tally.
    pub fn due(&self, now: Instant) -> Option<(Uuid, i64, Vec<u8>)> {
        let is_due = self.due_at.is_some_and(|at| at <= now);
        is_due.then(|| (self.replica, self.number, pack(&self.tally)))
    }

    /// That is committed.
    pub fn committed(&mut self) {
        self.number += 1;
        self.tally = Tally::default();
        self.due_at = None;
    }
}

/// Of which city it tells. One that was a dead letter has to be read for it.
fn city(event: &Event) -> Option<Cow<'_, str>> {
    match &event.key {
        Some(city) => Some(Cow::Borrowed(city)),
        None => AnyEvent::parse(&event.payload).ok().map(|read| read.city),
    }
}

fn delay_us(event: &Event, attempt: &Attempt, now: Instant) -> Option<u64> {
    let since_then = now.saturating_duration_since(attempt.started_at + attempt.latency);
    let published_at = event.published_at?;
    let age = (Utc::now() - published_at).to_std().unwrap_or_default();
    Some(microseconds(age.saturating_sub(since_then)))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;
    use common::statistics::{Cell, Family, Key};

    use super::*;
    use crate::delivery::tests::delivery;
    use crate::delivery::{Delivery, Source};
    use crate::statistics::packed::unpack;

    const SETTINGS: Settings = Settings {
        interval: Duration::from_secs(1),
        max_cities: 10,
    };

    /// Delivered within 7 ms, just now.
    fn delivered(event: impl FnOnce(&mut Event)) -> Settled {
        let now = Instant::now();
        let mut delivery = delivery(Uuid::nil(), 1, Source::Log, Some("Oslo"));
        event(Arc::get_mut(&mut delivery.event).unwrap());
        let mut attempt = Attempt::failed(Failure::Timeout, now, Duration::from_millis(7));
        attempt.failure = None;
        Settled {
            attempt: Some(attempt),
            ..Settled::unattempted(delivery, Outcome::Delivered)
        }
    }

    fn cells(statistics: &Statistics, now: Instant) -> Vec<(Key, Cell)> {
        let (_, _, tally) = statistics.due(now).unwrap();
        unpack(&tally).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_counted_is_due_after_the_interval_and_once() {
        let (mut statistics, now) = (Statistics::new(SETTINGS, Kind::Readings), Instant::now());
        assert!(statistics.due_at().is_none() && statistics.due(now).is_none());
        statistics.count(&delivered(|_| {}), now);
        assert!(statistics.due(now).is_none());
        let later = now + SETTINGS.interval;
        assert_eq!(statistics.due_at(), Some(later));
        let (replica, number, _) = statistics.due(later).unwrap();
        statistics.committed();
        assert!(statistics.due(later).is_none());
        statistics.receive(later);
        statistics.hurry(later);
        let next = statistics.due(later).unwrap();
        assert_eq!((next.0, next.1), (replica, number + 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_counts_from_the_record_to_the_end_of_the_attempt() {
        let now = Instant::now();
        for (published, low, high) in [
            (Some(TimeDelta::seconds(60)), 59_000_000, 61_000_000),
            // By a clock that is ahead of ours.
            (Some(TimeDelta::seconds(-60)), 0, 0),
        ] {
            let mut statistics = Statistics::new(SETTINGS, Kind::Readings);
            let settled =
                delivered(|event| event.published_at = published.map(|age| Utc::now() - age));
            statistics.count(&settled, now);
            let cells = cells(&statistics, now + SETTINGS.interval);
            let (_, cell) = &cells[0];
            assert!((low..=high).contains(&cell.delay.sum_us), "{cell:?}");
            assert_eq!(cell.latency.sum_us, 7_000);
        }
        let mut statistics = Statistics::new(SETTINGS, Kind::Readings);
        statistics.count(&delivered(|event| event.published_at = None), now);
        let cells = cells(&statistics, now + SETTINGS.interval);
        assert_eq!(cells[0].1.delay.histogram.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_city_is_read_from_the_event_where_nothing_else_names_it() {
        let body = r#"{"timestamp":"2026-11-23T21:00:00Z","city":"Rome","reading":2,"unit":"C"}"#;
        let now = Instant::now();
        let of = |kind, key: Option<&str>, body: &'static str| {
            let mut statistics = Statistics::new(SETTINGS, kind);
            let settled = delivered(|event| {
                event.key = key.map(str::to_owned);
                event.payload = bytes::Bytes::from_static(body.as_bytes());
            });
            statistics.count(&settled, now);
            let cells = cells(&statistics, now + SETTINGS.interval).into_iter();
            let mut cities = cells.filter(|(key, _)| key.family == Family::City);
            cities.next().map(|(key, _)| key.key)
        };
        assert_eq!(of(Kind::Readings, Some("Oslo"), body), Some("Oslo".into()));
        assert_eq!(of(Kind::Readings, None, body), Some("Rome".into()));
        assert_eq!(of(Kind::Readings, None, "{}"), None);
        assert_eq!(of(Kind::Operations, Some("an-id"), body), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_parked_is_no_attempt() {
        let (mut statistics, now) = (Statistics::new(SETTINGS, Kind::Readings), Instant::now());
        let parked: Delivery = delivery(Uuid::nil(), 1, Source::Log, None);
        statistics.count(&Settled::unattempted(parked, Outcome::PARKED), now);
        let cells = cells(&statistics, now + SETTINGS.interval);
        let (key, cell) = &cells[0];
        assert_eq!((&*key.outcome, &*key.failure), ("parked", ""));
        assert_eq!((cell.count, cell.attempts), (1, 0));
    }
}
