//! What is read again, in the lanes: how much each takes, and what waits until all has been read.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use super::{Gate, Lanes};
use crate::delivery::Delivery;
use crate::subscription::Subscription;

/// How much is queued of what is read again for a receiver that is probed.
const PROBES: usize = 4;

impl Lanes {
    /// How many more deliveries of the log that is read again the lane takes.
    pub fn room_for_catch_up(&self, id: Uuid) -> usize {
        let Some(lane) = self.by_subscription.get(&id) else {
            return self.limits.queue;
        };
        let limit = match lane.gate {
            Gate::Open => self.limits.queue,
            Gate::Probe => PROBES,
            Gate::Shut => 0,
        };
        limit.saturating_sub(lane.catch_up.len())
    }

    /// Whether reading on for the lane is worth beginning.
    pub fn has_room_to_catch_up(&self, id: Uuid) -> bool {
        let Some(lane) = self.by_subscription.get(&id) else {
            return true;
        };
        match lane.gate {
            Gate::Open => lane.catch_up.len() <= self.limits.queue / 2,
            Gate::Probe => lane.catch_up.is_empty() && lane.fast + lane.slow == 0,
            Gate::Shut => false,
        }
    }

    /// What is read again waits in its lane, until that partition has been read.
    pub fn hold_catch_up(&mut self, to: &Arc<Subscription>, partition: i32) {
        self.lane(to).held_for.insert(partition);
    }

    /// It waits for that partition no longer.
    pub fn release_catch_up(&mut self, id: Uuid, partition: i32) {
        if let Some(lane) = self.by_subscription.get_mut(&id)
            && lane.held_for.remove(&partition)
        {
            self.offer(id);
        }
    }

    /// What waits holds all the memory there is: nothing waits any more.
    pub fn release_all_catch_up(&mut self) {
        let held = self.by_subscription.iter_mut();
        let held = held.filter(|(_, lane)| !lane.held_for.is_empty());
        let held: Vec<Uuid> = held
            .map(|(id, lane)| {
                lane.held_for.clear();
                *id
            })
            .collect();
        for id in held {
            self.offer(id);
        }
    }

    /// What was read again goes before what comes live from now on: it is older.
    pub fn put_catch_up_first(&mut self, id: Uuid, mut which: impl FnMut(&Delivery) -> bool) {
        if let Some(lane) = self.by_subscription.get_mut(&id) {
            let (mut first, rest): (VecDeque<_>, _) = lane
                .catch_up
                .drain(..)
                .partition(|delivery| which(delivery));
            lane.catch_up = rest;
            first.append(&mut lane.live);
            lane.live = first;
            self.offer(id);
        }
    }
}
