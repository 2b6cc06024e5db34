//! Watches how near the topic's retention comes to what subscriptions have yet to get.
//!
//! It notes beside each cursor how much of the retention is used, which the API and metrics tell
//! from half of it on, and has the engine copy what would be lost to pending rows from
//! 80 % on. Of retention by size it knows nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use common::kafka::{KafkaArgs, Quiet};
use common::store::cursors;
use metrics::gauge;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::engine::Change;
use crate::observe;

/// The shares of the retention that are told apart.
const MARKS: [f32; 5] = [0.5, 0.6, 0.7, 0.8, 0.9];

/// From which of them on what lies before a cursor's next offset is saved: from 80 %.
const SPILL_MARK: usize = 3;

/// It looks so many times within the retention, …
const LOOKS: u32 = 20;
/// … but no more often than the first, and no less than the second.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(10);

/// How long one request to Kafka may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The one guard of a topic in this process.
pub struct Guard {
    links: Links,
    topic: String,
    admin: AdminClient<Quiet>,
    client: Arc<BaseConsumer<Quiet>>,
}

/// What the guard is connected to.
#[derive(Debug)]
pub struct Links {
    pub db: PgPool,
    pub owned: watch::Receiver<Vec<i32>>,
    pub engine: mpsc::Sender<Change>,
}

impl Guard {
    /// A guard that has not looked yet.
    ///
    /// # Errors
    /// That the clients refuse the settings.
    pub fn new(kafka: &KafkaArgs, links: Links) -> anyhow::Result<Self> {
        let mut config = kafka.client_config("processor-retention");
        let admin = AdminClient::from_config_and_context(&config, Quiet::default())
            .context("configuring the admin client")?;
        // Named because the client wants a group; it is never joined.
        config.set("group.id", "processor-retention");
        let client = BaseConsumer::from_config_and_context(&config, Quiet::default())
            .context("configuring the client")?;
        Ok(Self {
            links,
            topic: kafka.kafka_topic.clone(),
            admin,
            client: Arc::new(client),
        })
    }

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
                    tracing::warn!(error = format!("{error:#}"), "retention cannot be watched");
                    PAUSE_AFTER_ERROR
                }
            };
        }
    }

    /// One look; the topic's retention, if it has one.
    async fn look(&self) -> anyhow::Result<Option<Duration>> {
        let Some(retention) = self.retention().await? else {
            return Ok(None);
        };
        let owned = self.links.owned.borrow().clone();
        for partition in cursors::open_partitions(&self.links.db, &self.topic, &owned)
            .await
            .context("looking for cursors")?
        {
            self.mark(partition, retention).await?;
        }
        let used = cursors::most_used(&self.links.db, &self.topic)
            .await
            .context("reading how much is used")?;
        gauge!(observe::RETENTION_USED).set(f64::from(used));
        Ok(Some(retention))
    }

    async fn retention(&self) -> anyhow::Result<Option<Duration>> {
        let topic = ResourceSpecifier::Topic(&self.topic);
        let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
        let described = self
            .admin
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
        let (client, topic) = (self.client.clone(), self.topic.clone());
        let looking = move || offsets_at(&client, &topic, partition, retention);
        let before = tokio::task::spawn_blocking(looking)
            .await
            .context("looking offsets up")??;
        let topic = &self.topic;
        cursors::note_retention(&self.links.db, topic, partition, (&before, &MARKS))
            .await
            .context("noting how much is used")?;
        let before = before[SPILL_MARK];
        let telling = self.links.engine.send(Change::Spill { partition, before });
        telling.await.ok().context("the engine is gone")
    }
}

/// For each mark, the offset before which records have used up that share of the retention.
fn offsets_at(
    client: &BaseConsumer<Quiet>,
    topic: &str,
    partition: i32,
    retention: Duration,
) -> anyhow::Result<Vec<i64>> {
    // Nobody polls it otherwise, and what it has to say would gather.
    while client.poll(Duration::ZERO).is_some() {}
    let (_, end) = client
        .fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
        .context("reading where the log ends")?;
    let now = Utc::now().timestamp_millis();
    MARKS
        .iter()
        .map(|mark| {
            let age = retention.mul_f32(*mark).as_millis();
            let at = now - i64::try_from(age).unwrap_or(i64::MAX);
            let mut asked = TopicPartitionList::new();
            asked
                .add_partition_offset(topic, partition, Offset::Offset(at.max(0)))
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
