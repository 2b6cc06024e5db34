//! The engine: fans events out to lanes, attempts what is queued, and tells the recorder what
//! becomes of each delivery.
//!
//! One task owns the index, the lanes and the partitions; everybody else sends to it. It never
//! waits for the recorder: what that cannot take yet lies in the outbox, and while something does
//! no turn begins and no record is taken, so that a partition can be given up even while Postgres
//! is away. It ends when the consumer is gone; what is in flight then stays unsettled.

mod intake;
mod ownership;

#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use common::store::pending_deliveries::Claimed;
use metrics::{counter, gauge, histogram};
use outbound::{Attempt, Sender, Verdict};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument;
use uuid::Uuid;

use self::ownership::Ownership;
use crate::budget::Budget;
use crate::delivery::{Delivery, Lease, Outcome};
use crate::event::Record;
use crate::fan_out::Index;
use crate::lanes::{Lanes, Limits};
use crate::observe;
use crate::recorder::{Entry, Positions, Settled};
use crate::retry::Schedule;
use crate::subscription::Subscription;

/// How often deadlines and overdue deliveries are looked at.
const TICK: Duration = Duration::from_millis(250);

/// How many entries are handed to the recorder at once, and records taken at once.
const BATCH: usize = 256;

/// What the consumer tells of its partitions.
#[derive(Debug)]
pub enum Control {
    Assigned(Assignment),
    /// Give them up: what is in flight may end until the timeout. The answer is where each stands.
    Release {
        partitions: Vec<i32>,
        timeout: Duration,
        done: oneshot::Sender<Positions>,
    },
    /// They are another's already.
    Lost {
        partitions: Vec<i32>,
    },
}

/// A partition that is ours from now on.
#[derive(Debug)]
pub struct Assignment {
    pub partition: i32,
    pub epoch: i64,
    pub next_offset: i64,
    /// Offsets and subscriptions settled beyond that: not to be attempted again.
    pub ahead: HashSet<(i64, Uuid)>,
    /// Answered when records of it may come.
    pub taken: oneshot::Sender<()>,
}

/// What changed of the subscriptions.
#[derive(Debug)]
pub enum Change {
    All(Vec<Arc<Subscription>>),
    Upsert(Arc<Subscription>),
    Removed(Uuid),
}

/// What the claimer of pending deliveries asks and brings.
#[derive(Debug)]
pub enum Pending {
    /// How many each of these subscriptions takes.
    Rooms {
        subscription_ids: Vec<Uuid>,
        reply: oneshot::Sender<Vec<i64>>,
    },
    Claimed {
        lease: Lease,
        rows: Vec<Claimed>,
    },
}

/// Everything the engine is told.
#[derive(Debug)]
pub struct Inputs {
    pub control: mpsc::Receiver<Control>,
    pub records: mpsc::Receiver<Record>,
    pub changes: mpsc::Receiver<Change>,
    pub pending: mpsc::Receiver<Pending>,
    /// Partitions, under that epoch, that the recorder found to be another's.
    pub fenced: mpsc::Receiver<(i32, i64)>,
}

/// How the engine works.
#[derive(Clone, Debug)]
pub struct Settings {
    pub topic: String,
    pub schedule: Schedule,
    pub patience: Duration,
    pub limits: Limits,
}

/// The one owner of what is in memory.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    sender: Sender,
    budget: Budget,
    recorder: mpsc::Sender<Entry>,
    index: Index,
    lanes: Lanes,
    ownership: Ownership,
    outbox: VecDeque<Entry>,
    /// Taken from the channel, not fanned out yet.
    fetched: VecDeque<Record>,
    attempts: JoinSet<(Delivery, Attempt)>,
}

impl Engine {
    /// An engine that knows `subscriptions` and owns nothing yet. The partitions it owns are
    /// published by `owned`.
    pub fn new(
        settings: Settings,
        sender: Sender,
        budget: Budget,
        recorder: mpsc::Sender<Entry>,
        owned: watch::Sender<Vec<i32>>,
    ) -> Self {
        Self {
            lanes: Lanes::new(settings.limits),
            settings,
            sender,
            budget,
            recorder,
            index: Index::default(),
            ownership: Ownership::new(owned),
            outbox: VecDeque::new(),
            fetched: VecDeque::new(),
            attempts: JoinSet::new(),
        }
    }

