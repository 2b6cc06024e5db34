//! Partitions that come and go: the rebalance callback, on the consumer's thread.
//!
//! A partition that comes is claimed in Postgres, under a new epoch, and handed to the engine
//! before its first record is fetched. One that goes is released: what is in flight may end within
//! a bound, is recorded, and is committed to Kafka. Its commits carry [`OURS`] as metadata, so
//! that an operator's reset, which does not, can be told from them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use common::kafka::{Trouble, quiet_log};
use common::probes::Component;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, Statistics, TopicPartitionList};
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::begin::{self, Begun};
use super::lag;
use super::start::{Committed, Found, Why};
use crate::engine::{Assignment, Control};
use crate::recorder::Positions;

/// The metadata of the offsets a processor commits.
const OURS: &str = "temperature-webhooks";

/// How long one request to Kafka may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a partition is tried to be taken again.
const PAUSE: Duration = Duration::from_secs(1);

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
    pub stop: CancellationToken,
}

/// The partitions of this consumer, under their epochs.
pub struct Ownership {
    parts: Parts,
    handle: Handle,
    epochs: Mutex<HashMap<i32, i64>>,
    /// Where the partitions that are owned were read from when they came.
    starts: Mutex<HashMap<i32, i64>>,
    trouble: Trouble,
}

impl Ownership {
    /// Owns nothing yet. Called within the runtime.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            handle: Handle::current(),
            epochs: Mutex::default(),
            starts: Mutex::default(),
            trouble: Trouble::default(),
        }
    }

    /// What is wrong, with what the client said of it.
    pub fn explain(&self, error: &KafkaError) -> String {
        self.trouble.explain(error)
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
                Ok(()) => return self.parts.kafka.up(),
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        ?partitions,
                        "partitions cannot be taken yet"
                    );
                }
            }
            let stopped = tokio::time::timeout(PAUSE, self.parts.stop.cancelled());
            if self.handle.block_on(async { stopped.await.is_ok() }) {
                return;
            }
        }
    }

    fn try_take(&self, client: &BaseConsumer<Self>, partitions: &[i32]) -> anyhow::Result<()> {
        let found = self.find(client, partitions)?;
        let of = self.count(client)?;
        let begun = self.handle.block_on(begin::all(
            &self.parts.db,
            (&self.parts.topic, &self.parts.owner),
            &found,
        ))?;
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

    /// How many partitions the topic has.
    fn count(&self, client: &BaseConsumer<Self>) -> anyhow::Result<usize> {
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
        let committed = client
            .committed_offsets(list, REQUEST_TIMEOUT)
            .context("reading the committed offsets")?;
        let mut found = HashMap::new();
        for element in committed.elements() {
            element.error().context("reading a committed offset")?;
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
        if list.count() > 0
            && let Err(error) = client.commit(&list, mode)
        {
            tracing::warn!(%error, "offsets could not be committed to Kafka");
        }
    }

    fn give_up(&self, client: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        tracing::info!(?partitions, "partitions go");
        if client.assignment_lost() {
            self.lose(&partitions);
        } else {
            self.release(client, &partitions, self.parts.revoke_timeout);
        }
        if let Err(error) = client.incremental_unassign(list) {
            tracing::warn!(%error, "partitions could not be unassigned");
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    let elements = list.elements();
    elements
        .iter()
        .map(TopicPartitionListElem::partition)
        .collect()
}

impl ClientContext for Ownership {
    fn stats(&self, statistics: Statistics) {
        lag::observe(&self.parts.topic, &self.starts(), &statistics);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        quiet_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.hear(&error, reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            let why = self.trouble.explain("no broker can be reached");
            self.parts.kafka.down(why);
        }
    }
}

impl ConsumerContext for Ownership {
    fn rebalance(
        &self,
        client: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let partitions = partitions_of(list);
                if partitions.is_empty() {
                    self.parts.kafka.up();
                }
                self.take(client, &partitions);
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.give_up(client, list),
            other => {
                tracing::error!(code = ?other, "rebalancing failed");
                self.give_up(client, list);
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(%error, "offsets could not be committed to Kafka");
        }
    }
}
