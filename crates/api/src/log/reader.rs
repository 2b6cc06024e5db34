//! The client that reads the log: it blocks, each call within a bound.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::kafka::{KafkaArgs, Quiet};
use common::store::replays::Extent;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::time::Instant;

use super::{Error, Excerpt, Record, Stretch};

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(4);

/// How long reading may take, and how many bytes it may bring.
const READ_LIMIT: Duration = Duration::from_secs(8);
const MAX_READ_BYTES: usize = 32 * 1024 * 1024;

/// The longest wait for the next record.
const POLL: Duration = Duration::from_millis(100);

/// How many things that the client says aside are listened to.
const ASIDES: usize = 4;

/// The client, and what it reads.
pub struct Reader {
    consumer: BaseConsumer<Quiet>,
    topic: String,
}

impl Reader {
    pub fn new(kafka: &KafkaArgs) -> Result<Self, Error> {
        let consumer = kafka
            .client_config("api")
            // Names nobody: without a subscription no group is joined.
            .set("group.id", "api")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.queue.backoff.ms", "10")
            .set("max.partition.fetch.bytes", "262144")
            .set("queued.max.messages.kbytes", "8192")
            .create_with_context(Quiet::default())?;
        Ok(Self {
            consumer,
            topic: kafka.kafka_topic.clone(),
        })
    }

    /// An error, with what the client said of it aside: that a password is wrong, say.
    pub fn explain(&self, error: Error) -> Error {
        let Error::Kafka(error) = error else {
            return error;
        };
        for _ in 0..ASIDES {
            // Records of a range that was not read to its end may be among them.
            if self.consumer.poll(POLL).is_none() {
                break;
            }
        }
        let trouble = &self.consumer.context().trouble;
        match trouble.kind() {
            None => Error::Kafka(error),
            Some(_) => Error::Unreachable {
                why: trouble.explain(error),
            },
        }
    }

