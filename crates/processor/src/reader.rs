//! Reads stretches of the log again, on a thread of its own and with a client that is in no group.
//!
//! It does what the engine says: read this partition from there, for this pass; stop reading it.
//! What it reads carries the pass, so that the engine can tell what it does not want any more. It
//! keeps nothing: what is not taken is fetched again.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail};
use common::kafka::{KafkaArgs, Quiet};
use metrics::counter;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::consumer::{FETCH_WAIT, record_of};
use crate::event::Record;
use crate::observe;

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(20);

/// How long one request to Kafka may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// For how long the ends of a partition need not be asked for again.
const ENDS_KEPT: Duration = Duration::from_secs(1);

/// What the engine wants to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Read {
        partition: i32,
        pass: u64,
        from: i64,
    },
    Stop {
        partition: i32,
    },
}

/// What was read.
#[derive(Debug)]
pub enum Read {
    Record {
        pass: u64,
        record: Record,
    },
    /// All that the partition held when the pass began, or a moment before, has been read: what is
    /// before this offset.
    End {
        pass: u64,
        partition: i32,
        until: i64,
    },
    /// The pass came to nothing.
    Failed {
        pass: u64,
        partition: i32,
    },
}

/// What the reader is connected to.
#[derive(Debug)]
pub struct Links {
    pub commands: mpsc::Receiver<Command>,
    pub read: mpsc::Sender<Read>,
    pub budget: Budget,
}

/// The one reader of this process.
pub struct Reader {
    client: BaseConsumer<Quiet>,
    topic: String,
    links: Links,
    handle: Handle,
    /// The partitions that are read.
    reading: HashMap<i32, Reading>,
    /// Partitions that the client knows, paused unless they are read.
    assigned: HashMap<i32, i64>,
    /// Where they began and ended not long ago.
    ends: HashMap<i32, Ends>,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    start: i64,
    end: i64,
    asked_at: Instant,
}

#[derive(Debug)]
struct Reading {
    pass: u64,
    /// Where the partition ended when the pass began, or a moment before.
    until: i64,
}

impl Reader {
    /// A reader that reads nothing yet. Called within the runtime.
    ///
    /// # Errors
    /// That the client refuses the settings.
    pub fn new(kafka: &KafkaArgs, links: Links) -> anyhow::Result<Self> {
        let mut config = kafka.client_config("processor-catch-up");
        config
            // Named because the client wants a group; it is never joined.
            .set("group.id", "processor-catch-up")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // What retention removed is counted when a pass begins.
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // A pass takes what its riders have room for; what was fetched beyond is thrown away.
            .set("queued.min.messages", "256")
            .set("queued.max.messages.kbytes", "256")
            .set("fetch.message.max.bytes", "65536")
            .set("fetch.queue.backoff.ms", "10")
            // The end of a partition is told when a fetch comes back.
            .set("fetch.wait.max.ms", FETCH_WAIT.as_millis().to_string());
        Ok(Self {
            client: BaseConsumer::from_config_and_context(&config, Quiet::default())
                .context("configuring the Kafka reader")?,
            topic: kafka.kafka_topic.clone(),
            links,
            handle: Handle::current(),
            reading: HashMap::new(),
            assigned: HashMap::new(),
            ends: HashMap::new(),
        })
    }

