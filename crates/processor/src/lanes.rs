//! The lanes: one queue per subscription, and whose turn it is. Pure; the engine owns them.
//!
//! A lane exists while it holds or attempts something, or knows something of its receiver that is
//! not as usual, so idle subscriptions cost nothing. Lanes take turns, one delivery each. What may
//! be in flight is bounded per lane and over all; a request that became slow counts in a pool of
//! its own. Deliveries of the log that is read again have a share of what is in flight.

mod catch_up;
mod lag;
mod lane;
mod typical;
mod withdraw;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use outbound::Attempt;
use tokio::time::Instant;
use uuid::Uuid;

pub use self::lane::{Gate, Turn};

use self::lane::{Lane, Place, supersedes};
use self::typical::Typical;
use crate::breaker;
use crate::bucket::Bucket;
use crate::delivery::{Delivery, Source};
use crate::pace;
use crate::subscription::Subscription;

/// How much may be queued and attempted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Live deliveries queued per lane; and as many of the log that is read again.
    pub queue: usize,
    /// Claimed pending deliveries queued per lane.
    pub retries: usize,
    /// Requests in flight per lane, where its subscription does not say.
    pub in_flight_per_lane: usize,
    /// Fast requests in flight over all lanes.
    pub in_flight: usize,
    /// How many of those may be for the log that is read again.
    pub catch_up: usize,
    /// And how many of that may begin in a second.
    pub catch_up_rate: f64,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    limits: Limits,
    by_subscription: HashMap<Uuid, Lane>,
    /// Lanes that could attempt something now, each once.
    ready: VecDeque<Uuid>,
    /// Lanes that could, but for the share of the log that is read again.
    waiting: VecDeque<Uuid>,
    /// What of that share may begin now.
    catch_up: Bucket,
    /// Lanes that wait for their rate limit, and until when.
    throttled: BinaryHeap<Reverse<(Instant, Uuid)>>,
    /// Lanes whose live queue is full.
    full: HashSet<Uuid>,
    typical: Typical,
    /// Of every rate limit, what is this replica's.
    share: f64,
    in_flight: usize,
    catching_up: usize,
    queued: usize,
}

impl Lanes {
    pub fn new(limits: Limits) -> Self {
        Self {
            catch_up: Bucket::new(limits.catch_up_rate, Instant::now()),
            limits,
            by_subscription: HashMap::new(),
            ready: VecDeque::new(),
            waiting: VecDeque::new(),
            throttled: BinaryHeap::new(),
            full: HashSet::new(),
            typical: Typical::default(),
            share: 1.0,
            in_flight: 0,
            catching_up: 0,
            queued: 0,
        }
    }

    /// Queues a delivery. Gives back what it supersedes.
    pub fn queue(&mut self, to: &Arc<Subscription>, delivery: Delivery) -> Vec<Delivery> {
        let limit = self.limits.queue;
        let lane = self.lane(to);
        let superseded = if to.policy.coalesces {
            if lane.has_newer(&delivery) {
                return vec![delivery];
            }
            lane.take_out(|queued| supersedes(&delivery, queued))
        } else {
            Vec::new()
        };
        lane.queue_of(delivery.source).push_back(delivery);
        if lane.live.len() >= limit && lane.full_since.is_none() {
            lane.full_since = Some(Instant::now());
            self.full.insert(to.id);
        }
        self.queued = self.queued + 1 - superseded.len();
        self.offer(to.id);
        superseded
    }

    /// The next delivery to attempt, if the limits allow one. Its lane counts it as in flight
    /// until [`Lanes::finished`].
    pub fn next_turn(&mut self, now: Instant) -> Option<Turn> {
        while let Some(Reverse((at, id))) = self.throttled.peek().copied()
            && at <= now
        {
            self.throttled.pop();
            if let Some(lane) = self.by_subscription.get_mut(&id) {
                lane.place = Place::Idle;
            }
            self.offer(id);
        }
        if self.in_flight >= self.limits.in_flight {
            return None;
        }
        self.wake_waiting(now);
        loop {
            let id = self.ready.pop_front()?;
            // A lane whose queue was taken out since it was offered has nothing to attempt.
            match self.begin(id, now) {
                Some(turn) => return Some(turn),
                None => self.wake_waiting(now),
            }
        }
    }

