//! The engine: fans events out to lanes, attempts what is queued, and tells the recorder what
//! becomes of each delivery.
//!
//! One task owns the index, the lanes and the partitions; everybody else sends to it. It never
//! waits for the recorder: what that cannot take yet lies in the outbox, and while something does
//! no turn begins and no record is taken, so that a partition can be given up even while Postgres
//! is away. It ends when the consumer is gone; what is in flight then stays unsettled.

mod attempts;
mod catch_up;
mod flight;
mod gates;
mod intake;
mod ownership;
mod partitions;
mod plan;
mod replays;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use common::store::circuits::Circuit;
use common::store::cursors::Cursor;
use common::store::pending_deliveries::Claimed;
use common::store::replays::Range;
use metrics::gauge;
use outbound::Sender;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use traces::Traces;
use uuid::Uuid;

use self::flight::{Flight, Flying, Landed};
use self::gates::Known;
use self::ownership::Ownership;
use self::replays::Replay;
use crate::blocked::Blocked;
use crate::budget::Budget;
use crate::delivery::Lease;
use crate::event::{Kind, Record};
use crate::fan_out::Index;
use crate::lanes::{Lanes, Limits};
use crate::meters::Meters;
use crate::observe;
use crate::reader::{Command, Read};
use crate::recorder::{Entry, Positions};
use crate::retry::Schedule;
use crate::stretches::Stretches;
use crate::subscription::Subscription;

/// How often deadlines, slow requests and overdue deliveries are looked at.
const TICK: Duration = Duration::from_millis(100);

/// How many entries are handed to the recorder at once, and records taken at once.
const BATCH: usize = 256;

/// How many attempts that ended are looked at before lanes have their next turns.
const LANDINGS: usize = 64;

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
    /// What subscriptions that are detached there have yet to get.
    pub cursors: Vec<Cursor>,
    /// What is left there of replays.
    pub replays: Vec<Range>,
    /// Keys (and offsets) of ordered subscriptions that wait for a pending delivery.
    pub blocked: Vec<(Uuid, String, i64)>,
    /// How many partitions the topic has.
    pub of: usize,
    /// Answered when records of it may come.
    pub taken: oneshot::Sender<()>,
}

/// All subscriptions there are, and what others know of them.
#[derive(Debug, Default)]
pub struct All {
    pub subscriptions: Vec<Arc<Subscription>>,
    /// Those that are known as they are.
    pub unchanged: Vec<Uuid>,
    /// Those whose secrets do not open: see [`Change::Held`].
    pub held: Vec<Arc<Subscription>>,
    /// Those whose rows cannot be used: what is known of them stays.
    pub unusable: Vec<Uuid>,
    pub circuits: Vec<Circuit>,
}

/// What changed of the subscriptions, and of what others know of them.
#[derive(Debug)]
pub enum Change {
    All(All),
    Upsert(Arc<Subscription>, Option<Circuit>),
    /// Their secrets do not open. What is known of them stays; those that are not known are off the
    /// log, and miss nothing.
    Held(Vec<Arc<Subscription>>),
    Removed(Uuid),
    /// All that run.
    Replays(Vec<Range>),
    /// Retention comes near to what lies before this offset.
    Spill {
        partition: i32,
        before: i64,
    },
}

/// What the claimer of pending deliveries asks and brings.
#[derive(Debug)]
pub enum Pending {
    /// How many each of these subscriptions takes.
    Rooms {
        subscription_ids: Vec<Uuid>,
        reply: oneshot::Sender<Vec<Room>>,
    },
    Claimed {
        lease: Lease,
        rows: Vec<Claimed>,
    },
}

/// How many pending deliveries of a subscription there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    pub rows: i64,
    /// Of each key only the first.
    pub ordered: bool,
}

/// Everything the engine is told.
#[derive(Debug)]
pub struct Inputs {
    pub control: mpsc::Receiver<Control>,
    pub records: mpsc::Receiver<Record>,
    pub changes: mpsc::Receiver<Change>,
    pub pending: mpsc::Receiver<Pending>,
    pub read: mpsc::Receiver<Read>,
    /// Partitions, under that epoch, that the recorder found to be another's.
    pub fenced: mpsc::Receiver<(i32, i64)>,
}

/// How the engine works.
#[derive(Clone, Debug)]
pub struct Settings {
    pub topic: String,
    pub kind: Kind,
    /// This replica, as the tables name it.
    pub owner: String,
    pub schedule: Schedule,
    pub patience: Duration,
    pub limits: Limits,
    /// How many requests may be slow.
    pub slow: usize,
    pub traces: Traces,
}

/// The one owner of what is in memory.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    /// Shared, since a sender is many handles, and each attempt takes one of its own.
    sender: Arc<Sender>,
    meters: Meters,
    budget: Budget,
    recorder: mpsc::Sender<Entry>,
    index: Index,
    lanes: Lanes,
    ownership: Ownership,
    outbox: VecDeque<Entry>,
    /// Taken from the channel, not fanned out yet.
    fetched: VecDeque<Record>,
    flight: Flight,
    circuits: HashMap<Uuid, Known>,
    stretches: Stretches,
    replays: HashMap<Uuid, Replay>,
    blocked: Blocked,
    /// How many the topic has.
    partitions: usize,
    reader: mpsc::Sender<Command>,
    /// When passes are planned next, and not before when.
    plan_at: Instant,
    earliest_plan: Instant,
    /// The partition of which a pass began last.
    planned: Option<i32>,
}