    /// Reads until the engine is gone. Blocks.
    ///
    /// # Errors
    /// That Kafka refuses the client for good.
    pub fn run(mut self) -> anyhow::Result<()> {
        loop {
            let command = if self.reading.is_empty() {
                self.links.commands.blocking_recv()
            } else {
                match self.links.commands.try_recv() {
                    Ok(command) => Some(command),
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                    Err(mpsc::error::TryRecvError::Empty) => {
                        self.poll()?;
                        continue;
                    }
                }
            };
            let Some(command) = command else {
                return Ok(());
            };
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Stop { partition } => {
                self.reading.remove(&partition);
                self.pause(partition);
            }
            Command::Read {
                partition,
                pass,
                from,
            } => match self.begin(partition, from) {
                Ok(until) => {
                    self.reading.insert(partition, Reading { pass, until });
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        partition,
                        "the log cannot be read again"
                    );
                    self.reading.remove(&partition);
                    self.tell(Read::Failed { pass, partition });
                }
            },
        }
    }

    /// Where a partition that is to be read from there begins and ends.
    fn ends(&mut self, partition: i32, from: i64) -> anyhow::Result<Ends> {
        let known = self.ends.get(&partition);
        let fresh = known.filter(|ends| ends.end > from && ends.asked_at.elapsed() < ENDS_KEPT);
        if let Some(ends) = fresh {
            return Ok(*ends);
        }
        let asked_at = Instant::now();
        let (start, end) = self
            .client
            .fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT)
            .context("reading where the log starts and ends")?;
        let ends = Ends {
            start,
            end,
            asked_at,
        };
        self.ends.insert(partition, ends);
        Ok(ends)
    }

    /// Begins to read a partition, and says up to where at least that will be.
    fn begin(&mut self, partition: i32, from: i64) -> anyhow::Result<i64> {
        let Ends {
            start, end: until, ..
        } = self.ends(partition, from)?;
        if let Ok(missing @ 1..) = u64::try_from(start - from) {
            counter!(observe::MISSING).increment(missing);
            tracing::error!(
                partition,
                missing,
                "retention removed records before a subscription had caught up with them"
            );
        }
        let known = self.assigned.insert(partition, from).is_some();
        let mut one = TopicPartitionList::new();
        one.add_partition_offset(&self.topic, partition, Offset::Offset(from))
            .context("naming a partition")?;
        // A partition that is not being fetched yet cannot be moved: then all are assigned anew.
        // What went wrong for a partition stands beside it in the list.
        let well = |list: TopicPartitionList| list.elements().iter().all(|e| e.error().is_ok());
        let seeking = || self.client.seek_partitions(one.clone(), REQUEST_TIMEOUT);
        if known && seeking().is_ok_and(well) {
            self.client.resume(&one).context("resuming a partition")?;
        } else {
            self.assign(partition)?;
        }
        Ok(until)
    }

    /// Assigns all that is known; what is neither read nor the one that begins stays paused.
    fn assign(&self, begins: i32) -> anyhow::Result<()> {
        let mut all = TopicPartitionList::new();
        for (partition, from) in &self.assigned {
            all.add_partition_offset(&self.topic, *partition, Offset::Offset(*from))
                .context("naming a partition")?;
        }
        self.client.assign(&all).context("assigning partitions")?;
        for partition in self.assigned.keys() {
            if *partition != begins && !self.reading.contains_key(partition) {
                self.pause(*partition);
            }
        }
        let mut one = TopicPartitionList::new();
        one.add_partition(&self.topic, begins);
        self.client.resume(&one).context("resuming a partition")
    }

    fn pause(&self, partition: i32) {
        let mut one = TopicPartitionList::new();
        one.add_partition(&self.topic, partition);
        if let Err(error) = self.client.pause(&one) {
            tracing::debug!(%error, partition, "a partition could not be paused");
        }
    }

    fn poll(&mut self) -> anyhow::Result<()> {
        let read = match self.client.poll(POLL) {
            None => return Ok(()),
            Some(Ok(message)) => {
                let partition = message.partition();
                let Some(reading) = self.reading.get(&partition) else {
                    // Fetched before it was paused.
                    return Ok(());
                };
                self.assigned.insert(partition, message.offset() + 1);
                Read::Record {
                    pass: reading.pass,
                    record: record_of(&message, 0, &self.links.budget),
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let Some(reading) = self.reading.get(&partition) else {
                    return Ok(());
                };
                Read::End {
                    pass: reading.pass,
                    partition,
                    until: reading.until,
                }
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                bail!("Kafka refuses the reader: {error}")
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "Kafka does not answer the reader well");
                return Ok(());
            }
        };
        self.tell(read);
        Ok(())
    }

    fn tell(&self, read: Read) {
        // Waits for room; the engine takes what comes, wanted or not, or is gone.
        if self.handle.block_on(self.links.read.send(read)).is_err() {
            tracing::debug!("the engine is gone");
        }
    }
}