    /// When a rate limit lets the next lane go on.
    pub fn next_wake(&mut self, now: Instant) -> Option<Instant> {
        let throttled = self.throttled.peek().map(|Reverse((at, _))| *at);
        let has_place =
            self.catching_up < self.limits.catch_up && self.in_flight < self.limits.in_flight;
        let catches_up = has_place && !self.waiting.is_empty();
        let share = catches_up.then(|| self.catch_up.ready_at(now));
        throttled.into_iter().chain(share).min()
    }

    /// A delivery of that lane is in flight no more: after this attempt, or without one.
    pub fn finished(
        &mut self,
        delivery: &Delivery,
        attempt: Option<&Attempt>,
        was_slow: bool,
        now: Instant,
    ) -> Option<breaker::Change> {
        if !was_slow {
            self.leave_fast(delivery);
        }
        let id = delivery.subscription_id;
        let lane = self.by_subscription.get_mut(&id)?;
        lane.free(delivery);
        let at_once = lane.at_once();
        let count = if was_slow {
            &mut lane.slow
        } else {
            &mut lane.fast
        };
        *count = count.saturating_sub(1);
        let changed = attempt.and_then(|attempt| lane.learn(attempt, now));
        if let Some(attempt) = attempt.filter(|attempt| attempt.failure.is_none()) {
            lane.compare(attempt.latency, at_once, &mut self.typical);
        }
        if lane.is_spent(now) {
            self.by_subscription.remove(&id);
        } else {
            self.offer(id);
        }
        changed
    }

    /// A request of that lane became slow: it gives its place to the others.
    pub fn became_slow(&mut self, delivery: &Delivery) {
        self.leave_fast(delivery);
        if let Some(lane) = self.by_subscription.get_mut(&delivery.subscription_id) {
            lane.fast = lane.fast.saturating_sub(1);
            lane.slow += 1;
        }
    }

    /// After how long without an answer a request of that lane is slow.
    pub fn slow_after(&self, id: Uuid) -> Duration {
        let lane = self.by_subscription.get(&id);
        lane.map_or(pace::SLOW_FLOOR, |lane| lane.pace.slow_after())
    }

    /// How many more claimed pending deliveries the lane takes.
    pub fn room_for_retries(&self, id: Uuid) -> usize {
        let Some(lane) = self.by_subscription.get(&id) else {
            return self.limits.retries;
        };
        let limit = match lane.gate {
            Gate::Open => self.limits.retries,
            Gate::Probe => 1,
            Gate::Shut => 0,
        };
        limit.saturating_sub(lane.retries.len())
    }

    /// Of every rate limit, what is this replica's.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// The subscription changed: what is queued goes where it now says.
    pub fn change(&mut self, subscription: &Arc<Subscription>, now: Instant) {
        let (max, share) = (self.max_in_flight(subscription), self.share);
        if let Some(lane) = self.by_subscription.get_mut(&subscription.id) {
            lane.subscription = subscription.clone();
            lane.pace.set_max(max);
            set_rate(lane, share, now);
            self.offer(subscription.id);
        }
    }

    /// Of every rate limit, this share is ours.
    pub fn set_share(&mut self, share: f64, now: Instant) {
        self.share = share;
        for lane in self.by_subscription.values_mut() {
            set_rate(lane, share, now);
        }
    }

    /// Opens or shuts a lane, with its breaker.
    pub fn set_gate(&mut self, to: &Arc<Subscription>, gate: Gate, breaker: breaker::State) {
        let recovers = gate == Gate::Open;
        if recovers && !self.by_subscription.contains_key(&to.id) {
            return;
        }
        let lane = self.lane(to);
        if lane.gate != gate && recovers {
            lane.pace.restart();
        }
        lane.gate = gate;
        lane.breaker.become_now(breaker);
        self.offer(to.id);
    }

