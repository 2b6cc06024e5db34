//! Partitions that come and go, on the consumer's thread: what its `callbacks` do.
//!
//! A partition that comes is claimed in Postgres, under a new epoch, and handed to the engine
//! before its first record is fetched. One that goes is released: what is in flight may end within
//! a bound, is recorded, and is committed to Kafka. Its commits carry [`OURS`] as metadata, so
//! that an operator's reset, which does not, can be told from them.

mod callbacks;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use common::probes::{Component, Pulse};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::begin::{self, Begun};
use super::lag;
use super::standing::{Standing, Untaken};
use super::start::{Committed, Found, Why};
use crate::engine::{Assignment, Control};
use crate::recorder::Positions;

/// The metadata of the offsets a processor commits.
const OURS: &str = "temperature-webhooks";

/// How long one request to Kafka may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a partition is tried to be taken again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long claiming partitions in Postgres may take.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the client may wait for the answer to a commit: a session for the coordinator, and
/// `socket.timeout.ms`.
const COMMIT_BOUND: Duration = Duration::from_mins(2);

/// How long recording may take after the last attempt of a release ended.
const RECORDING: Duration = Duration::from_secs(2);

/// What the callback works with.
#[derive(Debug)]
pub struct Parts {
    pub db: PgPool,
    pub topic: String,
    /// This replica, as the table `progress` names it.
    pub owner: String,
    pub engine: mpsc::Sender<Control>,
    pub revoke_timeout: Duration,
    pub kafka: Component,
    pub postgres: Component,
    pub pulse: Pulse,
    pub stop: CancellationToken,
}

/// The partitions of this consumer, under their epochs.
pub struct Ownership {
    parts: Parts,
    handle: Handle,
    epochs: Mutex<HashMap<i32, i64>>,
    /// Where the partitions that are owned were read from when they came.
    starts: Mutex<HashMap<i32, i64>>,
    standing: Standing,
}

impl Ownership {
    /// Owns nothing yet. Called within the runtime.
    pub fn new(parts: Parts) -> Self {
        Self {
            standing: Standing::new(parts.kafka.clone(), parts.postgres.clone()),
            parts,
            handle: Handle::current(),
            epochs: Mutex::default(),
            starts: Mutex::default(),
        }
    }

    /// How it stands with the servers.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The partitions owned.
    pub fn partitions(&self) -> Vec<i32> {
        self.epochs().keys().copied().collect()
    }

    /// The epoch of a partition; 0, which is none, for one that is not owned.
    pub fn epoch(&self, partition: i32) -> i64 {
        self.epochs().get(&partition).copied().unwrap_or_default()
    }

    fn epochs(&self) -> MutexGuard<'_, HashMap<i32, i64>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn starts(&self) -> MutexGuard<'_, HashMap<i32, i64>> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes partitions, trying until that worked or the service stops.
    fn take(&self, client: &BaseConsumer<Self>, partitions: &[i32]) {
        loop {
            match self.try_take(client, partitions) {
                Ok(()) => return self.standing.is_joined(),
                Err(untaken) => self.standing.tell(&untaken, partitions),
            }
            self.parts
                .pulse
                .step_within("waiting to take partitions", PAUSE);
            let stopped = tokio::time::timeout(PAUSE, self.parts.stop.cancelled());
            if self.handle.block_on(async { stopped.await.is_ok() }) {
                return;
            }
        }
    }

    fn try_take(&self, client: &BaseConsumer<Self>, partitions: &[i32]) -> Result<(), Untaken> {
        let found = self.find(client, partitions)?;
        let of = self.count(client)?;
        let begun = self.claim(&found).map_err(Untaken::Postgres)?;
        self.standing.is_claimed();
        let mut assignment = TopicPartitionList::new();
        let mut resets = Positions::new();
        for each in begun {
            let (partition, offset) = (each.partition, each.offset);
            each.report();
            if each.why == Why::Reset {
                resets.insert(partition, offset);
            }
            assignment
                .add_partition_offset(&self.parts.topic, partition, Offset::Offset(offset))
                .context("naming a partition")?;
            self.hand_over(each, of)?;
        }
        client
            .incremental_assign(&assignment)
            .context("taking the assignment")?;
        // The client remembers that it was paused before it went, and what resumed the others did
        // not see it. If it is still to be paused, it will be at the next turn.
        client
            .resume(&assignment)
            .context("resuming what was paused before it went")?;
        if !resets.is_empty() {
            self.commit(client, &resets, CommitMode::Sync);
        }
        Ok(())
    }

    /// Claims them in Postgres.
    fn claim(&self, found: &HashMap<i32, Found>) -> anyhow::Result<Vec<Begun>> {
        self.parts
            .pulse
            .step_within("claiming partitions in Postgres", CLAIM_TIMEOUT);
        let names = (&*self.parts.topic, &*self.parts.owner);
        let claiming = begin::all(&self.parts.db, names, found);
        let claimed = async { tokio::time::timeout(CLAIM_TIMEOUT, claiming).await };
        self.handle
            .block_on(claimed)
            .context("claiming partitions")?
    }

    fn asking(&self) {
        self.parts
            .pulse
            .step_within("asking Kafka about partitions", REQUEST_TIMEOUT);
    }

