//! Which subscriptions are let through, and what becomes of those that are not: they are detached
//! from the log, and attached again when they have caught up.
//!
//! A gate follows from the subscription's state and its circuit. What this engine sees of a
//! receiver counts at once; what others see comes with the table `circuits`.

use std::sync::Arc;
use std::time::Duration;

use common::store::circuits::Circuit;
use metrics::counter;
use outbound::{Attempt, Control, Verdict};
use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use crate::breaker::{self, State};
use crate::delivery::{Delivery, Outcome, Source, Ticket};
use crate::lanes::Gate;
use crate::observe;
use crate::recorder::{Entry, Note};
use crate::retry::RETRY_AFTER_LIMIT;
use crate::stretches::{Key, Stretch};
use crate::subscription::Subscription;

/// For so long what this engine decided stands against what it reads of the table, which may be
/// from before.
const STANDS: Duration = Duration::from_secs(2);

/// A wait that a receiver asks for by `Retry-After` is for this delivery alone, unless it is as
/// long as this.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// How often a failure is noted while nothing else changes: `disable_after` goes by it.
const NOTE_INTERVAL: Duration = Duration::from_mins(1);

/// A circuit that is not closed, or was closed by us a moment ago.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    state: State,
    /// Ours since then.
    decided_at: Option<Instant>,
}

impl Known {
    fn decided(state: State) -> Self {
        Self {
            state,
            decided_at: Some(Instant::now()),
        }
    }

    /// Whether nothing is let through.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

impl Engine {
    /// What the table says of a circuit; `None` is closed.
    pub(super) fn learn_circuit(&mut self, id: Uuid, circuit: Option<&Circuit>) {
        let stands = |known: &Known| known.decided_at.is_some_and(|at| at.elapsed() < STANDS);
        if self.circuits.get(&id).is_some_and(stands) {
            return;
        }
        match circuit {
            None => {
                self.circuits.remove(&id);
            }
            Some(circuit) => {
                let ours = circuit.prober.as_deref() == Some(&*self.settings.owner);
                let state = if ours { State::HalfOpen } else { State::Open };
                let known = Known {
                    state,
                    decided_at: None,
                };
                self.circuits.insert(id, known);
            }
        }
    }

    /// Opens or shuts a subscription's gate, as it now has to be.
    pub(super) fn admit(&mut self, subscription: &Arc<Subscription>) {
        let id = subscription.id;
        let state = self
            .circuits
            .get(&id)
            .map_or(State::Closed, |known| known.state);
        let gate = match state {
            _ if !subscription.active => Gate::Shut,
            State::Closed => Gate::Open,
            State::HalfOpen => Gate::Probe,
            State::Open => Gate::Shut,
        };
        self.lanes.set_gate(subscription, gate, state);
        if gate == Gate::Shut {
            self.detach(id, true);
        } else {
            self.plan_at = Instant::now();
        }
    }

    /// Whether a subscription's deliveries go out at all.
    pub(super) fn is_let_through(&self, id: Uuid) -> bool {
        let shut = self.circuits.get(&id).is_some_and(Known::is_open);
        !shut && self.index.get(id).is_some_and(|known| known.active)
    }

    /// What an attempt said of its receiver, and what changed by it.
    pub(super) fn heed(
        &mut self,
        subscription: &Arc<Subscription>,
        attempt: &Attempt,
        changed: Option<breaker::Change>,
    ) {
        let id = subscription.id;
        if let Some(wait) = asked_to_wait(attempt)
            && changed != Some(breaker::Change::Tripped)
        {
            return self.trip(subscription, attempt, wait);
        }
        match changed {
            Some(breaker::Change::Tripped) => self.trip(subscription, attempt, Duration::ZERO),
            Some(breaker::Change::Recovered) => {
                tracing::info!(subscription.id = %id, "recovered");
                self.circuits.insert(id, Known::decided(State::Closed));
                self.note(id, Note::Recovered);
                self.admit(subscription);
            }
            None => self.note_result(id, attempt),
        }
    }

    /// Opens the circuit; no probe before `wait` has passed.
    pub(super) fn trip(
        &mut self,
        subscription: &Arc<Subscription>,
        attempt: &Attempt,
        wait: Duration,
    ) {
        let id = subscription.id;
        if self.index.get(id).is_none() {
            return;
        }
        let class = attempt
            .failure
            .map_or("receiver_asked", |failure| failure.label());
        tracing::warn!(subscription.id = %id, failure = class, "tripped");
        counter!(observe::TRIPS).increment(1);
        let failing_since = self.lanes.get_mut(id).and_then(|lane| lane.failing_since);
        let before = self.circuits.insert(id, Known::decided(State::Open));
        let again = before.is_some_and(|known| known.state != State::Closed);
        self.note(
            id,
            Note::Tripped {
                since: failing_since.unwrap_or(attempt.started_at),
                class,
                wait,
                jitter: rand::random_range(0.5..1.0),
                again,
            },
        );
        self.admit(subscription);
    }

    /// The first failure after a success and the first success after a failure are noted, and
    /// while it fails one failure a minute.
    fn note_result(&mut self, id: Uuid, attempt: &Attempt) {
        if self.circuits.get(&id).is_some_and(Known::is_open) {
            return;
        }
        let now = Instant::now();
        let Some(lane) = self.lanes.get_mut(id) else {
            return;
        };
        let note = match attempt.failure {
            None => lane.failure_noted_at.take().map(|_| Note::Delivered),
            Some(failure) => {
                let due = lane
                    .failure_noted_at
                    .is_none_or(|at| now - at >= NOTE_INTERVAL);
                due.then(|| {
                    lane.failure_noted_at = Some(now);
                    let since = lane.failing_since.unwrap_or(now);
                    let class = failure.label();
                    Note::Failing { since, class }
                })
            }
        };
        if let Some(note) = note {
            self.note(id, note);
        }
    }