    /// Forgets the lanes that know nothing any more.
    pub fn sweep(&mut self, now: Instant) {
        self.by_subscription.retain(|_, lane| !lane.is_spent(now));
    }

    /// A lane as it is, for what the engine notes of its failures.
    pub fn get_mut(&mut self, id: Uuid) -> Option<&mut Lane> {
        self.by_subscription.get_mut(&id)
    }

    /// Fast requests in flight over all lanes.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries queued over all lanes.
    pub fn queued(&self) -> usize {
        self.queued
    }

    fn lane(&mut self, to: &Arc<Subscription>) -> &mut Lane {
        let (max, share) = (self.max_in_flight(to), self.share);
        self.by_subscription.entry(to.id).or_insert_with(|| {
            let mut lane = Lane::new(to.clone(), max);
            set_rate(&mut lane, share, Instant::now());
            lane
        })
    }

    fn max_in_flight(&self, of: &Subscription) -> usize {
        let own = of.policy.max_in_flight;
        own.unwrap_or(self.limits.in_flight_per_lane)
    }

    fn begin(&mut self, id: Uuid, now: Instant) -> Option<Turn> {
        let catches_up = self.may_catch_up(now);
        let lane = self.by_subscription.get_mut(&id)?;
        lane.place = Place::Idle;
        if lane.room() == 0 {
            return None;
        }
        if !lane.can_take(catches_up) {
            if lane.can_take(true) {
                lane.is_waiting = true;
                self.waiting.push_back(id);
            }
            return None;
        }
        if let Some(Err(at)) = lane.bucket.as_mut().map(|bucket| bucket.take(now)) {
            lane.place = Place::Throttled;
            self.throttled.push(Reverse((at, id)));
            return None;
        }
        let delivery = lane.take(catches_up)?;
        if lane.fast + lane.slow == 0 {
            lane.flying_since = Some(now);
        }
        lane.fast += 1;
        if lane.live.len() < self.limits.queue && lane.full_since.take().is_some() {
            self.full.remove(&id);
        }
        let subscription = lane.subscription.clone();
        self.in_flight += 1;
        if matches!(delivery.source, Source::CatchUp) {
            self.catching_up += 1;
            self.catch_up.spend();
        }
        self.queued -= 1;
        self.offer(id);
        Some(Turn {
            delivery,
            subscription,
        })
    }

    fn leave_fast(&mut self, delivery: &Delivery) {
        self.in_flight -= 1;
        if matches!(delivery.source, Source::CatchUp) {
            self.catching_up -= 1;
        }
    }

    fn may_catch_up(&mut self, now: Instant) -> bool {
        self.catching_up < self.limits.catch_up && self.catch_up.ready_at(now) <= now
    }

    /// Where what is read again may begin, the first lane that can use that has it.
    fn wake_waiting(&mut self, now: Instant) {
        if self.waiting.is_empty() || !self.may_catch_up(now) {
            return;
        }
        while let Some(id) = self.waiting.pop_front() {
            if let Some(lane) = self.by_subscription.get_mut(&id) {
                lane.is_waiting = false;
            }
            if self.offer(id) {
                return;
            }
        }
    }

    /// Whether the lane could attempt something now that could not before.
    fn offer(&mut self, id: Uuid) -> bool {
        let Some(lane) = self.by_subscription.get_mut(&id) else {
            return false;
        };
        let may = lane.place == Place::Idle && lane.room() > 0;
        let offers = may && lane.can_take(!lane.is_waiting);
        if offers {
            lane.place = Place::Ready;
            self.ready.push_back(id);
        }
        offers
    }
}

fn set_rate(lane: &mut Lane, share: f64, now: Instant) {
    let rate = lane.subscription.policy.rate_limit.map(|rate| rate * share);
    match (rate, &mut lane.bucket) {
        (None, bucket) => *bucket = None,
        (Some(rate), Some(bucket)) => bucket.set_rate(rate, now),
        (Some(rate), bucket) => *bucket = Some(Bucket::new(rate, now)),
    }
}

#[cfg(test)]
mod tests;
