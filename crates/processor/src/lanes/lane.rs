//! One subscription's lane: its queues, what it has in flight, and what it has learnt of its
//! receiver.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use outbound::{Attempt, Failure, Verdict};
use tokio::time::Instant;
use uuid::Uuid;

use super::typical::{Slowness, Typical};
use crate::breaker::{self, Breaker};
use crate::bucket::Bucket;
use crate::delivery::{Delivery, Source};
use crate::pace::Pace;
use crate::subscription::Subscription;

/// Every so many turns of a lane, a retry goes before live deliveries, …
const RETRY_TURN: u32 = 4;
/// … and a delivery of the log that is read again goes before both.
const CATCH_UP_TURN: u32 = 16;

/// A lane with so many slow requests begins nothing.
const MOST_SLOW: usize = 2;

/// Which of a lane's requests may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// As many as its pace allows.
    #[default]
    Open,
    /// One at a time: the receiver is probed.
    Probe,
    /// None.
    Shut,
}

/// Where a lane stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In no queue.
    Idle,
    /// Among those that could attempt something now.
    Ready,
    /// Among those that wait for their rate limit.
    Throttled,
}

#[derive(Debug)]
pub struct Lane {
    pub subscription: Arc<Subscription>,
    pub live: VecDeque<Delivery>,
    pub retries: VecDeque<Delivery>,
    pub catch_up: VecDeque<Delivery>,
    /// Partitions that are read: what is read again waits until that is done, for the newest of
    /// each key is not known before.
    pub held_for: HashSet<i32>,
    /// Among the fast requests.
    pub fast: usize,
    /// In the slow pool.
    pub slow: usize,
    pub gate: Gate,
    pub pace: Pace,
    pub slowness: Slowness,
    pub breaker: Breaker,
    pub bucket: Option<Bucket>,
    /// The first failure after the last success.
    pub failing_since: Option<Instant>,
    /// When a failure was last recorded in the table `circuits`.
    pub failure_noted_at: Option<Instant>,
    pub last_success: Option<Instant>,
    /// When it last began something with nothing in flight.
    pub flying_since: Option<Instant>,
    /// Since when its live queue is full.
    pub full_since: Option<Instant>,
    pub place: Place,
    /// It waits for the share of the log that is read again.
    pub is_waiting: bool,
    /// Keys with a delivery in flight, where deliveries are ordered.
    keys: HashSet<String>,
    turns: u32,
}

impl Lane {
    pub fn new(subscription: Arc<Subscription>, max_in_flight: usize) -> Self {
        Self {
            subscription,
            live: VecDeque::new(),
            retries: VecDeque::new(),
            catch_up: VecDeque::new(),
            held_for: HashSet::new(),
            fast: 0,
            slow: 0,
            gate: Gate::Open,
            pace: Pace::new(max_in_flight),
            slowness: Slowness::default(),
            breaker: Breaker::default(),
            bucket: None,
            failing_since: None,
            failure_noted_at: None,
            last_success: None,
            flying_since: None,
            full_since: None,
            place: Place::Idle,
            is_waiting: false,
            keys: HashSet::new(),
            turns: 0,
        }
    }

    pub fn queue_of(&mut self, source: Source) -> &mut VecDeque<Delivery> {
        match source {
            Source::Log => &mut self.live,
            Source::Pending(_) => &mut self.retries,
            Source::CatchUp => &mut self.catch_up,
        }
    }

    /// How many more requests may begin. One that is slow counts for all the others but one.
    pub fn room(&self) -> usize {
        let limit = match (self.gate, self.slow) {
            (Gate::Shut, _) | (_, MOST_SLOW..) => 0,
            (Gate::Probe, slow) => 1_usize.saturating_sub(slow),
            (Gate::Open, 0) => self.pace.limit(),
            (Gate::Open, _) => 1,
        };
        limit.saturating_sub(self.fast)
    }

    /// Takes the next delivery: live ones before retries before what is read again, but for
    /// every few turns, so that none of them starves.
    pub fn take(&mut self, catches_up: bool) -> Option<Delivery> {
        let catches_up = catches_up && self.held_for.is_empty();
        self.turns = self.turns.wrapping_add(1);
        let order = if self.turns.is_multiple_of(CATCH_UP_TURN) {
            [2, 0, 1]
        } else if self.turns.is_multiple_of(RETRY_TURN) {
            [1, 0, 2]
        } else {
            [0, 1, 2]
        };
        let delivery = order.into_iter().find_map(|which| {
            let (keys, ordered) = (&self.keys, self.subscription.policy.ordered);
            let queue = match which {
                0 => &mut self.live,
                1 => &mut self.retries,
                _ if catches_up => &mut self.catch_up,
                _ => return None,
            };
            let at = queue
                .iter()
                .position(|next| !ordered || is_free(keys, next))?;
            queue.remove(at)
        })?;
        if self.subscription.policy.ordered
            && let Some(key) = &delivery.event.key
        {
            self.keys.insert(key.clone());
        }
        Some(delivery)
    }

    /// Whether [`Lane::take`] would give something.
    pub fn can_take(&self, catches_up: bool) -> bool {
        let free = |queue: &VecDeque<Delivery>| {
            let ordered = self.subscription.policy.ordered;
            queue
                .iter()
                .any(|next| !ordered || is_free(&self.keys, next))
        };
        let catches_up = catches_up && self.held_for.is_empty();
        free(&self.live) || free(&self.retries) || (catches_up && free(&self.catch_up))
    }

