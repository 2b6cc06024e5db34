//! Reads the topic, on a thread of its own, because the client blocks.
//!
//! It keeps polling whatever happens behind it, so that the group never gives its partitions away
//! for silence: what the engine cannot take pauses them. What it commits to Kafka is a copy of
//! committed progress, for tools that show lag.

mod begin;
mod lag;
mod ownership;
mod standing;
mod start;

use std::collections::VecDeque;
use std::ffi::CStr;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use common::kafka::KafkaArgs;
use common::probes::Pulse;
use http::HeaderValue;
use metrics::counter;
use rdkafka::Message;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::ownership::{Ownership, Parts};

use crate::budget::Budget;
use crate::event::Record;
use crate::observe;
use crate::recorder::Positions;

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(100);

/// How long the engine may be busy before partitions are paused, which throws away what was
/// fetched ahead.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who has met a full channel goes on when there is room for so many: to be woken for each costs more
/// than to hand it on.
const ROOM: usize = 64;

/// How often committed progress is copied to Kafka.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// How often Kafka is asked whether it is back, and how long it may take to answer.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// Nothing is fetched while something lies in the client's queue, nor for this long after it was seen
/// there. So where nothing comes a fetch waits at the broker and brings the next record at once, and
/// under load each brings what came meanwhile: one a record costs the broker more than the processor
/// takes for its deliveries. A fetch brings up to 1 MiB a partition, so a full topic is no slower.
const FETCH_BELOW: &str = "1";
const FETCH_BACKOFF_MS: &str = "5";

/// How long a fetch waits at the broker where there is nothing. A broker is asked one fetch at a time,
/// which leaves out those partitions that had something in the queue: what comes for them meanwhile
/// waits until it has come back, which by default takes half a second.
pub const FETCH_WAIT: Duration = Duration::from_millis(20);

/// What a record costs besides its value, in bytes.
const RECORD_BYTES: usize = 256;

/// How the group is joined.
#[derive(Clone, Debug)]
pub struct Settings {
    pub kafka: KafkaArgs,
    pub group: String,
    /// As a debugger and `top` name the thread; 15 characters at most.
    pub thread_name: &'static CStr,
    pub session_timeout: Duration,
    /// How long a fetch waits at the broker for something to bring.
    pub fetch_wait: Duration,
    /// How long requests in flight are waited for at a stop.
    pub stop_timeout: Duration,
}

/// What the consumer is connected to.
#[derive(Debug)]
pub struct Links {
    pub records: mpsc::Sender<Record>,
    pub positions: watch::Receiver<Positions>,
    pub budget: Budget,
    pub pulse: Pulse,
    pub stop: CancellationToken,
}

/// A member of the consumer group.
pub struct Consumer {
    client: BaseConsumer<Ownership>,
    settings: Settings,
    links: Links,
    handle: Handle,
    /// Polled, and not taken by the engine yet.
    held: VecDeque<Record>,
    paused: bool,
    committed: Positions,
    commit_at: Instant,
    /// When to ask Kafka whether it is back, should it be away.
    ask_at: Instant,
}

impl Consumer {
    /// A consumer that has not joined its group yet. Called within the runtime.
    ///
    /// # Errors
    /// That the client refuses the settings.
    pub fn new(settings: Settings, links: Links, ownership: Ownership) -> anyhow::Result<Self> {
        let mut config = settings.kafka.client_config("processor");
        config
            .set("group.id", &settings.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Every start is explicit; an offset the log does not hold is decided anew.
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set(
                "session.timeout.ms",
                settings.session_timeout.as_millis().to_string(),
            )
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("queued.max.messages.kbytes", "16384")
            .set("statistics.interval.ms", lag::INTERVAL_MS)
            .set("queued.min.messages", FETCH_BELOW)
            .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS)
            .set(
                "fetch.wait.max.ms",
                settings.fetch_wait.as_millis().to_string(),
            );
        let client = BaseConsumer::from_config_and_context(&config, ownership)
            .context("configuring the Kafka consumer")?;
        Ok(Self {
            client,
            settings,
            links,
            handle: Handle::current(),
            held: VecDeque::new(),
            paused: false,
            committed: Positions::new(),
            commit_at: Instant::now(),
            ask_at: Instant::now(),
        })
    }

    /// Consumes until stopped, gives its partitions up and leaves the group. Blocks.
    ///
    /// # Errors
    /// That Kafka refuses the client for good.
    pub fn run(mut self) -> anyhow::Result<()> {
        if let Err(error) = rustix::thread::set_name(self.settings.thread_name) {
            tracing::debug!(%error, "the thread keeps its name");
        }
        let topic = self.settings.kafka.kafka_topic.clone();
        self.client
            .subscribe(&[&topic])
            .context("subscribing to the topic")?;
        while !self.links.stop.is_cancelled() {
            self.links.pulse.step("polling");
            self.hand_on_held();
            self.pause_or_resume()?;
            self.commit_progress();
            self.ask_whether_back();
            match self
                .client
                .poll(POLL)
                .map(|polled| polled.map(|message| self.record(&message)))
            {
                None => {}
                Some(Ok(record)) => self.hand_on(record),
                Some(Err(error)) => self.meet(&error)?,
            }
        }
        let ownership = self.client.context();
        ownership.release(
            &self.client,
            &ownership.partitions(),
            self.settings.stop_timeout,
        );
        Ok(())
    }

