//! Plans what is read again: which partitions, and who rides.
//!
//! A partition has one pass at a time, which carries all who are behind and have room.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use crate::reader::Command;
use crate::stretches::{Key, Stretch};

/// Planning takes no more than one part in so many of the time.
const PAUSE_PER_PLAN: u32 = 20;

/// And is made no more often than this.
const LEAST_PAUSE: Duration = Duration::from_millis(5);

/// A lane is filled by so many passes at once at most: more of them would each bring it little, and
/// begin again for the rest.
const MOST_PASSES: usize = 2;

/// The pause where nothing called for a plan: rates and rooms come back by themselves.
const IDLE_PAUSE: Duration = Duration::from_millis(100);

impl Engine {
    /// Begins passes where somebody can ride, and attaches who stands at the head.
    pub(super) fn plan(&mut self) {
        let began = Instant::now();
        if self.plan_at > began {
            return;
        }
        let mut riding = self.stretches.riding();
        for partition in self.stretches.unread(self.planned) {
            self.attach_at_head(partition);
            self.begin_pass(partition, &mut riding);
        }
        let pause = (began.elapsed() * PAUSE_PER_PLAN).clamp(LEAST_PAUSE, Duration::from_secs(1));
        self.plan_at = Instant::now() + pause.max(IDLE_PAUSE);
        self.earliest_plan = Instant::now() + pause;
    }

    /// Something made room: plan as soon as that is allowed.
    pub(super) fn plan_soon(&mut self) {
        self.plan_at = self.plan_at.min(self.earliest_plan);
    }

    fn begin_pass(&mut self, partition: i32, riding: &mut HashMap<Uuid, usize>) {
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
            let rides = riding.get(&id).is_some_and(|passes| *passes >= MOST_PASSES);
            let active = index.get(id).is_some_and(|known| known.active);
            active
                && !shut
                && !rides
                && !stretch.is_done()
                && paced
                && lanes.has_room_to_catch_up(id)
        };
        let Some(pass) = self.stretches.begin_pass(partition, may) else {
            return;
        };
        let command = Command::Read {
            partition,
            pass: pass.id,
            from: pass.position,
        };
        self.planned = Some(partition);
        for key in pass.riders.clone() {
            *riding.entry(key.subscription_id).or_default() += 1;
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
}