    /// How many partitions the topic has.
    fn count(&self, client: &BaseConsumer<Self>) -> anyhow::Result<usize> {
        self.asking();
        let metadata = client
            .fetch_metadata(Some(&self.parts.topic), REQUEST_TIMEOUT)
            .context("reading how many partitions there are")?;
        let topic = metadata.topics().first();
        Ok(topic.map_or(0, |topic| topic.partitions().len()))
    }

    /// What Kafka knows of them.
    fn find(
        &self,
        client: &BaseConsumer<Self>,
        partitions: &[i32],
    ) -> anyhow::Result<HashMap<i32, Found>> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.parts.topic, *partition);
        }
        self.asking();
        let committed = client
            .committed_offsets(list, REQUEST_TIMEOUT)
            .context("reading the committed offsets")?;
        let mut found = HashMap::new();
        for element in committed.elements() {
            element.error().context("reading a committed offset")?;
            self.asking();
            let (log_start, log_end) = client
                .fetch_watermarks(&self.parts.topic, element.partition(), REQUEST_TIMEOUT)
                .context("reading where the log starts and ends")?;
            let ours = element.metadata() == OURS;
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(Committed { offset, ours }),
                _ => None,
            };
            let known = Found {
                recorded: None,
                committed,
                log_start,
                log_end,
            };
            found.insert(element.partition(), known);
        }
        Ok(found)
    }

    /// Waits until the engine knows of it.
    fn hand_over(&self, begun: Begun, of: usize) -> anyhow::Result<()> {
        let (partition, epoch, start) = (begun.partition, begun.epoch, begun.offset);
        self.parts.pulse.step("handing a partition to the engine");
        let (taken, waiting) = oneshot::channel();
        let assignment = Assignment {
            partition,
            epoch,
            next_offset: begun.offset,
            ahead: begun.ahead,
            cursors: begun.cursors,
            replays: begun.replays,
            blocked: begun.blocked,
            of,
            taken,
        };
        self.parts
            .engine
            .blocking_send(Control::Assigned(assignment))
            .context("the engine is gone")?;
        waiting.blocking_recv().context("the engine is gone")?;
        self.epochs().insert(partition, epoch);
        self.starts().insert(partition, start);
        Ok(())
    }

    /// Gives partitions up: waits for what is in flight, and commits where they stand.
    pub fn release(&self, client: &BaseConsumer<Self>, partitions: &[i32], timeout: Duration) {
        let partitions = self.forget(partitions);
        if partitions.is_empty() {
            return;
        }
        self.parts
            .pulse
            .step_within("giving partitions up", timeout + RECORDING);
        let (done, waiting) = oneshot::channel();
        let release = Control::Release {
            partitions: partitions.clone(),
            timeout,
            done,
        };
        let answered = async {
            self.parts.engine.send(release).await.ok()?;
            let answer = tokio::time::timeout(timeout + RECORDING, waiting).await;
            answer.ok()?.ok()
        };
        let positions = self.handle.block_on(answered).unwrap_or_else(|| {
            tracing::warn!(?partitions, "given up before all was recorded");
            Positions::new()
        });
        self.commit(client, &positions, CommitMode::Sync);
    }

    fn lose(&self, partitions: &[i32]) {
        self.parts.pulse.step("dropping partitions");
        let partitions = self.forget(partitions);
        if self
            .parts
            .engine
            .blocking_send(Control::Lost { partitions })
            .is_err()
        {
            tracing::debug!("the engine is gone");
        }
    }

    /// Those that were owned.
    fn forget(&self, partitions: &[i32]) -> Vec<i32> {
        let mut epochs = self.epochs();
        let owned = partitions
            .iter()
            .filter(|partition| epochs.remove(partition).is_some());
        let owned: Vec<_> = owned.copied().collect();
        self.starts()
            .retain(|partition, _| !owned.contains(partition));
        lag::forget(&self.parts.topic, &owned);
        owned
    }

    /// Decides anew where each partition is read from: the log does not hold an offset any more.
    pub fn begin_anew(&self, client: &BaseConsumer<Self>) {
        let partitions = self.partitions();
        tracing::warn!(
            ?partitions,
            "the log does not hold the offset; beginning anew"
        );
        self.lose(&partitions);
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            list.add_partition(&self.parts.topic, *partition);
        }
        if let Err(error) = client.incremental_unassign(&list) {
            tracing::warn!(%error, "partitions could not be unassigned");
        }
        self.take(client, &partitions);
    }

    /// Copies positions to Kafka. They are advisory: a failure is told and not tried again.
    pub fn commit(&self, client: &BaseConsumer<Self>, positions: &Positions, mode: CommitMode) {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in positions {
            let mut element = list.add_partition(&self.parts.topic, *partition);
            element.set_metadata(OURS);
            if let Err(error) = element.set_offset(Offset::Offset(*offset)) {
                tracing::warn!(%error, partition, "an offset could not be committed");
            }
        }
        if matches!(mode, CommitMode::Sync) {
            self.parts
                .pulse
                .step_within("committing to Kafka", COMMIT_BOUND);
        }
        if list.count() > 0
            && let Err(error) = client.commit(&list, mode)
        {
            tracing::warn!(%error, "offsets could not be committed to Kafka");
        }
    }
}
