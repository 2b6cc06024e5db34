//! The load: events at a fixed rate, each published when it is due, whatever became of those before.
//!
//! Event `n` is of city `n` modulo their number, so that each city has one a second, evenly spread.
//! Its id is `n`, which tells the receiver which event it got.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use chrono::Utc;
use common::event::TEMPERATURE_UPDATED;
use common::kafka::KafkaArgs;
use rdkafka::ClientContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};

use crate::figures::Timetable;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(1);

/// How long the last acknowledgements are waited for.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// The Kafka side of a load.
pub struct Load {
    producer: ThreadedProducer<Acknowledgements>,
    acknowledged: Acknowledgements,
    topic: String,
    cities: u64,
    event_bytes: usize,
}

impl Load {
    /// A load for so many cities.
    ///
    /// # Errors
    /// That librdkafka refuses the settings.
    pub fn new(kafka: &KafkaArgs, cities: u64) -> anyhow::Result<Self> {
        let acknowledged = Acknowledgements::default();
        let mut config = kafka.client_config("bench");
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "1");
        Ok(Self {
            producer: config.create_with_context(acknowledged.clone())?,
            acknowledged,
            topic: kafka.kafka_topic.clone(),
            cities,
            event_bytes: 0,
        })
    }

    /// The same with events of at least so many bytes.
    #[must_use]
    pub fn of_bytes(self, event_bytes: usize) -> Self {
        Self {
            event_bytes,
            ..self
        }
    }

    /// Publishes all events of the timetable.
    ///
    /// # Errors
    /// That the broker did not take one of them.
    pub async fn publish(&self, timetable: &Timetable) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        for event in 0..timetable.events {
            while now_micros() < timetable.due_at(event) {
                ticks.tick().await;
            }
            let city = city(event % self.cities);
            let value = payload(event, &city, self.event_bytes);
            let due_at = timetable.due_at(event);
            let record = BaseRecord::with_opaque_to(&self.topic, Box::new(due_at));
            self.producer
                .send(record.key(&city).payload(&value))
                .map_err(|(error, _)| error)
                .context("publishing an event")?;
        }
        self.producer
            .flush(FLUSH_TIMEOUT)
            .context("waiting for the broker")?;
        ensure!(
            u64::try_from(self.taken())? == timetable.events,
            "the broker refused events"
        );
        Ok(())
    }

    /// How many events the broker has taken.
    pub fn taken(&self) -> usize {
        self.acknowledged.lock().len()
    }

    /// When each event was acknowledged, by its number, in microseconds since the Unix epoch.
    pub fn acknowledged_at(&self, timetable: &Timetable) -> HashMap<u64, u64> {
        let due: HashMap<u64, u64> = (0..timetable.events)
            .map(|event| (timetable.due_at(event), event))
            .collect();
        let taken = self.acknowledged.lock();
        let event = |(due_at, at): &(u64, u64)| Some((*due.get(due_at)?, *at));
        taken.iter().filter_map(event).collect()
    }

    /// How long after they were due the events that are measured were acknowledged, in microseconds,
    /// sorted.
    pub fn acknowledged(&self, timetable: &Timetable) -> Vec<u64> {
        let measured =
            timetable.due_at(timetable.measured_from)..timetable.due_at(timetable.events);
        let taken = self.acknowledged.lock();
        let measured = taken.iter().filter(|(due_at, _)| measured.contains(due_at));
        let mut late: Vec<u64> = measured
            .map(|(due_at, at)| at.saturating_sub(*due_at))
            .collect();
        late.sort_unstable();
        late
    }
}

/// The `n`th city.
pub fn city(n: u64) -> String {
    format!("City {n}")
}

/// Now, in microseconds since the Unix epoch: the receiver's clock is the same.
pub fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

/// An event of at least so many bytes, with its number as its id.
pub fn payload(event: u64, city: &str, bytes: usize) -> Vec<u8> {
    let mut body = serde_json::json!({
        "id": event.to_string(),
        "type": TEMPERATURE_UPDATED,
        "timestamp": Utc::now(),
        "city": city,
        "reading": 23.0,
        "unit": "C",
        "previous_reading": 21.5,
    });
    if bytes > 0 {
        let filled = body.to_string().len() + r#","note":"""#.len();
        body["note"] = "n".repeat(bytes.saturating_sub(filled)).into();
    }
    body.to_string().into_bytes()
}

/// When each event was due and when the broker had it, in microseconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
struct Acknowledgements(Arc<Mutex<Vec<(u64, u64)>>>);

impl Acknowledgements {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    /// When it was due.
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, due_at: Box<u64>) {
        if result.is_ok() {
            self.lock().push((*due_at, now_micros()));
        }
    }
}
