//! The producer: takes events while there is room, and counts what the broker acknowledges.
//!
//! It promises that nothing is lost in silence. An event holds a slot from when it is taken until
//! the broker has answered for it; without a free slot, nobody gets on. There is no time limit on
//! the answer, so an outage only makes everybody wait. What the broker refuses for good, or a
//! producer that can no longer keep its promise (a fatal error of idempotence), is a failure: it is
//! kept, and from then on no event is taken.
//!
//! Closing blocks, so it happens on a thread for that.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail};
use common::kafka::KafkaArgs;
use metrics::{Counter, counter, describe_counter};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::reading::Reading;
use crate::record;

/// Counts the events that the broker acknowledged.
const PUBLISHED: &str = "system_events_published_total";

/// How many events may wait for the broker: a fifth of a second at the highest rate, and some 10 MB.
const SLOTS: u32 = 20_000;

/// How long a batch is gathered, in milliseconds.
const LINGER_MS: u32 = 5;

/// Publishes events to one topic.
pub struct Publisher {
    producer: ThreadedProducer<Reports>,
    topic: String,
    slots: Arc<Semaphore>,
    tally: Arc<Tally>,
}

/// What was taken, and what the broker said so far. It outlives the producer.
#[derive(Debug, Default)]
pub struct Tally {
    handed: AtomicU64,
    acknowledged: AtomicU64,
    all_down: AtomicBool,
    failure: OnceLock<String>,
}

impl Publisher {
    /// A producer for the topic. It connects by itself, and again whenever it has to.
    ///
    /// # Errors
    /// That librdkafka refuses the settings.
    pub fn new(kafka: &KafkaArgs) -> anyhow::Result<Self> {
        let tally = Arc::<Tally>::default();
        let producer = kafka
            .client_config("system")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            // A slot is free before librdkafka's own count goes down, by up to a batch of reports.
            .set("queue.buffering.max.messages", (2 * SLOTS).to_string())
            .set("linger.ms", LINGER_MS.to_string())
            .set("compression.type", "lz4")
            // As the Java client does it, so that a city is on one partition whoever publishes.
            .set("partitioner", "murmur2_random")
            .create_with_context(Reports::new(&tally))
            .context("creating the Kafka producer")?;
        Ok(Self {
            producer,
            topic: kafka.kafka_topic.clone(),
            slots: Arc::new(Semaphore::new(SLOTS as usize)),
            tally,
        })
    }

    /// Takes an event, once there is room. Cancel-safe: what is cancelled was not taken.
    ///
    /// # Errors
    /// That there was a failure before, or that librdkafka does not take the event.
    pub async fn publish(&self, reading: &Reading) -> anyhow::Result<()> {
        let slot = self.slots.clone().acquire_owned().await;
        let slot = slot.expect("the slots are never closed");
        self.check()?;
        let value = record::value(reading);
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(slot))
            .key(&*reading.city)
            .payload(&value)
            .headers(record::headers());
        self.tally.handed.fetch_add(1, Ordering::Relaxed);
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .context("giving an event to the Kafka producer")
    }

    /// Whether all is well so far.
    ///
    /// # Errors
    /// The failure, if there was one.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.tally.failure.get() {
            Some(failure) => bail!("{failure}"),
            None => Ok(()),
        }
    }

    /// Waits until the broker has answered for everything that was taken. Cancel-safe.
    pub async fn drained(&self) {
        let all = self.slots.acquire_many(SLOTS).await;
        drop(all.expect("the slots are never closed"));
    }

    /// What the broker said so far.
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Gives up what has no answer, and returns when the last report is in.
    ///
    /// # Errors
    /// That librdkafka panicked.
    pub async fn close(self) -> anyhow::Result<()> {
        let mut closing = JoinSet::new();
        closing.spawn_blocking(move || drop(self));
        let closed = closing.join_next().await.transpose();
        closed.map(drop).context("closing the Kafka producer")
    }
}

impl Tally {
    /// How many events the broker acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How many events were taken and not acknowledged: they wait, or they have failed.
    pub fn open(&self) -> u64 {
        // In this order, or an event that is taken and acknowledged in between is missing.
        let acknowledged = self.acknowledged();
        self.handed
            .load(Ordering::Relaxed)
            .saturating_sub(acknowledged)
    }

    /// Whether all brokers were reported down since this was last asked.
    pub fn take_all_down(&self) -> bool {
        self.all_down.swap(false, Ordering::Relaxed)
    }

    /// Keeps the first failure; the others follow from it.
    fn fail(&self, failure: String) {
        self.failure.get_or_init(|| failure);
    }
}

/// Hears what librdkafka reports, on its thread.
struct Reports {
    tally: Arc<Tally>,
    published: Counter,
}

impl Reports {
    fn new(tally: &Arc<Tally>) -> Self {
        describe_counter!(PUBLISHED, "events that the broker has acknowledged");
        Self {
            tally: tally.clone(),
            published: counter!(PUBLISHED),
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<OwnedSemaphorePermit>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Self::DeliveryOpaque) {
        match result {
            Ok(_) => {
                self.tally.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.published.increment(1);
            }
            Err((error, _)) => self
                .tally
                .fail(format!("an event was not published: {error}")),
        }
        drop(slot);
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        quiet_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => {
                self.tally.fail(format!("the producer failed: {reason}"));
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.tally.all_down.store(true, Ordering::Relaxed);
            }
            _ => tracing::debug!(%error, reason, "Kafka client error"),
        }
    }
}

/// What librdkafka says of single connections. It mends them itself, and what lasts is reported
/// by whoever waits for it.
pub fn quiet_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(target: "librdkafka", ?level, facility, message);
}
