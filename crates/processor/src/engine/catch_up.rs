//! Catching up: stretches of the log are read again, and what their subscriptions want of them is
//! queued in the lanes, beside and after what comes live.
//!
//! One pass a partition carries all that have room; who has none falls off, and rides again from
//! there. Near the head a subscription is attached again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::delivery::{DELIVERY_BYTES, Delivery, Outcome, Source, Ticket};
use crate::event::{self, Event, Record, Subject};
use crate::fan_out;
use crate::filtered::Filtered;
use crate::reader::{Command, Read};
use crate::recorder::{Entry, Settled};
use crate::stretches::{Key, Pass, Stretch};
use crate::subscription::Subscription;

/// Planning takes no more than one part in so many of the time.
const PAUSE_PER_PLAN: u32 = 20;

/// And is made no more often than this.
const LEAST_PAUSE: Duration = Duration::from_millis(5);

/// The pause where nothing called for a plan: rates and rooms come back by themselves.
pub(super) const IDLE_PAUSE: Duration = Duration::from_millis(100);

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
    /// Begins passes where somebody can ride, and attaches who stands at the head.
    pub(super) fn plan(&mut self) {
        let began = Instant::now();
        if self.plan_at > began {
            return;
        }
        for partition in self.stretches.unread() {
            self.attach_at_head(partition);
            self.begin_pass(partition);
        }
        let pause = (began.elapsed() * PAUSE_PER_PLAN).clamp(LEAST_PAUSE, Duration::from_secs(1));
        self.plan_at = Instant::now() + pause.max(IDLE_PAUSE);
        self.earliest_plan = Instant::now() + pause;
    }

    /// Something made room: plan as soon as that is allowed.
    pub(super) fn plan_soon(&mut self) {
        self.plan_at = self.plan_at.min(self.earliest_plan);
    }

    fn begin_pass(&mut self, partition: i32) {
        let now = Instant::now();
        let (index, lanes, circuits) = (&self.index, &self.lanes, &self.circuits);
        let replays = &mut self.replays;
        let may = |key: &Key, stretch: &Stretch| {
            if stretch.spills() {
                return true;
            }
            let id = key.subscription_id;
            let paced = key.replay.is_none_or(|replay| {
                let bucket = replays
                    .get_mut(&replay)
                    .and_then(|replay| replay.bucket.as_mut());
                bucket.is_none_or(|bucket| bucket.is_full(now))
            });
            let shut = circuits.get(&id).is_some_and(super::gates::Known::is_open);
            let active = index.get(id).is_some_and(|known| known.active);
            active && !shut && !stretch.is_done() && paced && lanes.has_room_to_catch_up(id)
        };
        let Some(pass) = self.stretches.begin_pass(partition, may) else {
            return;
        };
        let command = Command::Read {
            partition,
            pass: pass.id,
            from: pass.position,
        };
        for key in pass.riders.clone() {
            self.hold_if_coalesced(partition, key);
        }
        if self.reader.try_send(command).is_err() {
            self.give_pass_up(partition);
        }
    }

    /// Its riders ride again with another.
    pub(super) fn give_pass_up(&mut self, partition: i32) {
        let pass = self.stretches.end_pass(partition);
        for key in pass.map(|pass| pass.riders).unwrap_or_default() {
            self.release_held(partition, key);
        }
    }

    /// Of a subscription that wants the newest of each key only, nothing goes out before all has
    /// been read.
    fn hold_if_coalesced(&mut self, partition: i32, key: Key) {
        let subscription = self.index.get(key.subscription_id).cloned();
        if let Some(subscription) = subscription.filter(|known| known.policy.coalesces) {
            self.lanes.hold_catch_up(&subscription, partition);
        }
    }

    fn attach_at_head(&mut self, partition: i32) {
        let Some(head) = self.ownership.head(partition) else {
            return;
        };
        for key in self.stretches.at_head(partition, head.offset) {
            if self.is_let_through(key.subscription_id) {
                self.attach(partition, key);
                self.release_held(partition, key);
            }
        }
    }

    /// A rider left its pass: what was read for it goes out.
    pub(super) fn release_held(&mut self, partition: i32, key: Key) {
        self.lanes.release_catch_up(key.subscription_id, partition);
    }

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
        let wanted = read.filter(|read| read.is_wanted(&subscription));
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
