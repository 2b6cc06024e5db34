//! What attempts said of receivers, gathered until it is written: of each subscription the last
//! word. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use common::store::circuits::Failures;
use tokio::time::Instant;
use uuid::Uuid;

/// What is to be remembered of a receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// It fails, and nothing tripped.
    Failing { since: Instant, class: &'static str },
    /// It does not fail any more.
    Delivered,
    /// Its breaker tripped; no probe before `wait` has passed.
    Tripped {
        since: Instant,
        class: &'static str,
        wait: Duration,
        /// Of the usual wait, how much this one takes: between a half and one.
        jitter: f64,
        /// Whether it was probed, and so is open still.
        again: bool,
    },
    /// Its breaker closed.
    Recovered,
}

/// The notes of one transaction.
#[derive(Debug, Default)]
pub struct Circuits(BTreeMap<Uuid, Note>);

/// The same as rows, in the order of their keys.
#[derive(Debug, Default)]
pub struct Rows {
    pub failed: Failures,
    pub tripped: Failures,
    /// Which of them were open before.
    pub again: Vec<bool>,
    pub succeeded: Vec<Uuid>,
    pub recovered: Vec<Uuid>,
}

impl Circuits {
    /// Takes a note. That it recovered has to be written, whatever came after but a trip.
    pub fn note(&mut self, subscription_id: Uuid, note: Note) {
        let held = self.0.get(&subscription_id);
        if held == Some(&Note::Recovered) && !matches!(note, Note::Tripped { .. }) {
            return;
        }
        self.0.insert(subscription_id, note);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it is committed.
    pub fn committed(&mut self) {
        self.0.clear();
    }

    pub fn rows(&self, now: Instant) -> Rows {
        let mut rows = Rows::default();
        for (id, note) in &self.0 {
            match *note {
                Note::Failing { since, class } => {
                    push(&mut rows.failed, *id, now - since, class);
                }
                Note::Tripped {
                    since,
                    class,
                    wait,
                    jitter,
                    again,
                } => {
                    push(&mut rows.tripped, *id, now - since, class);
                    rows.tripped.waits_seconds.push(wait.as_secs_f64());
                    rows.tripped.jitters.push(jitter);
                    rows.again.push(again);
                }
                Note::Delivered => rows.succeeded.push(*id),
                Note::Recovered => rows.recovered.push(*id),
            }
        }
        rows
    }
}

fn push(rows: &mut Failures, id: Uuid, age: Duration, class: &'static str) {
    rows.subscription_ids.push(id);
    rows.ages_seconds.push(age.as_secs_f64());
    rows.classes.push(class);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_subscription_the_last_word_is_written() {
        let (mut circuits, now) = (Circuits::default(), Instant::now());
        let [fails, recovers] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let class = "timeout";
        circuits.note(fails, Note::Delivered);
        circuits.note(fails, Note::Failing { since: now, class });
        circuits.note(recovers, Note::Recovered);
        circuits.note(recovers, Note::Delivered);
        let rows = circuits.rows(now + Duration::from_secs(2));
        assert_eq!(rows.failed.subscription_ids, [fails]);
        assert_eq!(rows.failed.ages_seconds, [2.0]);
        assert_eq!(rows.recovered, [recovers]);
        assert!(rows.succeeded.is_empty() && rows.tripped.subscription_ids.is_empty());
        circuits.committed();
        assert!(circuits.is_empty());
    }
}
