//! The topic of the events, as far as the API looks into it: which offsets a stretch of time has,
//! and what lies there.
//!
//! One client, made when it is first needed, is used by one request at a time: it blocks, so each
//! look-up runs on a thread for that, under a bound of time and bytes. Nothing here commits.

mod reader;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::kafka::KafkaArgs;
use common::store::replays::Extent;
use rdkafka::error::KafkaError;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use reader::Reader;

/// How long a request waits for those before it.
const TURN_LIMIT: Duration = Duration::from_secs(10);

/// Why nothing can be said of the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's.
    #[error("asking Kafka")]
    Kafka(#[from] KafkaError),
    /// The same, and why, as the client told aside.
    #[error("{why}")]
    Unreachable { why: String },
    /// Other requests took too long, or the answer did.
    #[error("there was no time left to ask Kafka")]
    NoTime,
}

/// A record, as far as it was asked for.
#[derive(Debug)]
pub struct Record {
    /// When it was published.
    pub published_at: Option<DateTime<Utc>>,
    /// Its value.
    pub payload: Vec<u8>,
}

/// What was read of some ranges.
#[derive(Debug)]
pub struct Excerpt {
    /// In the order of each partition.
    pub records: Vec<Record>,
    /// Whether it is all of them; else time or bytes were used up.
    pub whole: bool,
}

/// The part of the log between two times.
#[derive(Debug)]
pub struct Stretch {
    /// What of each partition, up to its end at the time.
    pub ranges: Vec<Extent>,
    /// From when on the log has every event; `None` while it has none.
    pub earliest: Option<DateTime<Utc>>,
}

/// A handle on the topic. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    kafka: KafkaArgs,
    reader: Arc<Mutex<Option<Reader>>>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Log").field(&self.kafka).finish()
    }
}

impl Log {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(kafka: &KafkaArgs) -> Self {
        Self {
            kafka: kafka.clone(),
            reader: Arc::default(),
        }
    }

    /// Its name.
    pub fn topic(&self) -> &str {
        &self.kafka.kafka_topic
    }

    /// Whether Kafka answers. While a request uses the client, that request will find out.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        match Arc::clone(&self.reader).try_lock_owned() {
            Ok(reader) => {
                self.ask(reader, |reader| reader.partitions().map(drop))
                    .await
            }
            Err(_used) => Ok(()),
        }
    }

    /// What lies between two times.
    pub(crate) async fn stretch(
        &self,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Stretch, Error> {
        let reader = self.turn().await?;
        self.ask(reader, move |reader| reader.stretch(since, until))
            .await
    }

    /// Where each partition ends.
    pub(crate) async fn ends(&self) -> Result<Vec<(i32, i64)>, Error> {
        let reader = self.turn().await?;
        self.ask(reader, Reader::ends).await
    }

    /// The ranges of the last `events` events, of each partition its share.
    pub(crate) async fn last(&self, events: i64) -> Result<Vec<Extent>, Error> {
        let reader = self.turn().await?;
        self.ask(reader, move |reader| reader.last(events)).await
    }

    /// What lies in some ranges.
    pub(crate) async fn read(&self, ranges: Vec<Extent>) -> Result<Excerpt, Error> {
        let reader = self.turn().await?;
        self.ask(reader, move |reader| reader.read(&ranges)).await
    }

    async fn turn(&self) -> Result<OwnedMutexGuard<Option<Reader>>, Error> {
        let turn = Arc::clone(&self.reader).lock_owned();
        timeout(TURN_LIMIT, turn).await.map_err(|_| Error::NoTime)
    }

    async fn ask<T: Send + 'static>(
        &self,
        mut reader: OwnedMutexGuard<Option<Reader>>,
        question: impl FnOnce(&Reader) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let kafka = self.kafka.clone();
        let asked = spawn_blocking(move || {
            let made = match reader.take() {
                Some(made) => made,
                None => Reader::new(&kafka)?,
            };
            let reader = reader.insert(made);
            question(reader).map_err(|error| reader.explain(error))
        });
        asked
            .await
            .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }
}
