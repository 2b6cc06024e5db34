//! Catching up: what a pass reads again is queued in the lanes of those who ride with it, beside and
//! after what comes live. Who has no room falls off, and rides again from there. At the head of the
//! log a subscription is attached again.

use std::sync::Arc;

use tokio::time::Instant;

use super::Engine;
use crate::delivery::{DELIVERY_BYTES, Delivery, Outcome, Source, Ticket};
use crate::event::{self, Event, Record, Subject};
use crate::fan_out;
use crate::filtered::Filtered;
use crate::reader::{Command, Read};
use crate::recorder::{Entry, Settled};
use crate::stretches::{Key, Pass};
use crate::subscription::Subscription;

/// A record of a stretch, as an event.
struct ReadAgain {
    event: Arc<Event>,
    subject: Subject,
    filtered: Filtered,
}

impl ReadAgain {
    fn is_wanted(&self, subscription: &Subscription) -> bool {
        fan_out::wants(subscription, &self.subject) && self.filtered.passes(subscription)
    }
}

impl Engine {
    /// What the reader brings.
    pub(super) fn read(&mut self, read: Read) {
        match read {
            Read::Record { pass, record } => {
                if self.stretches.pass(record.partition, pass).is_some() {
                    self.carry(record);
                }
            }
            Read::End {
                pass,
                partition,
                until,
            } => {
                if self.stretches.pass(partition, pass).is_some() {
                    self.reach_end(partition, until);
                }
            }
            Read::Failed { pass, partition } => {
                if self.stretches.pass(partition, pass).is_some() {
                    self.give_pass_up(partition);
                }
            }
        }
    }

    /// Takes all riders of a pass past a record.
    fn carry(&mut self, record: Record) {
        let (partition, offset) = (record.partition, record.offset);
        let Some(mut pass) = self.stretches.end_pass(partition) else {
            return;
        };
        let position = std::mem::replace(&mut pass.position, offset + 1);
        // What is no event was buried when it came.
        let read = event::read(&record, &self.settings.topic, self.settings.kind).ok();
        let event = read.map(|(id, subject)| ReadAgain {
            filtered: Filtered::new(record.value.clone().unwrap_or_default()),
            event: Arc::new(event_of(record, id, &subject)),
            subject,
        });
        pass.riders.retain(|key| {
            let rides = self
                .stretches
                .get(partition, *key)
                .is_some_and(|s| s.next >= position);
            let rides = rides && self.carry_one((partition, offset), *key, event.as_ref());
            if !rides {
                // Also one whose lane has no room for all its keys: it cannot wait for the newest.
                self.release_held(partition, *key);
            }
            rides
        });
        self.go_on(partition, pass);
    }

    /// Takes one rider past an offset; whether it rides on.
    fn carry_one(
        &mut self,
        (partition, offset): (i32, i64),
        key: Key,
        read: Option<&ReadAgain>,
    ) -> bool {
        let Some(stretch) = self.stretches.get(partition, key).copied() else {
            return false;
        };
        if offset < stretch.next {
            return true;
        }
        if stretch.end.is_some_and(|end| offset >= end) {
            self.finish_stretch(partition, key);
            return false;
        }
        let Some(subscription) = self.index.get(key.subscription_id).cloned() else {
            return false;
        };
        // A replay sends again on purpose.
        let is_settled = key.replay.is_none()
            && self
                .ownership
                .is_ahead(partition, offset, key.subscription_id);
        let wanted = read.filter(|read| !is_settled && read.is_wanted(&subscription));
        if let Some(read) = wanted {
            if stretch.spills() {
                self.spill((partition, offset), key, &read.event);
            } else if !self.take_along((partition, offset), key, &subscription, &read.event) {
                return false;
            }
        }
        if let Some(stretch) = self.stretches.get_mut(partition, key) {
            stretch.next = offset + 1;
            if wanted.is_some() {
                stretch.told = offset + 1;
            }
        }
        !stretch.spills()
            || offset + 1 < stretch.spill_until
            || self.is_let_through(key.subscription_id)
    }

    /// Queues an event of a stretch, if its lane is open and has room, and its replay has a token.
    fn take_along(
        &mut self,
        at: (i32, i64),
        key: Key,
        subscription: &Arc<Subscription>,
        event: &Arc<Event>,
    ) -> bool {
        if !self.is_let_through(key.subscription_id) {
            return false;
        }
        if self.lanes.room_for_catch_up(key.subscription_id) == 0 {
            return false;
        }
        let bucket = key
            .replay
            .and_then(|replay| self.replays.get_mut(&replay)?.bucket.as_mut());
        if bucket.is_some_and(|bucket| bucket.take(Instant::now()).is_err()) {
            return false;
        }
        let Some(delivery) = self.again(at, key, event) else {
            return false;
        };
        self.queue(subscription, delivery);
        true
    }

