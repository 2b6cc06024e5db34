//! How to reach Kafka: the flags every client of it shares, and the client configuration they make.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

/// Where the brokers are and which topic carries the events.
#[derive(Clone, Debug, clap::Args)]
pub struct KafkaArgs {
    /// Kafka bootstrap servers, comma-separated.
    #[arg(long, env = "KAFKA_BROKERS", default_value = "localhost:9094")]
    pub kafka_brokers: String,
    /// The topic that carries the events.
    #[arg(long, env = "KAFKA_TOPIC", default_value = "updates")]
    pub kafka_topic: String,
}

impl KafkaArgs {
    /// The configuration common to producers, consumers and admin clients.
    #[must_use]
    pub fn client_config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.kafka_brokers)
            .set("client.id", client_id)
            // `localhost` may name ::1 first, where a broker on 127.0.0.1 does not listen.
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.max.ms", "2000");
        config
    }
}

/// What librdkafka says of single connections. It mends them itself, and what lasts is reported
/// by whoever waits for it.
pub fn quiet_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(target: "librdkafka", ?level, facility, message);
}

/// A client's context that says nothing of broken connections: whoever asks reports what comes of
/// them.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        quiet_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client error");
    }
}

impl ConsumerContext for Quiet {}
