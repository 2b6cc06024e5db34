//! How the consumer stands with Kafka and Postgres, as `/readyz` tells.
//!
//! Kafka's client says when something is wrong, and not when it is well again: what is away is asked
//! for until it answers, since on a quiet topic no record would show it.

use std::sync::atomic::{AtomicBool, Ordering};

use common::kafka::Trouble;
use common::probes::Component;
use rdkafka::error::KafkaError;

/// What is known of the servers.
#[derive(Debug)]
pub struct Standing {
    kafka: Component,
    postgres: Component,
    trouble: Trouble,
    /// Whether Kafka is away, as far as it was heard of.
    away: AtomicBool,
}

/// Whose fault it is that partitions cannot be taken.
#[derive(Debug)]
pub enum Untaken {
    Kafka(anyhow::Error),
    Postgres(anyhow::Error),
}

impl From<anyhow::Error> for Untaken {
    fn from(error: anyhow::Error) -> Self {
        Self::Kafka(error)
    }
}

impl Standing {
    pub fn new(kafka: Component, postgres: Component) -> Self {
        Self {
            kafka,
            postgres,
            trouble: Trouble::default(),
            away: AtomicBool::new(false),
        }
    }

    /// Hears what the client reports of connections that fail.
    pub fn hear(&self, error: &KafkaError, reason: &str) {
        self.trouble.hear(error, reason);
    }

    /// What is wrong, with what the client said of it.
    pub fn explain(&self, what: impl std::fmt::Display) -> String {
        self.trouble.explain(what)
    }

    /// Kafka does not answer well, and why; whether that is news.
    pub fn is_gone(&self, why: String) -> bool {
        self.kafka.down(why);
        !self.away.swap(true, Ordering::Relaxed)
    }

    /// Kafka answers; whether that is news. Cheap where it is not.
    pub fn is_back(&self) -> bool {
        let is_news = self.is_away();
        if is_news {
            self.is_joined();
        }
        is_news
    }

    /// Whether Kafka is away.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// The group has given us our part, if only none.
    pub fn is_joined(&self) {
        self.away.store(false, Ordering::Relaxed);
        self.kafka.up();
    }

    /// Partitions are claimed.
    pub fn is_claimed(&self) {
        self.postgres.up();
    }

    /// Partitions cannot be taken yet.
    pub fn tell(&self, untaken: &Untaken, partitions: &[i32]) {
        let (component, error) = match untaken {
            Untaken::Kafka(error) => (&self.kafka, error),
            Untaken::Postgres(error) => (&self.postgres, error),
        };
        let error = format!("{error:#}");
        tracing::warn!(error, ?partitions, "partitions cannot be taken yet");
        component.down(format!("partitions cannot be taken: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use common::probes::Readiness;

    use super::*;

    #[test]
    fn kafka_is_there_again_once_it_answers_whatever_it_was_that_went_wrong() {
        let readiness = Readiness::default();
        let (kafka, postgres) = (
            readiness.component("kafka"),
            readiness.component("postgres"),
        );
        postgres.up();
        let standing = Standing::new(kafka, postgres);
        standing.is_joined();
        assert!(readiness.report().0 && !standing.is_away());
        assert!(standing.is_gone("no broker can be reached".into()));
        assert!(!standing.is_gone("no broker can be reached".into()));
        assert!(!readiness.report().0 && standing.is_away());
        assert!(standing.is_back());
        assert!(!standing.is_back());
        assert!(readiness.report().0 && !standing.is_away());
    }

    #[test]
    fn partitions_that_cannot_be_taken_are_told_of_the_server_that_failed() {
        let readiness = Readiness::default();
        let (kafka, postgres) = (
            readiness.component("kafka"),
            readiness.component("postgres"),
        );
        let standing = Standing::new(kafka, postgres);
        standing.is_joined();
        standing.tell(&Untaken::Postgres(anyhow!("no connection")), &[0]);
        let report = readiness.report().1;
        assert_eq!(report.components["kafka"], "ok");
        let said = &report.components["postgres"];
        assert!(said.starts_with("partitions cannot be taken: no connection"));
        standing.is_claimed();
        assert!(readiness.report().0);
    }
}