    /// Runs until the consumer is gone, and hands on what is decided by then.
    ///
    /// # Errors
    /// That an attempt panicked.
    pub async fn run(mut self, mut inputs: Inputs) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut records = Vec::new();
        // A handle of the loop's own: permits borrow it while the rest of the engine changes.
        let recorder = self.recorder.clone();
        loop {
            self.work();
            let waiting = self.outbox.len().min(BATCH).min(recorder.max_capacity());
            // Each arm only receives, reserves or waits, which is cancel-safe.
            tokio::select! {
                biased;
                control = inputs.control.recv() => match control {
                    Some(control) => self.control(control),
                    None => break,
                },
                Some((partition, epoch)) = inputs.fenced.recv() => self.fenced(partition, epoch),
                Ok(permits) = recorder.reserve_many(waiting), if waiting > 0 => {
                    permits.zip(self.outbox.drain(..waiting)).for_each(|(permit, entry)| permit.send(entry));
                }
                Some(done) = self.attempts.join_next(), if !self.attempts.is_empty() => {
                    let (delivery, attempt) = done.context("an attempt ended badly")?;
                    self.finish(delivery, attempt);
                }
                Some(change) = inputs.changes.recv() => self.change(change),
                Some(pending) = inputs.pending.recv() => self.pending(pending),
                _ = inputs.records.recv_many(&mut records, BATCH), if self.takes_records() => {
                    self.fetched.extend(records.drain(..));
                }
                _ = tick.tick() => self.tick(),
                () = self.budget.room(), if self.budget.spent() => {}
            }
        }
        for entry in self.outbox {
            // The recorder ends after its last sender.
            self.recorder
                .send(entry)
                .await
                .context("the recorder is gone")?;
        }
        Ok(())
    }

    /// Fans out what was fetched and begins attempts, while the recorder keeps up.
    fn work(&mut self) {
        while self.outbox.len() < BATCH
            && self.has_room()
            && let Some(record) = self.fetched.pop_front()
        {
            self.fan_out(record);
        }
        while self.outbox.is_empty()
            && let Some((delivery, subscription)) = self.lanes.next_turn()
        {
            self.begin(delivery, subscription);
        }
    }

    fn takes_records(&self) -> bool {
        self.fetched.is_empty() && self.outbox.is_empty() && self.has_room()
    }

    /// Whether another event may be fanned out. Where nothing is queued or in flight, records that
    /// wait to be fanned out are all that may hold the budget, and would wait for themselves.
    fn has_room(&self) -> bool {
        !self.budget.spent() || (self.lanes.queued() == 0 && self.lanes.in_flight() == 0)
    }

    fn begin(&mut self, delivery: Delivery, subscription: Arc<Subscription>) {
        let now = Instant::now();
        if delivery.lease.is_some_and(|lease| lease.usable_until < now) {
            // Another may hold it by now, and will say what becomes of it.
            self.lanes.finished(subscription.id);
            return;
        }
        self.ownership.begin(&delivery.ticket);
        let (sender, number) = (self.sender.clone(), delivery.attempts + 1);
        let span = tracing::debug_span!(
            "delivery",
            event.id = delivery.event.id,
            subscription.id = %subscription.id,
            attempt = number,
        );
        let attempting = async move {
            let outgoing = delivery.event.outgoing(number);
            let attempt = sender.attempt(&subscription.target, &outgoing).await;
            tracing::debug!(verdict = ?attempt.verdict, failure = ?attempt.failure, "attempted");
            (delivery, attempt)
        };
        self.attempts.spawn(attempting.instrument(span));
    }

    fn finish(&mut self, delivery: Delivery, attempt: Attempt) {
        self.lanes.finished(delivery.subscription_id);
        self.ownership.finish(&delivery.ticket);
        let made = delivery.attempts + 1;
        let outcome = Outcome::of(
            attempt.verdict,
            made,
            &self.settings.schedule,
            rand::random(),
        );
        counter!(observe::ATTEMPTS, "verdict" => attempt.verdict.label()).increment(1);
        if attempt.verdict == Verdict::Delivered && made == 1 {
            histogram!(observe::DELIVERY_SECONDS).record(delivery.queued_at.elapsed());
        }
        if let Outcome::DeadLettered { reason } = outcome {
            tracing::warn!(
                event.id = delivery.event.id,
                subscription.id = %delivery.subscription_id,
                attempts = made,
                reason = reason.label(),
                failure = ?attempt.failure,
                "a delivery is dead",
            );
        }
        self.outbox.push_back(Entry::Settled(Settled {
            delivery,
            attempt: Some(attempt),
            outcome,
        }));
        self.end_releases();
    }

    fn settle(&mut self, delivery: Delivery, outcome: Outcome) {
        let settled = Settled::unattempted(delivery, outcome);
        self.outbox.push_back(Entry::Settled(settled));
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Assigned(assignment) => {
                self.outbox.push_back(Entry::Assigned {
                    partition: assignment.partition,
                    epoch: assignment.epoch,
                    next_offset: assignment.next_offset,
                });
                self.ownership.add(assignment);
            }
            Control::Release {
                partitions,
                timeout,
                done,
            } => {
                self.withdraw(&partitions);
                let deadline = Instant::now() + timeout;
                self.ownership.release(partitions, deadline, done);
                self.end_releases();
            }
            Control::Lost { partitions } => self.lose(partitions),
        }
    }

    fn fenced(&mut self, partition: i32, epoch: i64) {
        if self.ownership.epoch(partition) == Some(epoch) {
            self.lose(vec![partition]);
        }
    }

    fn lose(&mut self, partitions: Vec<i32>) {
        self.withdraw(&partitions);
        self.ownership.remove(&partitions);
        self.outbox.push_back(Entry::Lost { partitions });
    }

    /// Takes what is queued of those partitions out of the lanes: a new owner reads it from the
    /// log again, and finds the pending ones when their leases are given up.
    fn withdraw(&mut self, partitions: &[i32]) {
        let theirs = |delivery: &Delivery| partitions.contains(&delivery.ticket.partition);
        for delivery in self.lanes.withdraw(theirs) {
            if delivery.lease.is_some() {
                self.settle(delivery, Outcome::PARKED);
            }
        }
    }

    fn end_releases(&mut self) {
        for (partitions, done) in self.ownership.released(Instant::now()) {
            self.outbox.push_back(Entry::Release { partitions, done });
        }
    }

    fn tick(&mut self) {
        for delivery in self.lanes.overdue(Instant::now(), self.settings.patience) {
            self.settle(delivery, Outcome::PARKED);
        }
        self.end_releases();
        // Exact up to 2^53.
        #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
        let set = |name, value: usize| gauge!(name).set(value as f64);
        set(observe::BUDGET_BYTES, self.budget.held());
        set(observe::IN_FLIGHT, self.lanes.in_flight());
        set(observe::QUEUED, self.lanes.queued());
        set(observe::PARTITIONS, self.ownership.count());
    }
}
