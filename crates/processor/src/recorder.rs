//! Makes outcomes durable: gathers them for a moment and writes them in one transaction, with the
//! progress of their partitions.
//!
//! It owns the watermarks. What it publishes as a partition's position is committed. It takes no
//! stop token: it ends when the last sender of its channel is gone, so that nothing given to it is
//! lost; while Postgres is away it tries for ever, and its full channel holds the engine up.

mod batch;
mod circuits;
mod connection;
mod intake;
mod interval;
mod observed;
mod operations;
mod partitions;
mod record;
mod statistics;
mod stretches;
mod transaction;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use common::attempt_log::AttemptLog;
use common::probes::{Component, Pulse};
use metrics::counter;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use traces::Traces;
use uuid::Uuid;

pub use self::batch::{Rows, Settled};
pub use self::circuits::Note;
pub use self::partitions::Partitions;
pub use self::statistics::Settings as StatisticsSettings;
pub use self::transaction::NoEvent;

use self::circuits::Circuits;
use self::connection::Connection;
use self::interval::Interval;
use self::partitions::Moves;
use self::statistics::Statistics;
use self::stretches::Stretches;
use self::transaction::Flush;
use crate::delivery::Ticket;
use crate::event::Kind;
use crate::meters::ByLabel;
use crate::observe;
use crate::store::statistics_deltas::Delta;
use crate::stretches::Key;

/// How many payload bytes are written at once at most (one outcome more may pass it).
const FLUSH_BYTES: usize = 8 * 1024 * 1024;

/// How long it waits for outcomes before it comes around.
const WAIT: Duration = Duration::from_secs(5);

/// The pauses while Postgres is away grow from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The committed next offset of each partition.
pub type Positions = HashMap<i32, i64>;

/// What the engine tells the recorder, in the order in which it happened.
#[derive(Debug)]
pub enum Entry {
    /// A partition is ours, and read from there.
    Assigned {
        partition: i32,
        epoch: i64,
        next_offset: i64,
    },
    /// An event arrived, with that many deliveries to settle.
    Received { at: Ticket, deliveries: usize },
    /// One of them is settled, or a pending one.
    Settled(Settled),
    /// What arrived is no event; that was its one delivery.
    Malformed(NoEvent),
    /// A stretch of the log that is known from its row.
    Opened {
        partition: i32,
        key: Key,
        next: i64,
        end: Option<i64>,
    },
    /// A subscription gets nothing from the log any more, in these partitions from these offsets
    /// on; the deliveries that hold the other tickets are read again from there.
    Detached {
        subscription_id: Uuid,
        cursors: Vec<Ticket>,
        withdrawn: Vec<Ticket>,
        /// Partitions and offsets of what is in flight for it from the log.
        in_flight: Vec<(i32, i64)>,
    },
    /// It does again, from this offset on.
    Attached { key: Key, at: Ticket },
    /// An offset of a stretch was read, with that many deliveries.
    Read {
        key: Key,
        at: Ticket,
        deliveries: usize,
    },
    /// What was read of a stretch from this offset on is read again.
    Rewound { key: Key, at: Ticket },
    /// Nobody wants the stretch any more.
    Closed { partition: i32, key: Key },
    /// What an attempt said of a receiver.
    Noted { subscription_id: Uuid, note: Note },
    /// The partitions are given up: the answer, once all before is committed, is where each stands.
    Release {
        partitions: Vec<i32>,
        done: oneshot::Sender<Positions>,
    },
    /// The partitions are another's already: nothing is written any more.
    Lost { partitions: Vec<i32> },
}

/// What the recorder is connected to.
#[derive(Debug)]
pub struct Links {
    pub entries: mpsc::Receiver<Entry>,
    pub positions: watch::Sender<Positions>,
    /// Told of partitions (and epochs) that turn out to be another's.
    pub fenced: mpsc::Sender<(i32, i64)>,
    pub postgres: Component,
    pub pulse: Pulse,
}

/// How much is gathered, and whose topic it is.
#[derive(Clone, Debug)]
pub struct Settings {
    pub topic: String,
    pub kind: Kind,
    pub flush_interval: Duration,
    pub flush_outcomes: usize,
    pub log: AttemptLog,
    pub statistics: StatisticsSettings,
    pub traces: Traces,
}

