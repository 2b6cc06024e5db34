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
use common::kafka::{KafkaArgs, Trouble, quiet_log};
use metrics::{Counter, counter, describe_counter};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use traces::{Span, SpanKind, Traces};

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
    traces: Traces,
}

/// What an event has until the broker has answered for it.
struct Handed {
    /// Given back with it.
    _slot: OwnedSemaphorePermit,
    span: Option<Span>,
}

/// What was taken, and what the broker said so far. It outlives the producer.
#[derive(Debug, Default)]
pub struct Tally {
    handed: AtomicU64,
    acknowledged: AtomicU64,
    all_down: AtomicBool,
    failure: OnceLock<String>,
    /// What was said of brokers that cannot be reached.
    pub trouble: Trouble,
}

impl Publisher {
    /// A producer for the topic. It connects by itself, and again whenever it has to.
    ///
    /// # Errors
    /// That librdkafka refuses the settings.
    pub fn new(kafka: &KafkaArgs, traces: Traces) -> anyhow::Result<Self> {
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
            traces,
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
        let span = self.span(reading);
        let traceparent = span.as_ref().map(Span::traceparent);
        let handed = Handed { _slot: slot, span };
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(handed))
            .key(&*reading.city)
            .payload(&value)
            .headers(record::headers(traceparent.as_deref()));
        self.tally.handed.fetch_add(1, Ordering::Relaxed);
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .context("giving an event to the Kafka producer")
    }

    /// A trace begins with each event.
    fn span(&self, reading: &Reading) -> Option<Span> {
        let name = || format!("publish {}", self.topic);
        let mut span = self.traces.begin(SpanKind::Producer, None, name)?;
        span.set("messaging.system", "kafka");
        span.set("messaging.operation.name", "publish");
        span.set("messaging.destination.name", self.topic.clone());
        span.set("messaging.kafka.message.key", String::from(&*reading.city));
        Some(span)
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
    type DeliveryOpaque = Box<Handed>;

    fn delivery(&self, result: &DeliveryResult<'_>, mut handed: Self::DeliveryOpaque) {
        if let Some(span) = &mut handed.span {
            tell(span, result);
        }
        match result {
            Ok(_) => {
                self.tally.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.published.increment(1);
            }
            Err((error, _)) => self
                .tally
                .fail(format!("an event was not published: {error}")),
        }
        // The slot is free, and the span has ended.
        drop(handed);
    }
}

fn tell(span: &mut Span, result: &DeliveryResult<'_>) {
    match result {
        Ok(message) => {
            span.set(
                "messaging.destination.partition.id",
                message.partition().to_string(),
            );
            span.set("messaging.kafka.offset", message.offset());
        }
        Err((error, _)) => span.fail(error.to_string()),
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        quiet_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.tally.trouble.hear(&error, reason);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => {
                self.tally.fail(format!("the producer failed: {reason}"));
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                self.tally.all_down.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::kafka::KafkaSecurity;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    type Cluster = MockCluster<'static, DefaultProducerContext>;

    /// A publisher and a broker of its own, inside librdkafka.
    fn with_broker() -> (Publisher, Cluster) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("updates", 3, 1).unwrap();
        let kafka = KafkaArgs {
            kafka_brokers: cluster.bootstrap_servers(),
            kafka_topic: "updates".into(),
            security: KafkaSecurity::default(),
        };
        (Publisher::new(&kafka, Traces::off()).unwrap(), cluster)
    }

    async fn publish(publisher: &Publisher, count: u32) {
        let reading = Reading {
            timestamp: chrono::DateTime::UNIX_EPOCH,
            city: "Tokyo".into(),
            value: 23.0,
            unit: "C".into(),
            previous: None,
        };
        for _ in 0..count {
            publisher.publish(&reading).await.unwrap();
        }
    }

    async fn drained(publisher: &Publisher) {
        tokio::time::timeout(DEADLINE, publisher.drained())
            .await
            .expect("the broker answers");
    }

    #[tokio::test]
    async fn events_wait_for_a_broker_that_is_away_and_arrive_when_it_is_back() {
        let (publisher, cluster) = with_broker();
        publish(&publisher, 10).await;
        drained(&publisher).await;
        cluster.broker_down(1).unwrap();
        let all_down = async {
            while !publisher.tally.take_all_down() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, all_down)
            .await
            .expect("it is noticed");
        publish(&publisher, 100).await;
        assert_eq!(
            (publisher.tally.acknowledged(), publisher.tally.open()),
            (10, 100)
        );
        cluster.broker_up(1).unwrap();
        drained(&publisher).await;
        assert_eq!(
            (publisher.tally.acknowledged(), publisher.tally.open()),
            (110, 0)
        );
        publisher.check().unwrap();
    }

    #[tokio::test]
    async fn no_event_is_taken_while_the_queue_is_full() {
        let (publisher, cluster) = with_broker();
        cluster.broker_down(1).unwrap();
        publish(&publisher, SLOTS).await;
        let one_more = publish(&publisher, 1);
        tokio::pin!(one_more);
        tokio::select! {
            biased;
            () = &mut one_more => panic!("there is no room"),
            () = tokio::task::yield_now() => {}
        }
        cluster.broker_up(1).unwrap();
        tokio::time::timeout(DEADLINE, one_more)
            .await
            .expect("there is room again");
        drained(&publisher).await;
        assert_eq!(publisher.tally.acknowledged(), u64::from(SLOTS) + 1);
    }

    #[tokio::test]
    async fn what_the_broker_refuses_for_good_is_a_failure_and_ends_publishing() {
        let (publisher, cluster) = with_broker();
        let refusal = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 3];
        cluster.request_errors(RDKafkaApiKey::Produce, &refusal);
        publish(&publisher, 1).await;
        drained(&publisher).await;
        let failure = publisher.check().unwrap_err().to_string();
        assert!(failure.contains("authorization"), "{failure}");
        assert_eq!(
            (publisher.tally.acknowledged(), publisher.tally.open()),
            (0, 1)
        );
    }

    #[tokio::test]
    async fn what_has_no_answer_at_the_close_is_not_acknowledged() {
        let (publisher, cluster) = with_broker();
        cluster.broker_down(1).unwrap();
        publish(&publisher, 5).await;
        let tally = publisher.tally();
        publisher.close().await.unwrap();
        assert_eq!((tally.acknowledged(), tally.open()), (0, 5));
    }
}
