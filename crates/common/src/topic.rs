//! The topic: created if it is missing, once the broker answers.
//!
//! The clients block, so each try runs on a thread for that: an answer is waited for at most
//! `TRY_LIMIT`, and then a topic as long.

use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::kafka::{KafkaArgs, Quiet, Trouble};
use crate::probes::Component;

/// How long one try may take; shorter than what a stop leaves for it.
const TRY_LIMIT: Duration = Duration::from_secs(3);

/// How long a client is listened to that was not answered, for why.
const LISTENING: Duration = Duration::from_millis(100);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// The number of replicas that the broker is configured to give.
const BROKERS_CHOICE: i32 = -1;

/// Sees to it that the topic exists, trying until the broker has answered, and tells `kafka` how it
/// is. `false` if `stop` came first.
///
/// # Errors
/// That the broker refuses such a topic, or librdkafka the settings.
pub async fn create(
    args: &KafkaArgs,
    partitions: i32,
    kafka: &Component,
    stop: &CancellationToken,
) -> anyhow::Result<bool> {
    let mut told = Vec::new();
    while let Err(Failed { error, trouble }) = try_once(args, partitions).await? {
        if is_final(&error) {
            return Err(error).with_context(|| format!("creating the topic {}", args.kafka_topic));
        }
        let reason = trouble.explain(&error);
        if !told.contains(&trouble.kind()) {
            tracing::warn!(brokers = args.kafka_brokers, reason, "waiting for Kafka");
            told.push(trouble.kind());
        }
        kafka.down(format!("not reached yet: {reason}"));
        if stop
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(false);
        }
    }
    kafka.up();
    Ok(!stop.is_cancelled())
}

/// A try that came to nothing.
struct Failed {
    error: KafkaError,
    trouble: Trouble,
}

impl From<KafkaError> for Failed {
    fn from(error: KafkaError) -> Self {
        let trouble = Trouble::default();
        Self { error, trouble }
    }
}

async fn try_once(args: &KafkaArgs, partitions: i32) -> anyhow::Result<Result<(), Failed>> {
    let args = args.clone();
    let mut trying = JoinSet::new();
    trying.spawn_blocking(move || create_blocking(&args, partitions));
    let tried = trying.join_next().await.context("one task was spawned")?;
    tried.context("creating the topic")
}

fn create_blocking(args: &KafkaArgs, partitions: i32) -> Result<(), Failed> {
    let config = args.client_config("admin");
    reach(&config)?;
    let admin = AdminClient::from_config_and_context(&config, Quiet::default())?;
    let topic = NewTopic::new(
        &args.kafka_topic,
        partitions,
        TopicReplication::Fixed(BROKERS_CHOICE),
    );
    let options = AdminOptions::new().request_timeout(Some(TRY_LIMIT));
    let created = Handle::current().block_on(admin.create_topics([&topic], &options))?;
    for result in created {
        match result {
            Ok(name) => tracing::info!(topic = name, partitions, "created the topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(KafkaError::AdminOp(code).into()),
        }
    }
    Ok(())
}

/// Waits for an answer of some broker. An admin client does not tell why there is none, a producer
/// does.
fn reach(config: &ClientConfig) -> Result<(), Failed> {
    let client: BaseProducer<Quiet> =
        BaseProducer::from_config_and_context(config, Quiet::default())?;
    let answered = client.client().fetch_metadata(None, TRY_LIMIT);
    answered.map(drop).map_err(|error| {
        client.poll(LISTENING);
        let trouble = client.context().trouble.clone();
        Failed { error, trouble }
    })
}

/// Whether trying again would change nothing. A broker that has just started refuses for reasons
/// that pass, such as having no broker to put a replica on.
fn is_final(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error {
        KafkaError::AdminOp(code) => matches!(
            code,
            Code::InvalidTopic
                | Code::InvalidPartitions
                | Code::PolicyViolation
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
        ),
        KafkaError::MetadataFetch(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trying_again_would_not_change_is_final() {
        for (code, last) in [
            (RDKafkaErrorCode::InvalidTopic, true),
            (RDKafkaErrorCode::TopicAuthorizationFailed, true),
            (RDKafkaErrorCode::OperationTimedOut, false),
            (RDKafkaErrorCode::BrokerTransportFailure, false),
            (RDKafkaErrorCode::InvalidReplicationFactor, false),
        ] {
            assert_eq!(is_final(&KafkaError::AdminOp(code)), last, "{code}");
        }
        assert!(is_final(&KafkaError::ClientCreation(
            "no such setting".into()
        )));
    }
}