/// The one writer of outcomes.
#[derive(Debug)]
pub struct Recorder {
    connection: Connection,
    settings: Settings,
    links: Links,
    partitions: Partitions,
    stretches: Stretches,
    circuits: Circuits,
    statistics: Statistics,
    outcomes: ByLabel,
    /// Taken from the channel and not looked at yet.
    inbox: VecDeque<Entry>,
    settled: Vec<Settled>,
    malformed: Vec<NoEvent>,
    bytes: usize,
    interval: Interval,
}

/// Why gathering ended.
enum Gathered {
    Enough,
    Release(Vec<i32>, oneshot::Sender<Positions>),
    Closed,
}

impl Recorder {
    pub fn new(db: PgPool, settings: Settings, links: Links) -> Self {
        Self {
            interval: Interval::new(settings.flush_interval),
            statistics: Statistics::new(settings.statistics, settings.kind),
            connection: Connection::of(db, links.pulse.clone()),
            settings,
            links,
            partitions: Partitions::default(),
            stretches: Stretches::default(),
            circuits: Circuits::default(),
            outcomes: ByLabel::new(observe::OUTCOMES, "outcome"),
            inbox: VecDeque::new(),
            settled: Vec::new(),
            malformed: Vec::new(),
            bytes: 0,
        }
    }

    /// Records until the channel is closed and all is written.
    pub async fn run(mut self) {
        loop {
            let gathered = self.gather().await;
            self.flush().await;
            match gathered {
                Gathered::Enough => {}
                Gathered::Release(partitions, done) => self.release(&partitions, done),
                Gathered::Closed => {
                    self.statistics.hurry(Instant::now());
                    return self.flush().await;
                }
            }
        }
    }

    /// Takes entries until there are enough for a transaction, or the first of them has waited
    /// long enough, or one asks for what is committed.
    async fn gather(&mut self) -> Gathered {
        // What the last flush left over waits no longer than what comes.
        let left_over = !self.inbox.is_empty() || !self.settled.is_empty();
        let interval = self.interval.length();
        let mut deadline = left_over.then(|| Instant::now() + interval);
        loop {
            self.links.pulse.step("taking outcomes in");
            while let Some(entry) = self.inbox.pop_front() {
                if let Some((partitions, done)) = self.take(entry) {
                    return Gathered::Release(partitions, done);
                }
                if self.settled.len() >= self.settings.flush_outcomes || self.bytes >= FLUSH_BYTES {
                    return Gathered::Enough;
                }
            }
            let statistics = self.statistics.due_at();
            self.links.pulse.step_within("waiting for outcomes", WAIT);
            match self
                .receive(deadline.into_iter().chain(statistics).min())
                .await
            {
                None => return Gathered::Enough,
                Some(0) => return Gathered::Closed,
                Some(_) => {
                    deadline = deadline.or(Some(Instant::now() + interval));
                }
            }
        }
    }

    /// Fills the inbox: how many came, 0 when the channel is closed, `None` at the deadline.
    async fn receive(&mut self, deadline: Option<Instant>) -> Option<usize> {
        let mut received = Vec::new();
        let room = self.settings.flush_outcomes - self.settled.len();
        let receiving = self.links.entries.recv_many(&mut received, room);
        let around = Instant::now() + WAIT;
        let deadline = deadline.map_or(around, |deadline| deadline.min(around));
        let count = tokio::time::timeout_at(deadline, receiving).await.ok()?;
        self.inbox.extend(received);
        Some(count)
    }

    fn release(&mut self, partitions: &[i32], done: oneshot::Sender<Positions>) {
        let mut positions = self.links.positions.borrow().clone();
        positions.retain(|partition, _| partitions.contains(partition));
        self.forget(partitions);
        if done.send(positions).is_err() {
            tracing::debug!("nobody waits for the release any more");
        }
    }

