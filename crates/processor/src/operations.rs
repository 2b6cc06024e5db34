//! Publishes operational events to their topic, from the table that they were written to.
//!
//! An event is published at least once: its id is the same each time. While Kafka is away they
//! wait in the table.

use std::time::Duration;

use anyhow::Context;
use common::kafka::KafkaArgs;
use common::probes::Component;
use common::topic;
use rdkafka::producer::{FutureProducer, FutureRecord};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store::operations;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many are published at once.
const LIMIT: i64 = 100;

/// How long the broker may take for one; within what Postgres bears of a silent transaction.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// How many partitions the topic is made with. The events of a subscription stay in order.
const PARTITIONS: i32 = 3;

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
        let producer: FutureProducer = config.create().context("configuring the producer")?;
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
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

    async fn publish(&self, producer: &FutureProducer) -> anyhow::Result<()> {
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
        let mut sending = Vec::new();
        for (event, key) in waiting.iter().zip(&keys) {
            let record = FutureRecord::to(&self.kafka.kafka_topic)
                .key(key)
                .payload(&event.body);
            let queued = producer.send_result(record);
            sending.push(queued.map_err(|(error, _)| error).context("publishing")?);
        }
        for delivered in sending {
            let delivered = delivered.await.context("the producer is gone")?;
            delivered
                .map_err(|(error, _)| error)
                .context("publishing")?;
        }
        let sent: Vec<_> = waiting.iter().map(|event| event.id).collect();
        operations::note_published(&mut transaction, &sent)
            .await
            .context("noting what was published")?;
        transaction.commit().await.context("committing")
    }
}