    /// The partitions; none of a topic that nobody has made yet.
    pub fn partitions(&self) -> Result<Vec<i32>, Error> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(&self.topic), CALL_LIMIT)?;
        let topics = metadata.topics().iter();
        let partitions = topics.flat_map(MetadataTopic::partitions);
        Ok(partitions.map(MetadataPartition::id).collect())
    }

    /// Where each partition ends, asked of all at once.
    pub fn ends(&self) -> Result<Vec<(i32, i64)>, Error> {
        let mut latest = TopicPartitionList::new();
        for partition in self.partitions()? {
            latest.add_partition_offset(&self.topic, partition, Offset::End)?;
        }
        if latest.count() == 0 {
            return Ok(Vec::new());
        }
        let found = self.consumer.offsets_for_times(latest, CALL_LIMIT)?;
        let mut ends = Vec::new();
        for element in found.elements() {
            element.error()?;
            if let Offset::Offset(end) = element.offset() {
                ends.push((element.partition(), end));
            }
        }
        Ok(ends)
    }

    /// The whole log.
    fn extent(&self) -> Result<Vec<Extent>, Error> {
        let extent = self.partitions()?.into_iter().map(|partition| {
            let (start, end) =
                self.consumer
                    .fetch_watermarks(&self.topic, partition, CALL_LIMIT)?;
            Ok(Extent {
                partition,
                start,
                end,
            })
        });
        extent.collect()
    }

    pub fn stretch(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<Stretch, Error> {
        let extent = self.extent()?;
        let starts = self.offsets_at(since, &extent)?;
        let ends = self.offsets_at(until, &extent)?;
        let ranges = extent.iter().filter_map(|whole| {
            let offset = |times: &BTreeMap<i32, i64>| {
                let offset = times.get(&whole.partition).copied();
                offset.unwrap_or(whole.end).clamp(whole.start, whole.end)
            };
            let (start, end) = (offset(&starts), offset(&ends));
            (start < end).then_some(Extent {
                partition: whole.partition,
                start,
                end,
            })
        });
        Ok(Stretch {
            ranges: ranges.collect(),
            earliest: self.earliest(&extent)?,
        })
    }

    /// Of each partition the first offset at or after `time`, where there is one.
    fn offsets_at(
        &self,
        time: DateTime<Utc>,
        extent: &[Extent],
    ) -> Result<BTreeMap<i32, i64>, Error> {
        let mut times = TopicPartitionList::new();
        let milliseconds = Offset::Offset(time.timestamp_millis().max(0));
        for whole in extent.iter().filter(|whole| whole.span() > 0) {
            times.add_partition_offset(&self.topic, whole.partition, milliseconds)?;
        }
        if times.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let found = self.consumer.offsets_for_times(times, CALL_LIMIT)?;
        let mut offsets = BTreeMap::new();
        for element in found.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                offsets.insert(element.partition(), offset);
            }
        }
        Ok(offsets)
    }

    /// From when on the log has every event. Where retention has removed something, that is when
    /// the last of the partitions begins that lost events; else when the first event came.
    fn earliest(&self, extent: &[Extent]) -> Result<Option<DateTime<Utc>>, Error> {
        let mut firsts = BTreeMap::new();
        let held: Vec<Extent> = extent
            .iter()
            .copied()
            .filter(|all| all.span() > 0)
            .collect();
        self.each(&held, |message| {
            firsts
                .entry(message.partition())
                .or_insert(published_at(message));
            firsts.len() < held.len()
        })?;
        let cut = held.iter().filter(|whole| whole.start > 0);
        let cut = cut.filter_map(|whole| firsts.get(&whole.partition).copied().flatten());
        let first = firsts.values().copied().flatten().min();
        Ok(cut.max().max(first))
    }

    pub fn last(&self, events: i64) -> Result<Vec<Extent>, Error> {
        let mut extent = self.extent()?;
        extent.retain(|whole| whole.span() > 0);
        extent.sort_by_key(Extent::span);
        let mut left = events;
        let mut sharing = i64::try_from(extent.len()).unwrap_or(i64::MAX);
        for range in &mut extent {
            let share = (left + sharing - 1) / sharing;
            let taken = range.span().min(share);
            range.start = range.end - taken;
            left -= taken;
            sharing -= 1;
        }
        Ok(extent)
    }

    pub fn read(&self, ranges: &[Extent]) -> Result<Excerpt, Error> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let whole = self.each(ranges, |message| {
            let payload = message.payload().unwrap_or_default();
            bytes += payload.len();
            if bytes > MAX_READ_BYTES {
                return false;
            }
            records.push(Record {
                published_at: published_at(message),
                payload: payload.to_vec(),
            });
            true
        })?;
        Ok(Excerpt { records, whole })
    }

    /// Shows each record of the ranges to `visit`, until it has enough; whether that were all.
    fn each(
        &self,
        ranges: &[Extent],
        mut visit: impl FnMut(&BorrowedMessage<'_>) -> bool,
    ) -> Result<bool, Error> {
        let began = Instant::now();
        let mut open = self.assign(ranges)?;
        let mut failure = None;
        let mut wants = true;
        while wants && !open.is_empty() && began.elapsed() < READ_LIMIT {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let Some(&end) = open.get(&message.partition()) else {
                        continue;
                    };
                    failure = None;
                    wants = message.offset() >= end || visit(&message);
                    if message.offset() + 1 >= end {
                        open.remove(&message.partition());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                Some(Err(error)) if is_final(&error) => return Err(error.into()),
                Some(Err(error)) => failure = Some(error),
                None => {}
            }
        }
        self.consumer.unassign()?;
        match failure {
            Some(error) if !open.is_empty() => Err(error.into()),
            _ => Ok(open.is_empty()),
        }
    }

    /// Begins to fetch the ranges; gives the end of each that is not empty.
    fn assign(&self, ranges: &[Extent]) -> Result<BTreeMap<i32, i64>, Error> {
        let mut places = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        for range in ranges.iter().filter(|range| range.span() > 0) {
            let start = Offset::Offset(range.start);
            places.add_partition_offset(&self.topic, range.partition, start)?;
            ends.insert(range.partition, range.end);
        }
        if !ends.is_empty() {
            self.consumer.assign(&places)?;
        }
        Ok(ends)
    }
}

fn published_at(message: &BorrowedMessage<'_>) -> Option<DateTime<Utc>> {
    let milliseconds = message.timestamp().to_millis();
    milliseconds.and_then(DateTime::from_timestamp_millis)
}

/// A connection that breaks is mended, within the limit.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::Fatal
        )
    )
}