    fn forget(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.partitions.remove(*partition);
            self.stretches.forget(*partition);
        }
        self.malformed
            .retain(|malformed| !partitions.contains(&malformed.record.partition));
        self.settled.retain(|settled| {
            let delivery = &settled.delivery;
            delivery.lease().is_some() || !partitions.contains(&delivery.ticket.partition)
        });
        self.links.positions.send_modify(|positions| {
            positions.retain(|partition, _| !partitions.contains(partition));
        });
    }

    /// Commits what was gathered, however often that has to be tried.
    async fn flush(&mut self) {
        let (mut pause, began) = (FIRST_PAUSE, Instant::now());
        // The same however often it is tried, under the same number: it is counted once.
        let due = self.statistics.due(Instant::now());
        let delta = due.as_ref().map(|(replica, number, tally)| Delta {
            replica: *replica,
            number: *number,
            tally,
        });
        loop {
            let moves = self.partitions.moves();
            let rows = Rows::of(
                &self.settled,
                &self.partitions,
                self.settings.log,
                Instant::now(),
            );
            let nothing = moves.partitions.is_empty() && self.circuits.is_empty();
            if nothing && self.settled.is_empty() && delta.is_none() {
                return self.committed(&moves, false);
            }
            match self.commit(&moves, (&rows, delta), &mut pause).await {
                None => {}
                Some(fenced) if fenced.is_empty() => {
                    self.interval.flushed(began.elapsed());
                    observed::flush(&self.settings.traces, &self.settled, began.elapsed());
                    return self.committed(&moves, delta.is_some());
                }
                Some(fenced) => self.fenced(&fenced, &moves),
            }
        }
    }

    /// One try: the partitions that refused it, or `None` if it failed and has to be made again.
    async fn commit(
        &mut self,
        moves: &Moves,
        (rows, delta): (&Rows, Option<Delta<'_>>),
        pause: &mut Duration,
    ) -> Option<Vec<i32>> {
        let flush = Flush {
            id: Uuid::now_v7(),
            topic: &self.settings.topic,
            moves,
            rows,
            malformed: &self.malformed,
            cursors: &self.stretches.cursors(),
            circuits: &self.circuits.rows(Instant::now()),
            counted: delta,
            tells_dead: self.settings.kind == Kind::Readings,
        };
        match self.connection.commit(&flush).await {
            Ok(fenced) => {
                self.links.postgres.up();
                return Some(fenced);
            }
            Err(error) => self.pause(&error, pause).await,
        }
        loop {
            match self.connection.was_committed(&flush).await {
                Ok(true) => return Some(Vec::new()),
                Ok(false) => return None,
                Err(error) => self.pause(&error, pause).await,
            }
        }
    }

    async fn pause(&self, error: &anyhow::Error, pause: &mut Duration) {
        if *pause == FIRST_PAUSE {
            tracing::error!(
                error = format!("{error:#}"),
                "outcomes cannot be recorded; trying on"
            );
        }
        counter!(observe::FLUSH_FAILURES).increment(1);
        let postgres = &self.links.postgres;
        postgres.down(format!("outcomes cannot be recorded: {error:#}"));
        self.links.pulse.step_within("waiting for Postgres", *pause);
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    fn fenced(&mut self, fenced: &[i32], moves: &Moves) {
        tracing::warn!(partitions = ?fenced, "partitions have a new owner; dropping them");
        for partition in fenced {
            let at = moves.partitions.iter().position(|moved| moved == partition);
            let epoch = at.map_or(0, |at| moves.epochs[at]);
            if self.links.fenced.try_send((*partition, epoch)).is_err() {
                tracing::debug!(partition, "the engine finds out later");
            }
        }
        self.forget(fenced);
    }

    /// Tells what is durable now, and counts it for the statistics that are written next.
    fn committed(&mut self, moves: &Moves, counted: bool) {
        if counted {
            self.statistics.committed();
        }
        self.partitions.committed();
        self.stretches.committed();
        self.circuits.committed();
        if !moves.partitions.is_empty() {
            let committed = moves.partitions.iter().zip(&moves.next_offsets);
            self.links.positions.send_modify(|positions| {
                positions.extend(committed.map(|(partition, offset)| (*partition, *offset)));
            });
        }
        let now = Instant::now();
        for settled in self.settled.drain(..) {
            self.statistics.count(&settled, now);
            self.outcomes.count(settled.outcome.label());
        }
        counter!(observe::MALFORMED).increment(self.malformed.len() as u64);
        self.malformed.clear();
        self.bytes = 0;
    }
}