    /// An attempt ended, which was `slow` or not. Says what that means for the breaker.
    pub fn learn(&mut self, attempt: &Attempt, now: Instant) -> Option<breaker::Change> {
        let held_back = self.can_take(true);
        match attempt.failure {
            None => {
                self.pace.delivered(attempt.latency, held_back);
                self.last_success = Some(now);
                self.failing_since = None;
            }
            Some(failure) => {
                self.failing_since.get_or_insert(now);
                match burden(failure, attempt.status) {
                    Burden::Overloaded => self.pace.overloaded(attempt.started_at, now),
                    Burden::Unreachable => self.pace.unreachable(now),
                    Burden::Other => {}
                }
            }
        }
        let failed = attempt.failure.is_some_and(counts);
        let rejected = attempt.verdict == Verdict::Reject;
        let changed = self.breaker.record(failed && !rejected, now);
        if changed == Some(breaker::Change::Recovered) {
            self.pace.restart();
        }
        changed
    }

    /// Of how many deliveries one shares its time: as many as may be in flight before long; where they
    /// are ordered, as many as are, for the keys there are say how many that may be.
    pub fn at_once(&self) -> f64 {
        if self.subscription.policy.ordered {
            let in_flight = (self.fast + self.slow).max(1);
            f64::from(u32::try_from(in_flight).unwrap_or(u32::MAX))
        } else {
            self.pace.prospect()
        }
    }

    /// Holds a delivery, of so many at once, against what is typical. Where none waits, it is not the
    /// receiver that says how many there are, and how slow they are keeps nobody waiting.
    pub fn compare(&mut self, latency: Duration, at_once: f64, typical: &mut Typical) {
        let Some(usual) = self.pace.usual() else {
            return;
        };
        let typical = typical.add(usual.div_f64(at_once));
        if !self.live.is_empty() {
            self.slowness
                .add(latency.div_f64(at_once), typical, at_once);
        }
    }

    /// The key of a delivery in flight is free again.
    pub fn free(&mut self, delivery: &Delivery) {
        if let Some(key) = &delivery.event.key {
            self.keys.remove(key);
        }
    }

    /// Whether a newer delivery of the same key waits.
    pub fn has_newer(&self, than: &Delivery) -> bool {
        let mut queues = self.live.iter().chain(&self.catch_up);
        queues.any(|queued| supersedes(queued, than))
    }

    /// Takes what is `unwanted` out of its queues.
    pub fn take_out(&mut self, mut unwanted: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for queue in [&mut self.live, &mut self.retries, &mut self.catch_up] {
            if queue.iter().any(&mut unwanted) {
                let (out, kept): (VecDeque<_>, _) = queue.drain(..).partition(&mut unwanted);
                *queue = kept;
                taken.extend(out);
            }
        }
        taken
    }

    pub fn queued(&self) -> usize {
        self.live.len() + self.retries.len() + self.catch_up.len()
    }

    /// Whether forgetting it loses nothing.
    pub fn is_spent(&self, now: Instant) -> bool {
        let idle = self.queued() == 0 && self.fast + self.slow == 0;
        idle && self.gate == Gate::Open
            && self.bucket.is_none()
            && self.failing_since.is_none()
            && self.pace.is_pristine()
            && self.breaker.is_pristine(now)
    }
}

/// Whether `newer` is a later reading of the same key, so that `older` need not be sent.
pub fn supersedes(newer: &Delivery, older: &Delivery) -> bool {
    newer.event.key.is_some()
        && newer.event.key == older.event.key
        && newer.replay == older.replay
        && newer.ticket.partition == older.ticket.partition
        && newer.ticket.offset > older.ticket.offset
}

fn is_free(keys: &HashSet<String>, delivery: &Delivery) -> bool {
    let key = delivery.event.key.as_ref();
    key.is_none_or(|key| !keys.contains(key))
}

/// Whether the breaker counts a failure: those that say that the receiver, or who gives the tokens for
/// it, and not this one request, is not well.
fn counts(failure: Failure) -> bool {
    match failure {
        Failure::Dns
        | Failure::ConnectRefused
        | Failure::ConnectTimeout
        | Failure::Connect
        | Failure::Tls
        | Failure::ClientCertificate
        | Failure::Timeout
        | Failure::Reset
        | Failure::Aborted
        | Failure::Proxy
        | Failure::Http429
        | Failure::Http5xx
        | Failure::Token(_) => true,
        Failure::Protocol
        | Failure::Redirect
        | Failure::Gone
        | Failure::Http4xx
        | Failure::BlockedAddress
        | Failure::InvalidRequest => false,
    }
}

/// What a failure says of how much the receiver can bear.
enum Burden {
    Overloaded,
    Unreachable,
    Other,
}

fn burden(failure: Failure, status: Option<u16>) -> Burden {
    match failure {
        Failure::Http429 | Failure::Timeout | Failure::Aborted => Burden::Overloaded,
        Failure::Http5xx if status == Some(503) => Burden::Overloaded,
        Failure::Dns
        | Failure::ConnectRefused
        | Failure::ConnectTimeout
        | Failure::Connect
        | Failure::BlockedAddress
        | Failure::Proxy
        | Failure::ClientCertificate
        | Failure::Tls => Burden::Unreachable,
        _ => Burden::Other,
    }
}

/// What [`super::Lanes::next_turn`] gives.
#[derive(Debug)]
pub struct Turn {
    pub delivery: Delivery,
    pub subscription: Arc<Subscription>,
}

impl Turn {
    pub fn lane(&self) -> Uuid {
        self.subscription.id
    }
}
