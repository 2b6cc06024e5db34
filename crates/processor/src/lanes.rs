//! The lanes: one queue per subscription, and whose turn it is. Pure; the engine owns them.
//!
//! A lane exists while it holds or attempts something, so idle subscriptions cost nothing. Lanes
//! take turns, one delivery each. Within a lane live deliveries go before retries, but every
//! `RETRY_TURN`th turn is a retry's, so that neither starves. A full lane refuses: what does not
//! fit is parked by the engine. What may be in flight is bounded per lane and over all.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::delivery::Delivery;
use crate::subscription::Subscription;

/// Every so many turns of a lane, a retry goes before live deliveries.
const RETRY_TURN: u32 = 4;

/// How much may be queued and attempted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Live deliveries queued per lane.
    pub queue: usize,
    /// Claimed pending deliveries queued per lane.
    pub retries: usize,
    /// Requests in flight per lane.
    pub in_flight_per_lane: usize,
    /// Requests in flight over all lanes.
    pub in_flight: usize,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    limits: Limits,
    by_subscription: HashMap<Uuid, Lane>,
    /// Lanes that could attempt something now, each once.
    ready: VecDeque<Uuid>,
    in_flight: usize,
    queued: usize,
}

#[derive(Debug)]
struct Lane {
    subscription: Arc<Subscription>,
    live: VecDeque<Delivery>,
    retries: VecDeque<Delivery>,
    in_flight: usize,
    turns: u32,
    is_ready: bool,
}

impl Lanes {
    pub fn new(limits: Limits) -> Self {
        let (by_subscription, ready) = (HashMap::new(), VecDeque::new());
        Self {
            limits,
            by_subscription,
            ready,
            in_flight: 0,
            queued: 0,
        }
    }

    /// Queues a delivery, or gives it back when its lane is full.
    ///
    /// # Errors
    /// The delivery itself, not queued.
    pub fn queue(&mut self, to: &Arc<Subscription>, delivery: Delivery) -> Result<(), Delivery> {
        let lane = self
            .by_subscription
            .entry(to.id)
            .or_insert_with(|| Lane::new(to.clone()));
        let (queue, limit) = if delivery.lease.is_some() {
            (&mut lane.retries, self.limits.retries)
        } else {
            (&mut lane.live, self.limits.queue)
        };
        if queue.len() >= limit {
            return Err(delivery);
        }
        queue.push_back(delivery);
        self.queued += 1;
        self.offer(to.id);
        Ok(())
    }

    /// The next delivery to attempt, if the limits allow one. Its lane counts it as in flight
    /// until [`Lanes::finished`].
    pub fn next_turn(&mut self) -> Option<(Delivery, Arc<Subscription>)> {
        if self.in_flight >= self.limits.in_flight {
            return None;
        }
        loop {
            let id = self.ready.pop_front()?;
            // A lane whose queue was taken out since it was offered has nothing to attempt.
            if let Some(turn) = self.begin(id) {
                return Some(turn);
            }
        }
    }

    /// An attempt of that lane ended.
    pub fn finished(&mut self, id: Uuid) {
        self.in_flight -= 1;
        if let Some(lane) = self.by_subscription.get_mut(&id) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            if lane.is_idle() {
                self.by_subscription.remove(&id);
            } else {
                self.offer(id);
            }
        }
    }

    /// How many more claimed pending deliveries the lane takes.
    pub fn room_for_retries(&self, id: Uuid) -> usize {
        let queued = self
            .by_subscription
            .get(&id)
            .map_or(0, |lane| lane.retries.len());
        self.limits.retries.saturating_sub(queued)
    }

    /// The subscription changed: what is queued goes where it now says.
    pub fn change(&mut self, subscription: &Arc<Subscription>) {
        if let Some(lane) = self.by_subscription.get_mut(&subscription.id) {
            lane.subscription = subscription.clone();
        }
    }

    /// Takes out what is queued and `unwanted`.
    pub fn withdraw(&mut self, mut unwanted: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for lane in self.by_subscription.values_mut() {
            for queue in [&mut lane.live, &mut lane.retries] {
                if queue.iter().any(&mut unwanted) {
                    let (out, kept) = queue.drain(..).partition(&mut unwanted);
                    *queue = kept;
                    taken.extend(Vec::from(out));
                }
            }
        }
        self.taken_out(taken.len());
        taken
    }

    /// Takes out the live deliveries that have waited longer than `patience`, so that one slow
    /// receiver does not hold its partition's progress back.
    pub fn overdue(&mut self, now: Instant, patience: Duration) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for lane in self.by_subscription.values_mut() {
            let late = |delivery: &mut Delivery| now - delivery.queued_at > patience;
            while let Some(delivery) = lane.live.pop_front_if(late) {
                taken.push(delivery);
            }
        }
        self.taken_out(taken.len());
        taken
    }

    /// Requests in flight over all lanes.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries queued over all lanes.
    pub fn queued(&self) -> usize {
        self.queued
    }

    fn begin(&mut self, id: Uuid) -> Option<(Delivery, Arc<Subscription>)> {
        let lane = self.by_subscription.get_mut(&id)?;
        lane.is_ready = false;
        let delivery = lane.take()?;
        lane.in_flight += 1;
        let subscription = lane.subscription.clone();
        self.in_flight += 1;
        self.queued -= 1;
        self.offer(id);
        Some((delivery, subscription))
    }

    /// Counts what was taken out of the queues, and forgets the lanes it left idle.
    fn taken_out(&mut self, deliveries: usize) {
        self.queued -= deliveries;
        self.by_subscription.retain(|_, lane| !lane.is_idle());
    }

    fn offer(&mut self, id: Uuid) {
        let Some(lane) = self.by_subscription.get_mut(&id) else {
            return;
        };
        let may = !lane.is_empty() && lane.in_flight < self.limits.in_flight_per_lane;
        if may && !lane.is_ready {
            lane.is_ready = true;
            self.ready.push_back(id);
        }
    }
}

impl Lane {
    fn new(subscription: Arc<Subscription>) -> Self {
        let (live, retries) = (VecDeque::new(), VecDeque::new());
        Self {
            subscription,
            live,
            retries,
            in_flight: 0,
            turns: 0,
            is_ready: false,
        }
    }

    fn take(&mut self) -> Option<Delivery> {
        self.turns = self.turns.wrapping_add(1);
        let (first, second) = if self.turns.is_multiple_of(RETRY_TURN) {
            (&mut self.retries, &mut self.live)
        } else {
            (&mut self.live, &mut self.retries)
        };
        first.pop_front().or_else(|| second.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.retries.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.is_empty() && self.in_flight == 0
    }
}

#[cfg(test)]
mod tests;
