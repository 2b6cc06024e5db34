//! Publishes operational events to their topic, from the table that they were written to.
//!
//! An event is published at least once: its id is the same each time. While Kafka is away they
//! wait in the table.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use common::kafka::KafkaArgs;
use common::probes::Component;
use common::topic;
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::store::operations;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many are published at once.
const LIMIT: i64 = 100;

/// How long the broker may take for one; within what Postgres bears of a silent transaction.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Between two looks at whether the broker has answered.
const LOOK: Duration = Duration::from_millis(5);

/// What the client may have said by then, of which each poll takes one.
const HEARD_AT_ONCE: usize = 16;

/// How many partitions the topic is made with. The events of a subscription stay in order.
const PARTITIONS: i32 = 3;

/// A client without a thread of its own to poll it, which spins through the last millisecond of each wait though
/// nothing is published.
type Client = BaseProducer<Answers>;

/// Why the broker did not take what was published at once.
type Refused = Arc<OnceLock<KafkaError>>;

/// Notes what the broker answers.
struct Answers;

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = Refused;

    fn delivery(&self, answer: &DeliveryResult<'_>, refused: Refused) {
        if let Err((error, _)) = answer {
            // Of several the first is told of.
            refused.get_or_init(|| error.clone());
        }
    }
}

/// The one publisher of this process.
pub struct Publisher {
    pub db: PgPool,
    /// With the topic of operational events.
    pub kafka: KafkaArgs,
    pub component: Component,
}

impl Publisher {
    /// Publishes until stopped, to a topic that it makes if it is missing.
    ///
    /// # Errors
    /// That the broker refuses such a topic.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        if !topic::create(&self.kafka, PARTITIONS, &self.component, &stop).await? {
            return Ok(());
        }
        let mut config = self.kafka.client_config("processor-operations");
        config
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", SEND_TIMEOUT.as_millis().to_string());
        let producer: Client = config
            .create_with_context(Answers)
            .context("configuring the producer")?;
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // It logs and reports errors though nothing is published.
            listen(&producer);
            // What a stop cuts off is rolled back, and published by the next.
            match stop.run_until_cancelled(self.publish(&producer)).await {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(
                    error = format!("{error:#}"),
                    "operational events cannot be published"
                ),
            }
        }
        Ok(())
    }

    async fn publish(&self, producer: &Client) -> anyhow::Result<()> {
        let mut transaction = self.db.begin().await.context("beginning")?;
        let waiting = operations::lock_unpublished(&mut transaction, LIMIT)
            .await
            .context("reading what waits")?;
        if waiting.is_empty() {
            return Ok(());
        }
        // All at once: the transaction must not be silent for long.
        let keys: Vec<String> = waiting
            .iter()
            .map(|event| event.subscription_id.to_string())
            .collect();
        let refused = Refused::default();
        for (event, key) in waiting.iter().zip(&keys) {
            let record = BaseRecord::with_opaque_to(&self.kafka.kafka_topic, refused.clone())
                .key(key)
                .payload(&event.body);
            let queued = producer.send(record);
            queued.map_err(|(error, _)| error).context("publishing")?;
        }
        // Each that has no answer yet holds it too; after `SEND_TIMEOUT` the client answers itself.
        while Arc::strong_count(&refused) > 1 {
            listen(producer);
            sleep(LOOK).await;
        }
        if let Some(error) = refused.get() {
            return Err(error.clone()).context("publishing");
        }
        let sent: Vec<_> = waiting.iter().map(|event| event.id).collect();
        operations::note_published(&mut transaction, &sent)
            .await
            .context("noting what was published")?;
        transaction.commit().await.context("committing")
    }
}

/// Takes in what the client has to say, without waiting for it.
fn listen(producer: &Client) {
    for _ in 0..HEARD_AT_ONCE {
        producer.poll(Duration::ZERO);
    }
}