    fn record(&self, message: &BorrowedMessage<'_>) -> Record {
        let ownership = self.client.context();
        ownership.standing().is_back();
        let epoch = ownership.epoch(message.partition());
        record_of(message, epoch, &self.links.budget)
    }

    fn hand_on(&mut self, record: Record) {
        if !self.held.is_empty() {
            self.held.push_back(record);
            return;
        }
        match self.links.records.try_send(record) {
            Ok(()) => {}
            Err(TrySendError::Closed(_)) => tracing::debug!("the engine is gone"),
            Err(TrySendError::Full(record)) => {
                self.held.push_back(record);
                self.wait_for_room();
                self.hand_on_held();
            }
        }
    }

    /// Waits until the engine has taken many, or for as long as it may be busy: whether it has taken
    /// one by then, who hands on finds out.
    fn wait_for_room(&self) {
        let room = self.links.records.reserve_many(ROOM);
        let room = async { tokio::time::timeout(PATIENCE, room).await.is_ok() };
        if !self.handle.block_on(room) {
            tracing::trace!("the engine has not taken many");
        }
    }

    fn hand_on_held(&mut self) {
        while let Some(record) = self.held.pop_front() {
            if let Err(TrySendError::Full(record)) = self.links.records.try_send(record) {
                return self.held.push_front(record);
            }
        }
    }

    /// While paused every assignment is paused again, for partitions that came meanwhile.
    fn pause_or_resume(&mut self) -> anyhow::Result<()> {
        let full = !self.held.is_empty();
        let pause = full || self.links.budget.spent();
        let resume = !full && self.links.budget.relaxed();
        if !pause && !self.paused {
            return Ok(());
        }
        let assignment = self.client.assignment().context("reading the assignment")?;
        if self.paused && resume {
            self.paused = false;
            return self
                .client
                .resume(&assignment)
                .context("resuming partitions");
        }
        self.client
            .pause(&assignment)
            .context("pausing partitions")?;
        if !self.paused {
            self.paused = true;
            counter!(observe::PAUSES).increment(1);
        }
        Ok(())
    }

    fn commit_progress(&mut self) {
        if self.commit_at.elapsed() < COMMIT_INTERVAL {
            return;
        }
        self.commit_at = Instant::now();
        let positions = self.links.positions.borrow_and_update().clone();
        if positions != self.committed && !positions.is_empty() {
            let ownership = self.client.context();
            ownership.commit(&self.client, &positions, CommitMode::Async);
            self.committed = positions;
        }
    }

    /// The client does not tell that it is connected again, and a quiet topic has no record to
    /// show it.
    fn ask_whether_back(&mut self) {
        if !self.client.context().standing().is_away() || Instant::now() < self.ask_at {
            return;
        }
        self.links.pulse.step_within("asking Kafka", ASK_TIMEOUT);
        let topic = &self.settings.kafka.kafka_topic;
        let answered = self.client.fetch_metadata(Some(topic), ASK_TIMEOUT);
        let known = answered.is_ok_and(|answer| {
            let mut topics = answer.topics().iter();
            topics.all(|topic| topic.error().is_none())
        });
        self.ask_at = Instant::now() + ASK_INTERVAL;
        if known && self.client.context().standing().is_back() {
            tracing::info!("Kafka answers again");
        }
    }

    fn meet(&mut self, error: &KafkaError) -> anyhow::Result<()> {
        match error.rdkafka_error_code() {
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                bail!("Kafka refuses the consumer: {error}")
            }
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.client.context().begin_anew(&self.client);
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                let topic = self.settings.kafka.kafka_topic.clone();
                if self.is_away(format!("the topic {topic} does not exist yet")) {
                    tracing::info!(topic, "waiting for the topic, which does not exist yet");
                }
            }
            _ => {
                let reason = self.client.context().standing().explain(error);
                if self.is_away(reason.clone()) {
                    tracing::warn!(reason, "Kafka does not answer well");
                }
            }
        }
        Ok(())
    }

    /// Whether that is news. It is given some time to come back before it is asked.
    fn is_away(&mut self, why: String) -> bool {
        let is_news = self.client.context().standing().is_gone(why);
        if is_news {
            self.ask_at = Instant::now() + ASK_INTERVAL;
        }
        is_news
    }
}

/// A message, copied out of the client's buffers, which it would hold otherwise.
pub fn record_of(message: &BorrowedMessage<'_>, epoch: i64, budget: &Budget) -> Record {
    let value = message.payload().map(Bytes::copy_from_slice);
    let bytes = RECORD_BYTES + value.as_ref().map_or(0, Bytes::len);
    Record {
        partition: message.partition(),
        epoch,
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        value,
        content_type: header(message, "content-type"),
        traceparent: header(message, "traceparent"),
        hold: budget.hold(bytes),
    }
}

/// A header of that name whose value fits in an HTTP header too.
fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let mut headers = message.headers()?.iter();
    let value = headers
        .find(|header| header.key.eq_ignore_ascii_case(name))?
        .value?;
    let value = HeaderValue::from_bytes(value).ok()?;
    value.to_str().ok().map(str::to_owned)
}
