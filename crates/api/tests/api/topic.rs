//! A topic of a test's own, with records published when the test says.

use std::time::Duration;

use common::kafka::KafkaArgs;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use uuid::Uuid;

use crate::support::kafka;

/// How long one step may take.
const LIMIT: Duration = Duration::from_secs(20);

/// One hour, in milliseconds.
pub const HOUR: i64 = 3_600_000;

pub struct Topic {
    pub kafka: KafkaArgs,
    producer: FutureProducer,
}

impl Topic {
    pub async fn make(partitions: i32) -> Self {
        let kafka = kafka(&format!("api-{}", Uuid::now_v7()));
        let config: ClientConfig = kafka.client_config("api-test");
        let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
        let replication = TopicReplication::Fixed(1);
        let topic = NewTopic::new(&kafka.kafka_topic, partitions, replication);
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        let made = admin
            .create_topics([&topic], &options)
            .await
            .expect("an answer");
        made[0].as_ref().expect("it is made");
        let producer = config.create().expect("a producer");
        Self { kafka, producer }
    }

    /// Publishes a reading, `age` milliseconds before now.
    pub async fn publish(&self, partition: i32, age: i64, city: &str, reading: f64) {
        let event = serde_json::json!({
            "type": "temperature.updated", "timestamp": "2026-11-23T21:00:00Z",
            "city": city, "reading": reading, "unit": "C",
        });
        self.publish_raw(partition, age, event.to_string().as_bytes())
            .await;
    }

    pub async fn publish_raw(&self, partition: i32, age: i64, payload: &[u8]) {
        let record: FutureRecord<'_, str, [u8]> = FutureRecord::to(&self.kafka.kafka_topic)
            .partition(partition)
            .timestamp(chrono::Utc::now().timestamp_millis() - age)
            .payload(payload);
        self.producer.send(record, LIMIT).await.expect("published");
    }
}
