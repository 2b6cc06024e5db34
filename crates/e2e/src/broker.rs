//! The Kafka side of a test: its topic, and what producers, administrators and operators do to it.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::stage::{LONG, until};

/// How long one question to the broker may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// One topic, and the consumer group that reads it, which has its name.
pub struct Broker {
    pub brokers: String,
    pub topic: String,
}

/// A record as it is on the topic.
pub struct Stored {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub value: Vec<u8>,
}

impl Broker {
    pub async fn create_topic(&self, partitions: i32, settings: &[(&str, &str)]) {
        let mut topic = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let (admin, options) = (self.admin(), AdminOptions::new());
        let made = tokio::time::timeout(LONG, admin.create_topics([&topic], &options));
        made.await.unwrap().unwrap()[0].as_ref().unwrap();
    }

    /// Deletes the topic, and waits until the broker has forgotten it.
    pub async fn delete_topic(&self) {
        let deleted = self
            .admin()
            .delete_topics(&[&self.topic], &AdminOptions::new())
            .await;
        deleted.unwrap()[0].as_ref().unwrap();
        let client: BaseConsumer = self.config().create().unwrap();
        until("the topic is gone", async || {
            let known = client.fetch_metadata(Some(&self.topic), ANSWER_TIMEOUT);
            known.unwrap().topics()[0].error().is_some()
        })
        .await;
    }

    /// Removes the records of partition 0 before that offset, as retention does.
    pub async fn delete_records_before(&self, offset: i64) {
        let options = AdminOptions::new();
        let list = self.at(offset);
        let deleted = self.admin().delete_records(&list, &options).await.unwrap();
        deleted.elements()[0].error().unwrap();
    }

    /// Resets the group in partition 0, as an operator does while nobody is in the group.
    pub fn reset_group_to(&self, offset: i64) {
        let mut config = self.config();
        config.set("group.id", &self.topic);
        let client: BaseConsumer = config.create().unwrap();
        client.commit(&self.at(offset), CommitMode::Sync).unwrap();
    }

    /// Publishes records to partition 0, as they are.
    pub fn publish(&self, values: &[Vec<u8>]) {
        let producer: ThreadedProducer<_> = self.config().create().unwrap();
        self.send(&producer, values);
    }

    /// Publishes to partition 0 in one transaction, which is committed or aborted.
    pub fn publish_in_transaction(&self, values: &[Vec<u8>], commit: bool) {
        let mut config = self.config();
        config.set("transactional.id", &self.topic);
        let producer: ThreadedProducer<_> = config.create().unwrap();
        producer.init_transactions(LONG).unwrap();
        producer.begin_transaction().unwrap();
        self.send(&producer, values);
        if commit {
            producer.commit_transaction(LONG).unwrap();
        } else {
            producer.abort_transaction(LONG).unwrap();
        }
    }

    fn send(
        &self,
        producer: &ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
        values: &[Vec<u8>],
    ) {
        for value in values {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.topic).payload(value);
            producer.send(record.partition(0)).unwrap();
        }
        producer.flush(LONG).unwrap();
    }

    /// Publishes one record to partition 0, in that place of a trace.
    pub fn publish_in_trace(&self, value: &[u8], traceparent: &str) {
        let producer: ThreadedProducer<_> = self.config().create().unwrap();
        let headers = OwnedHeaders::new().insert(Header {
            key: "traceparent",
            value: Some(traceparent),
        });
        let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.topic).payload(value);
        producer.send(record.partition(0).headers(headers)).unwrap();
        producer.flush(LONG).unwrap();
    }

    /// Publishes one record with a key to partition 0.
    pub fn publish_keyed(&self, key: &str, value: &[u8]) {
        let producer: ThreadedProducer<_> = self.config().create().unwrap();
        let record = BaseRecord::to(&self.topic).key(key).payload(value);
        producer.send(record.partition(0)).unwrap();
        producer.flush(LONG).unwrap();
    }

    /// Where the log of a partition ends.
    pub fn log_end(&self, partition: i32) -> i64 {
        let client: BaseConsumer = self.config().create().unwrap();
        let ends = client.fetch_watermarks(&self.topic, partition, ANSWER_TIMEOUT);
        ends.unwrap().1
    }

    /// All that is on the topic, each partition in its order.
    pub fn stored(&self) -> Vec<Stored> {
        let mut config = self.config();
        config
            .set("group.id", "stored")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        let client: BaseConsumer = config.create().unwrap();
        let metadata = client.fetch_metadata(Some(&self.topic), ANSWER_TIMEOUT);
        let partitions = metadata.unwrap().topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).unwrap() {
            list.add_partition_offset(&self.topic, partition, Offset::Beginning)
                .unwrap();
        }
        client.assign(&list).unwrap();
        let (mut stored, mut ended) = (Vec::new(), 0);
        while ended < partitions {
            match client
                .poll(LONG)
                .expect("the end of every partition is told")
            {
                Ok(message) => stored.push(Stored::from(&message)),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("the topic cannot be read: {error}"),
            }
        }
        stored
    }

    fn at(&self, offset: i64) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(offset))
            .unwrap();
        list
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().unwrap()
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("broker.address.family", "v4");
        config
    }
}

impl<M: Message> From<&M> for Stored {
    fn from(message: &M) -> Self {
        let key = message
            .key()
            .map(|key| String::from_utf8(key.to_vec()).unwrap());
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key,
            value: message.payload().unwrap_or_default().to_vec(),
        }
    }
}