    /// Makes a pending row of an event before retention takes it.
    fn spill(&mut self, at: (i32, i64), key: Key, event: &Arc<Event>) {
        let ordered = self
            .index
            .get(key.subscription_id)
            .is_some_and(|known| known.policy.ordered);
        if let Some(delivery) = self.again(at, key, event) {
            if let Some(waits) = event.key.as_deref().filter(|_| ordered) {
                self.blocked.add((key.subscription_id, at.0), waits, at.1);
            }
            let parked = Settled::unattempted(delivery, Outcome::PARKED);
            self.outbox.push_back(Entry::Settled(parked));
        }
    }

    /// A delivery of a stretch, which holds its cursor from now on.
    fn again(
        &mut self,
        (partition, offset): (i32, i64),
        key: Key,
        event: &Arc<Event>,
    ) -> Option<Delivery> {
        let epoch = self.ownership.epoch(partition)?;
        let ticket = || Ticket {
            partition,
            epoch,
            offset,
        };
        self.outbox.push_back(Entry::Read {
            key,
            at: ticket(),
            deliveries: 1,
        });
        Some(Delivery {
            ticket: ticket(),
            subscription_id: key.subscription_id,
            event: event.clone(),
            attempts: 0,
            source: Source::CatchUp,
            replay: key.replay,
            queued_at: Instant::now(),
            hold: self.budget.hold(DELIVERY_BYTES),
        })
    }

    /// All that the partition held when the pass began has been read.
    fn reach_end(&mut self, partition: i32, until: i64) {
        let Some(mut pass) = self.stretches.end_pass(partition) else {
            return;
        };
        pass.position = pass.position.max(until);
        pass.riders.retain(|key| {
            let Some(stretch) = self.stretches.get_mut(partition, *key) else {
                return false;
            };
            // Offsets without a record, at the end of the log.
            stretch.next = stretch
                .next
                .max(stretch.end.map_or(until, |end| end.min(until)));
            if stretch.is_done() {
                self.finish_stretch(partition, *key);
                return false;
            }
            true
        });
        self.go_on(partition, pass);
    }

    /// The pass goes on with who is left, or ends.
    fn go_on(&mut self, partition: i32, mut pass: Pass) {
        if let Some(head) = self.ownership.head(partition) {
            pass.riders.retain(|key| {
                let stretch = self.stretches.get(partition, *key);
                let reached = stretch.is_some_and(|s| s.end.is_none() && s.next >= head.offset);
                if !reached || !self.is_let_through(key.subscription_id) {
                    return true;
                }
                self.attach(partition, *key);
                self.release_held(partition, *key);
                false
            });
        }
        if pass.riders.is_empty() {
            if self.reader.try_send(Command::Stop { partition }).is_err() {
                tracing::debug!(
                    partition,
                    "the reader is busy; what it brings is not wanted"
                );
            }
            self.plan_soon();
        } else {
            self.stretches.resume_pass(partition, pass);
        }
    }

    fn finish_stretch(&mut self, partition: i32, key: Key) {
        if let Some(stretch) = self.stretches.get_mut(partition, key) {
            stretch.next = stretch.end.unwrap_or(stretch.next);
        }
        self.tell_read(partition, key);
        self.release_held(partition, key);
    }

    /// Tells the recorder how far a stretch was read, where nothing in it said so.
    pub(super) fn tell_read(&mut self, partition: i32, key: Key) {
        let Some(mut at) = self.ownership.head(partition) else {
            return;
        };
        let Some(stretch) = self.stretches.get_mut(partition, key) else {
            return;
        };
        if stretch.next > stretch.told {
            stretch.told = stretch.next;
            at.offset = stretch.next - 1;
            self.outbox.push_back(Entry::Read {
                key,
                at,
                deliveries: 0,
            });
        }
    }
}

/// The event of a record, as its deliveries share it.
pub(super) fn event_of(record: Record, id: String, subject: &Subject) -> Event {
    Event {
        id,
        published_at: record.published_at(),
        payload: record.value.unwrap_or_default(),
        content_type: record.content_type,
        traceparent: record.traceparent,
        key: Some(subject.key()),
        hold: record.hold,
    }
}
