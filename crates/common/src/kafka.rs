//! How to reach Kafka: the flags every client of it shares, the client configuration they make, and
//! what a client has to say of connections that fail.

mod security;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientConfig, ClientContext};

pub use security::{KafkaSecurity, Mechanism, Protocol};

/// Where the brokers are and which topic carries the events.
#[derive(Clone, Debug, clap::Args)]
pub struct KafkaArgs {
    /// Kafka bootstrap servers, comma-separated.
    #[arg(long, env = "KAFKA_BROKERS", default_value = "localhost:9094")]
    pub kafka_brokers: String,
    /// The topic that carries the events.
    #[arg(long, env = "KAFKA_TOPIC", default_value = "updates")]
    pub kafka_topic: String,
    /// How connections to them are secured.
    #[command(flatten)]
    pub security: KafkaSecurity,
}

impl KafkaArgs {
    /// Holds the settings against each other.
    ///
    /// # Errors
    /// Names the two that do not fit, or the one whose file cannot be read.
    pub fn check(&self) -> anyhow::Result<()> {
        self.security.check()
    }

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
        self.security.apply(&mut config);
        config
    }
}

/// What a client said last of a connection that failed. The errors of its calls say only that no
/// broker answered; that a password is wrong, or a certificate, is told aside. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Trouble(Arc<Mutex<Option<Told>>>);

#[derive(Debug)]
struct Told {
    kind: Option<RDKafkaErrorCode>,
    reason: String,
}

impl Trouble {
    /// Hears what librdkafka reports to a client's context.
    pub fn hear(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka client error");
        let kind = error.rdkafka_error_code();
        // That all brokers are down follows from what was said of each.
        if kind != Some(RDKafkaErrorCode::AllBrokersDown) {
            let reason = reason.to_owned();
            *self.told() = Some(Told { kind, reason });
        }
    }

    /// What is wrong, with the reason behind it if one was told.
    pub fn explain(&self, what: impl std::fmt::Display) -> String {
        match &*self.told() {
            Some(told) => format!("{what} ({})", told.reason),
            None => what.to_string(),
        }
    }

    /// Of which kind the reason is.
    pub fn kind(&self) -> Option<RDKafkaErrorCode> {
        self.told().as_ref().and_then(|told| told.kind)
    }

    fn told(&self) -> MutexGuard<'_, Option<Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What librdkafka says of single connections. It mends them itself, and what lasts is reported
/// by whoever waits for it.
pub fn quiet_log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    tracing::debug!(target: "librdkafka", ?level, facility, message);
}

/// A client's context that says nothing of broken connections: whoever asks reports what comes of
/// them, and finds in it why.
#[derive(Clone, Debug, Default)]
pub struct Quiet {
    /// What was said last.
    pub trouble: Trouble,
}

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        quiet_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.trouble.hear(&error, reason);
    }
}

impl ConsumerContext for Quiet {}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
