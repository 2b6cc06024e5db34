//! What is there before anybody reads it: events published as fast as the broker takes them. One
//! subscription has to catch up with those of cities that nobody else wants.

use std::time::Duration;

use anyhow::Context;
use common::kafka::KafkaArgs;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::behind::FIRST;
use crate::load::payload;

/// So many cities, that every partition has its part.
const CITIES: u64 = 120;

/// How long the broker is waited for where it has no room.
const PAUSE: Duration = Duration::from_millis(5);

/// How long the last acknowledgements are waited for.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// The cities.
pub fn cities() -> Vec<String> {
    (0..CITIES).map(city).collect()
}

/// Publishes so many events of those cities.
///
/// # Errors
/// That the broker does not take them.
pub async fn publish(kafka: &KafkaArgs, events: u64) -> anyhow::Result<()> {
    let event = |n| {
        let city = city(n % CITIES);
        let value = payload(FIRST + n, &city, 0);
        (city, value)
    };
    publish_all(kafka, (0..events).map(event)).await
}

/// Publishes events, each with its city.
///
/// # Errors
/// That the broker does not take them.
pub async fn publish_all(
    kafka: &KafkaArgs,
    events: impl Iterator<Item = (String, Vec<u8>)>,
) -> anyhow::Result<()> {
    let mut config = kafka.client_config("bench");
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "20");
    let producer: ThreadedProducer<DefaultProducerContext> = config.create()?;
    for (city, value) in events {
        let mut record = BaseRecord::to(&kafka.kafka_topic)
            .key(&city)
            .payload(&value);
        while let Err((error, back)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error).context("publishing an event");
            }
            record = back;
            tokio::time::sleep(PAUSE).await;
        }
    }
    producer
        .flush(FLUSH_TIMEOUT)
        .context("waiting for the broker")
}

fn city(n: u64) -> String {
    format!("Elsewhere {n}")
}
