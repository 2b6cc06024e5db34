//! What the Kafka client calls: partitions come and go, and things happen to its connections.

use common::kafka::quiet_log;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};

use super::super::lag;
use super::Ownership;

impl ClientContext for Ownership {
    fn stats(&self, statistics: Statistics) {
        lag::observe(&self.parts.topic, &self.starts(), &statistics);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        quiet_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.standing.hear(&error, reason);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            let why = self.standing.explain("no broker can be reached");
            self.standing.is_gone(why);
        }
    }
}

impl ConsumerContext for Ownership {
    fn rebalance(
        &self,
        client: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let partitions = partitions_of(list);
                if partitions.is_empty() {
                    self.standing.is_joined();
                }
                self.take(client, &partitions);
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.give_up(client, list),
            other => {
                tracing::error!(code = ?other, "rebalancing failed");
                self.give_up(client, list);
            }
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(%error, "offsets could not be committed to Kafka");
        }
    }
}

impl Ownership {
    fn give_up(&self, client: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        tracing::info!(?partitions, "partitions go");
        if client.assignment_lost() {
            self.lose(&partitions);
        } else {
            self.release(client, &partitions, self.parts.revoke_timeout);
        }
        if let Err(error) = client.incremental_unassign(list) {
            tracing::warn!(%error, "partitions could not be unassigned");
        }
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<i32> {
    let elements = list.elements();
    elements
        .iter()
        .map(TopicPartitionListElem::partition)
        .collect()
}
