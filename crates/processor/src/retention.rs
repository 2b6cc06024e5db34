//! Watches how near the topic's retention comes to what subscriptions have yet to get.
//!
//! It notes beside each cursor how much of the retention is used, which the API and metrics tell
//! from half of it on, and has the engine copy what would be lost to pending rows from
//! `SPILL_AT` on. Of retention by size it knows nothing.

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use common::kafka::KafkaArgs;
use common::store::cursors;
use metrics::gauge;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::engine::Change;
use crate::observe;

/// From this share of the retention on, what lies before a cursor's next offset is saved.
const SPILL_AT: f32 = 0.8;

/// The shares that are told apart.
const MARKS: [f32; 5] = [0.5, 0.6, 0.7, SPILL_AT, 0.9];

/// It looks so many times within the retention, …
const LOOKS: u32 = 20;
/// … but no more often than the first, and no less than the second.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long one request to Kafka may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The one guard of a topic in this process.
pub struct Guard {
    pub db: PgPool,
    pub kafka: KafkaArgs,
    pub owned: watch::Receiver<Vec<i32>>,
    pub engine: mpsc::Sender<Change>,
}

impl Guard {
    /// Watches until stopped. What fails is told and tried again at the next look.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = LEAST_PAUSE;
        while stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await
            .is_some()
        {
            pause = match stop.run_until_cancelled(self.look()).await {
                None => return,
                Some(Ok(Some(retention))) => (retention / LOOKS).clamp(LEAST_PAUSE, LONGEST_PAUSE),
                Some(Ok(None)) => LONGEST_PAUSE,
                Some(Err(error)) => {
                    tracing::debug!(error = format!("{error:#}"), "retention cannot be watched");
                    LONGEST_PAUSE
                }
            };
        }
    }

    /// One look; the topic's retention, if it has one.
    async fn look(&self) -> anyhow::Result<Option<Duration>> {
        let Some(retention) = self.retention().await? else {
            return Ok(None);
        };
        let owned = self.owned.borrow().clone();
        for partition in cursors::open_partitions(&self.db, &self.kafka.kafka_topic, &owned)
            .await
            .context("looking for cursors")?
        {
            self.mark(partition, retention).await?;
        }
        let used = cursors::most_used(&self.db, &self.kafka.kafka_topic)
            .await
            .context("reading how much is used")?;
        gauge!(observe::RETENTION_USED).set(f64::from(used));
        Ok(Some(retention))
    }

    async fn retention(&self) -> anyhow::Result<Option<Duration>> {
        let config = self.kafka.client_config("processor-retention");
        let admin: AdminClient<DefaultClientContext> =
            config.create().context("configuring the admin client")?;
        let topic = ResourceSpecifier::Topic(&self.kafka.kafka_topic);
        let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
        let described = admin
            .describe_configs([&topic], &options)
            .await
            .context("asking for the topic's settings")?;
        let resource = described.into_iter().next().context("one was asked for")?;
        let resource = resource.context("asking for the topic's settings")?;
        let entry = resource.get("retention.ms");
        let value = entry.and_then(|entry| entry.value.clone());
        let ms = value.and_then(|ms| ms.parse::<i64>().ok());
        Ok(ms
            .and_then(|ms| u64::try_from(ms).ok())
            .map(Duration::from_millis))
    }

    async fn mark(&self, partition: i32, retention: Duration) -> anyhow::Result<()> {
        let (kafka, looked_up) = (self.kafka.clone(), move |kafka: KafkaArgs| {
            offsets_at(&kafka, partition, retention)
        });
        let before = tokio::task::spawn_blocking(move || looked_up(kafka))
            .await
            .context("looking offsets up")??;
        let topic = &self.kafka.kafka_topic;
        cursors::note_retention(&self.db, topic, partition, (&before, &MARKS))
            .await
            .context("noting how much is used")?;
        let spill = MARKS
            .iter()
            .position(|mark| (mark - SPILL_AT).abs() < f32::EPSILON);
        if let Some(at) = spill {
            let before = before[at];
            let telling = self.engine.send(Change::Spill { partition, before });
            telling.await.ok().context("the engine is gone")?;
        }
        Ok(())
    }
}

/// For each mark, the offset before which records have used up that share of the retention.
fn offsets_at(kafka: &KafkaArgs, partition: i32, retention: Duration) -> anyhow::Result<Vec<i64>> {
    let mut config = kafka.client_config("processor-retention");
    // Named because the client wants a group; it is never joined.
    config.set("group.id", "processor-retention");
    let client: BaseConsumer = config.create().context("configuring the client")?;
    let (_, end) = client
        .fetch_watermarks(&kafka.kafka_topic, partition, REQUEST_TIMEOUT)
        .context("reading where the log ends")?;
    let now = Utc::now().timestamp_millis();
    MARKS
        .iter()
        .map(|mark| {
            let age = retention.mul_f32(*mark).as_millis();
            let at = now - i64::try_from(age).unwrap_or(i64::MAX);
            let mut asked = TopicPartitionList::new();
            asked
                .add_partition_offset(&kafka.kafka_topic, partition, Offset::Offset(at.max(0)))
                .context("naming a partition")?;
            let found = client
                .offsets_for_times(asked, REQUEST_TIMEOUT)
                .context("looking an offset up")?;
            let elements = found.elements();
            Ok(match elements.first().map(TopicPartitionListElem::offset) {
                Some(Offset::Offset(offset)) => offset,
                _ => end,
            })
        })
        .collect()
}
