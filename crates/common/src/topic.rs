//! The topic: created if it is missing, once the broker answers.
//!
//! The admin client blocks, so each try runs on a thread for that, within `TRY_LIMIT`.

use std::time::Duration;

use anyhow::Context;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::kafka::{KafkaArgs, Quiet};
use crate::probes::Component;

/// How long one try may take; shorter than what a stop leaves for it.
const TRY_LIMIT: Duration = Duration::from_secs(3);

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
    let mut waiting = false;
    while let Err(error) = try_once(args, partitions).await? {
        if is_final(&error) {
            return Err(error).with_context(|| format!("creating the topic {}", args.kafka_topic));
        }
        kafka.down(format!("not reached yet: {error}"));
        if !waiting {
            tracing::warn!(brokers = args.kafka_brokers, %error, "waiting for Kafka");
            waiting = true;
        }
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

async fn try_once(args: &KafkaArgs, partitions: i32) -> anyhow::Result<KafkaResult<()>> {
    let args = args.clone();
    let mut trying = JoinSet::new();
    trying.spawn_blocking(move || create_blocking(&args, partitions));
    let tried = trying.join_next().await.context("one task was spawned")?;
    tried.context("creating the topic")
}

fn create_blocking(args: &KafkaArgs, partitions: i32) -> KafkaResult<()> {
    let config = args.client_config("admin");
    let admin = AdminClient::from_config_and_context(&config, Quiet)?;
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
            Err((_, code)) => return Err(KafkaError::AdminOp(code)),
        }
    }
    Ok(())
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