    fn note(&mut self, subscription_id: Uuid, note: Note) {
        self.outbox.push_back(Entry::Noted {
            subscription_id,
            note,
        });
    }

    /// Takes a subscription off the log in every partition that is ours: from here on a cursor
    /// says what it has yet to get. What is queued for it is read again later. Where `wholly`, what
    /// is claimed for it goes back too.
    pub(super) fn detach(&mut self, id: Uuid, wholly: bool) {
        let queued = |delivery: &Delivery| match delivery.source {
            Source::Log => true,
            Source::CatchUp => wholly || delivery.replay.is_none(),
            Source::Pending(_) => wholly,
        };
        let taken = self.lanes.withdraw_from(id, queued);
        let (cursors, withdrawn) = self.take_back(id, taken);
        self.index.mute(id);
        if !cursors.is_empty() || !withdrawn.is_empty() {
            counter!(observe::DETACHED).increment(1);
            tracing::debug!(subscription.id = %id, partitions = cursors.len(), "detached");
            self.outbox.push_back(Entry::Detached {
                subscription_id: id,
                cursors,
                withdrawn,
                in_flight: self.flight.of_the_log(id),
            });
        }
    }

    /// Sorts what was queued: rows go back, stretches are read again from the lowest of theirs, and
    /// what came from the log is where a cursor begins.
    fn take_back(&mut self, id: Uuid, taken: Vec<Delivery>) -> (Vec<Ticket>, Vec<Ticket>) {
        let mut withdrawn: Vec<Ticket> = Vec::new();
        let mut again: Vec<(Key, Ticket)> = Vec::new();
        for delivery in taken {
            match delivery.source {
                Source::Pending(_) => self.settle(delivery, Outcome::PARKED),
                Source::CatchUp => again.push((delivery.key(), delivery.ticket)),
                Source::Log => withdrawn.push(delivery.ticket),
            }
        }
        let key = Key::detached(id);
        let mut cursors = Vec::new();
        for mut head in self
            .ownership
            .open()
            .into_iter()
            .filter_map(|p| self.ownership.head(p))
        {
            let partition = head.partition;
            let ours = again.iter().filter(|(of, _)| *of == key);
            let low = lowest(ours.map(|(_, ticket)| ticket), partition);
            let is_open = self
                .stretches
                .get(partition, key)
                .is_some_and(|s| s.end.is_none());
            if !is_open {
                let live = lowest(withdrawn.iter(), partition);
                // Of a stretch with an end, what has not been read yet.
                let unread = self.stretches.get(partition, key);
                let unread = unread.filter(|s| !s.is_done()).map(|s| s.next);
                head.offset = [low, live, unread]
                    .into_iter()
                    .flatten()
                    .fold(head.offset, i64::min);
                self.stretches.close(partition, key);
                self.stretches
                    .open(partition, key, Stretch::new(head.offset, None));
                cursors.push(head);
            }
        }
        self.rewind(again);
        (cursors, withdrawn)
    }

    /// Stretches are read again from the lowest offset that was taken out of a lane.
    fn rewind(&mut self, mut again: Vec<(Key, Ticket)>) {
        again.sort_by_key(|(key, ticket)| (*key, ticket.partition, ticket.offset));
        again.dedup_by_key(|(key, ticket)| (*key, ticket.partition));
        for (key, at) in again {
            let Some(stretch) = self.stretches.get_mut(at.partition, key) else {
                continue;
            };
            if stretch.next > at.offset {
                stretch.next = at.offset;
                stretch.told = at.offset;
                self.outbox.push_back(Entry::Rewound { key, at });
            }
        }
    }

    /// A subscription that has read all there is gets what comes from here on as it comes.
    pub(super) fn attach(&mut self, partition: i32, key: Key) {
        self.tell_read(partition, key);
        let Some(mut at) = self.ownership.head(partition) else {
            return;
        };
        let Some(stretch) = self.stretches.get_mut(partition, key) else {
            return;
        };
        at.offset = at.offset.max(stretch.next);
        stretch.end = Some(at.offset);
        let id = key.subscription_id;
        tracing::debug!(subscription.id = %id, partition, "attached");
        // Older than what comes live from now on.
        let theirs =
            |delivery: &Delivery| delivery.key() == key && delivery.ticket.partition == partition;
        self.lanes.put_catch_up_first(id, theirs);
        self.index.unmute(id);
        self.outbox.push_back(Entry::Attached { key, at });
    }
}

/// The lowest offset of a partition among the tickets.
fn lowest<'a>(tickets: impl Iterator<Item = &'a Ticket>, partition: i32) -> Option<i64> {
    let there = tickets.filter(|ticket| ticket.partition == partition);
    there.map(|ticket| ticket.offset).min()
}

/// How long the receiver asked not to be bothered, or no token will be had for it, if that is long:
/// its circuit opens for that.
fn asked_to_wait(attempt: &Attempt) -> Option<Duration> {
    match (attempt.control, attempt.verdict) {
        (Some(Control::Pause(wait)), _) => Some(wait),
        (_, Verdict::Retry { after: Some(wait) } | Verdict::Postponed { after: wait })
            if wait >= LONG_WAIT =>
        {
            Some(wait.min(RETRY_AFTER_LIMIT))
        }
        _ => None,
    }
}