impl Engine {
    /// An engine that knows `subscriptions` and owns nothing yet. The partitions it owns are
    /// published by `owned`.
    pub fn new(
        settings: Settings,
        sender: Sender,
        budget: Budget,
        (recorder, reader): (mpsc::Sender<Entry>, mpsc::Sender<Command>),
        owned: watch::Sender<Vec<i32>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            lanes: Lanes::new(settings.limits),
            flight: Flight::new(settings.slow),
            meters: Meters::of_installed(settings.kind),
            settings,
            sender: Arc::new(sender),
            budget,
            recorder,
            index: Index::default(),
            ownership: Ownership::new(owned),
            outbox: VecDeque::new(),
            fetched: VecDeque::new(),
            circuits: HashMap::new(),
            stretches: Stretches::default(),
            replays: HashMap::new(),
            blocked: Blocked::default(),
            partitions: 0,
            reader,
            plan_at: now,
            earliest_plan: now,
            planned: None,
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
            let wake = self.next_wake();
            let (wake, wake_is_set) = (wake.unwrap_or_else(Instant::now), wake.is_some());
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
                ended = self.flight.next(), if !self.flight.is_empty() => {
                    self.land(ended?)?;
                }
                Some(change) = inputs.changes.recv() => self.change(change),
                Some(pending) = inputs.pending.recv() => self.pending(pending),
                _ = inputs.records.recv_many(&mut records, BATCH - self.fetched.len()), if self.takes_records() => {
                    self.fetched.extend(records.drain(..));
                }
                Some(read) = inputs.read.recv(), if self.outbox.is_empty() && self.has_room() => self.read(read),
                _ = tick.tick() => self.tick(),
                () = tokio::time::sleep_until(wake), if wake_is_set && self.outbox.is_empty() => {}
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
            && !self.is_held_up()
            && let Some(record) = self.fetched.pop_front()
        {
            self.fan_out(record);
        }
        while self.outbox.is_empty()
            && let Some(turn) = self.lanes.next_turn(Instant::now())
        {
            self.begin(turn);
        }
        if self.outbox.is_empty() {
            self.plan();
        }
    }

    /// What ended, and what else has by now: to look at all inputs after each, and to hand outcomes
    /// on one by one, costs more than what is to be done for one.
    fn land(&mut self, first: Option<Landed>) -> anyhow::Result<()> {
        if let Some((flying, attempt)) = first {
            self.finish(flying, attempt);
        }
        for _ in 1..LANDINGS {
            let Some((flying, attempt)) = self.flight.try_next()? else {
                break;
            };
            self.finish(flying, attempt);
        }
        Ok(())
    }

    /// When there is something to do though nothing comes.
    fn next_wake(&mut self) -> Option<Instant> {
        let turn = self.lanes.next_wake(Instant::now());
        let plan = (self.stretches.count() > 0).then_some(self.plan_at);
        turn.into_iter().chain(plan).min()
    }

    /// Whether a lane that is busy delivering is full. One that does not keep up by its own doing
    /// leaves the log instead.
    fn is_held_up(&mut self) -> bool {
        if !self.lanes.is_any_full() {
            return false;
        }
        let (is_busy, behind) = self.lanes.full(Instant::now());
        for id in behind {
            self.detach(id, false);
            self.plan_soon();
        }
        is_busy
    }

    /// Also while some wait to be fanned out: a full lane takes those one by one, as it delivers, and the
    /// consumer is not to wait for as long as all of them take.
    fn takes_records(&self) -> bool {
        self.fetched.len() < BATCH && self.outbox.is_empty() && self.has_room()
    }

    /// Whether another event may be fanned out. Where nothing is queued or in flight, records that
    /// wait to be fanned out are all that may hold the budget, and would wait for themselves.
    fn has_room(&self) -> bool {
        !self.budget.spent() || (self.lanes.queued() == 0 && self.lanes.in_flight() == 0)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.slow_down();
        for id in self.lanes.overdue(now, self.settings.patience) {
            self.detach(id, false);
            self.plan_soon();
        }
        self.tidy_stretches();
        self.lanes.sweep(now);
        if self.budget.spent() {
            self.lanes.release_all_catch_up();
        }
        self.end_releases();
        // Exact up to 2^53.
        #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
        let set = |name, value: usize| {
            gauge!(name, "pipeline" => self.settings.kind.label()).set(value as f64);
        };
        // Shared by the pipelines: any of them says the same.
        #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
        gauge!(observe::BUDGET_BYTES).set(self.budget.held() as f64);
        #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
        gauge!(observe::BUDGET_LIMIT).set(self.budget.limit() as f64);
        set(observe::IN_FLIGHT, self.lanes.in_flight());
        set(observe::SLOW, self.flight.slow());
        set(observe::QUEUED, self.lanes.queued());
        set(observe::STRETCHES, self.stretches.count());
        set(observe::PARTITIONS, self.ownership.count());
    }
}
