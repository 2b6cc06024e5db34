//! The flags and environment of `processor`, and what holds between them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use clap::{Parser, value_parser};
use common::attempt_log::AttemptLog;
use common::human;
use common::kafka::KafkaArgs;
use common::secrets::SecretsArgs;
use common::statistics::StatisticsArgs;
use common::store::StoreArgs;
use common::telemetry::TelemetryArgs;
use outbound::EgressArgs;

use crate::lanes::Limits;
use crate::retry::Schedule;

/// Consumes temperature events from Kafka and delivers each to everyone who wants it.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// Where the probes and metrics are served.
    #[arg(long, env = "PROCESSOR_ADMIN_LISTEN", default_value = "127.0.0.1:9091")]
    pub admin_listen: SocketAddr,
    /// The consumer group; the replicas of one group share the partitions of the topic.
    #[arg(long, env = "KAFKA_GROUP", default_value = "processor")]
    pub kafka_group: String,
    /// After how long without a sign of life a replica loses its partitions to the others.
    #[arg(long, env = "KAFKA_SESSION_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub session_timeout: Duration,
    /// The waits before a failed delivery is tried again; each is jittered over its upper half.
    /// When they are used up the delivery is a dead letter.
    #[arg(
        long,
        env = "RETRY_SCHEDULE",
        default_value = "5s,30s,2m,10m,30m,2h,5h,10h"
    )]
    pub retry_schedule: Schedule,
    /// How long one attempt may take: connecting, sending, and reading the response.
    #[arg(long, env = "ATTEMPT_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub attempt_timeout: Duration,
    /// How long a claimed pending delivery is held before another may claim it.
    #[arg(long, env = "LEASE", default_value = "60s", value_parser = human::duration)]
    pub lease: Duration,
    /// How often to look for pending deliveries that are due.
    #[arg(long, env = "PENDING_POLL", default_value = "1s", value_parser = human::duration)]
    pub pending_poll: Duration,
    /// What events, queues and requests may hold together.
    #[arg(long, env = "MEMORY_BUDGET", default_value = "256MiB", value_parser = human::bytes)]
    pub memory_budget: usize,
    /// How many deliveries may wait for one subscription; one that does not keep up leaves the log.
    #[arg(long, env = "LANE_QUEUE", default_value = "256", value_parser = positive())]
    pub lane_queue: u64,
    /// How many claimed pending deliveries may wait for one subscription besides.
    #[arg(long, env = "LANE_RETRIES", default_value = "64", value_parser = positive())]
    pub lane_retries: u64,
    /// How long a delivery may wait in its lane before its subscription leaves the log.
    #[arg(long, env = "LANE_PATIENCE", default_value = "5s", value_parser = human::duration)]
    pub lane_patience: Duration,
    /// How many requests may be in flight to one subscription.
    #[arg(long, env = "LANE_IN_FLIGHT", default_value = "16", value_parser = positive())]
    pub lane_in_flight: u64,
    /// How many requests may be in flight over all.
    #[arg(long, env = "IN_FLIGHT", default_value = "1024", value_parser = positive())]
    pub in_flight: u64,
    /// How many more requests may be in flight that do not answer; their subscriptions wait.
    #[arg(long, env = "SLOW_IN_FLIGHT", default_value = "4096", value_parser = positive())]
    pub slow_in_flight: u64,
    /// How much of `IN_FLIGHT`, in percent, subscriptions that catch up may take.
    #[arg(long, env = "CATCH_UP_SHARE", default_value = "20", value_parser = value_parser!(u64).range(1..=100))]
    pub catch_up_share: u64,
    /// How many deliveries a second subscriptions that catch up may take, all together; one that takes
    /// more does not leave the log for being slow.
    #[arg(long, env = "CATCH_UP_RATE", default_value = "4000", value_parser = positive())]
    pub catch_up_rate: u64,
    /// How long outcomes are gathered before they are written; up to five times as long where writing takes
    /// long.
    #[arg(long, env = "FLUSH_INTERVAL", default_value = "20ms", value_parser = human::duration)]
    pub flush_interval: Duration,
    /// How many outcomes are written at once.
    #[arg(long, env = "FLUSH_OUTCOMES", default_value = "5000", value_parser = positive())]
    pub flush_outcomes: u64,
    /// The topic of operational events, which is made if it is missing.
    #[arg(long, env = "OPERATIONS_TOPIC", default_value = "operations")]
    pub operations_topic: String,
    /// After how long of nothing but failures a subscription is disabled that does not say.
    #[arg(long, env = "DISABLE_AFTER", default_value = "5days", value_parser = human::duration)]
    pub disable_after: Duration,
    /// Which attempts are recorded: `failures` leaves deliveries at the first attempt out, unless they
    /// waited before.
    #[arg(long, env = "ATTEMPT_LOG", value_enum, default_value = "all")]
    pub attempt_log: AttemptLog,
    /// For how long the record of attempts is kept; whole days (UTC) are dropped.
    #[arg(long, env = "ATTEMPT_RETENTION", default_value = "14d", value_parser = human::duration)]
    pub attempt_retention: Duration,
    /// How often what became of deliveries is counted in the database; a kill loses no more of it.
    #[arg(long, env = "STATISTICS_INTERVAL", default_value = "1s", value_parser = human::duration)]
    pub statistics_interval: Duration,
    /// How many cities a minute, an hour or a day counts by themselves; all others are one.
    #[arg(long, env = "STATISTICS_CITIES", default_value = "1000", value_parser = value_parser!(u64).range(0..=10_000))]
    pub statistics_cities: u64,
    /// For how long statistics are kept; as for the api.
    #[command(flatten)]
    pub statistics: StatisticsArgs,
    /// How long requests in flight are waited for when a partition moves to another replica.
    #[arg(long, env = "REVOKE_TIMEOUT", default_value = "2s", value_parser = human::duration)]
    pub revoke_timeout: Duration,
    /// How long it may take to stop after a signal; longer than an attempt.
    #[arg(long, env = "PROCESSOR_DRAIN_TIMEOUT", default_value = "20s", value_parser = human::duration)]
    pub drain_timeout: Duration,
    /// After how long `/livez` fails when the consumer or the recorder does not come around; what a
    /// step of theirs may take by its own bounds comes before.
    #[arg(long, env = "LIVENESS_TIMEOUT", default_value = "30s", value_parser = human::duration)]
    pub liveness_timeout: Duration,
    /// How many connections to Postgres are open at most.
    #[arg(long, env = "PROCESSOR_CONNECTIONS", default_value = "12", value_parser = value_parser!(u32).range(MIN_CONNECTIONS..))]
    pub connections: u32,
    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// What opens the secrets of subscriptions.
    #[command(flatten)]
    pub secrets: SecretsArgs,
    /// Where Postgres is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where deliveries may go.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// How logs are written.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// Each of the two topics' listeners keeps one, and so may each recorder; claimers, consumers and the rest take
/// turns.
const MIN_CONNECTIONS: i64 = 8;

/// Loops may be held up that long on a busy machine, and are not stuck.
const MIN_LIVENESS_TIMEOUT: Duration = Duration::from_secs(1);

/// What is left of a drain when the last attempt has ended: to record, to commit, to leave the
/// consumer group.
pub const CLOSING: Duration = Duration::from_secs(5);

fn positive() -> clap::builder::RangedU64ValueParser {
    value_parser!(u64).range(1..=1_000_000)
}

impl Config {
    /// Holds the settings against each other.
    ///
    /// # Errors
    /// Names the two that do not fit.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.drain_timeout >= self.attempt_timeout + CLOSING,
            "PROCESSOR_DRAIN_TIMEOUT ({:?}) must be {CLOSING:?} longer than ATTEMPT_TIMEOUT ({:?}), or \
             requests in flight are cut off at every stop",
            self.drain_timeout,
            self.attempt_timeout,
        );
        ensure!(
            self.operations_topic != self.kafka.kafka_topic,
            "OPERATIONS_TOPIC and KAFKA_TOPIC must not be the same ({})",
            self.operations_topic,
        );
        ensure!(
            self.lease >= 2 * self.attempt_timeout,
            "LEASE ({:?}) must be twice ATTEMPT_TIMEOUT ({:?}) or more, or it may end while its attempt runs",
            self.lease,
            self.attempt_timeout,
        );
        ensure!(
            self.memory_budget >= MIN_BUDGET,
            "MEMORY_BUDGET ({} bytes) must be {MIN_BUDGET} or more",
            self.memory_budget,
        );
        ensure!(
            self.liveness_timeout >= MIN_LIVENESS_TIMEOUT,
            "LIVENESS_TIMEOUT ({:?}) must be {MIN_LIVENESS_TIMEOUT:?} or more",
            self.liveness_timeout,
        );
        self.kafka.check()?;
        self.statistics.check()
    }

    /// What the lanes may hold.
    pub fn limits(&self) -> Limits {
        Limits {
            queue: size(self.lane_queue),
            retries: size(self.lane_retries),
            in_flight_per_lane: size(self.lane_in_flight),
            in_flight: size(self.in_flight),
            catch_up: (size(self.in_flight) * size(self.catch_up_share) / 100).max(1),
            catch_up_rate: rate(self.catch_up_rate),
        }
    }

    /// How long requests in flight are waited for at a stop.
    pub fn stop_timeout(&self) -> Duration {
        self.drain_timeout.saturating_sub(CLOSING)
    }
}

/// Room for a few of the largest events.
const MIN_BUDGET: usize = 1024 * 1024;

fn rate(limit: u64) -> f64 {
    f64::from(u32::try_from(limit).unwrap_or(u32::MAX))
}

/// All limits are at most a million.
pub fn size(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use common::settings::parse_from;

    use super::*;

    fn parsed(flags: &[&str]) -> Config {
        let required = ["processor", "--secrets-keys=-"];
        Config::parse_from(required.iter().chain(flags))
    }

    #[test]
    fn the_defaults_fit_each_other() {
        parsed(&[]).check().unwrap();
    }

    #[test]
    fn no_secret_is_among_the_settings_that_are_told() {
        let flags = [
            "processor",
            "--secrets-keys=hunter2",
            "--database-url=postgres://me:hunter2@here/x",
            "--kafka-sasl-password=hunter2",
            "--egress-proxy=http://me:hunter2@here",
        ];
        let (_, settings) = parse_from::<Config>(flags);
        assert!(!format!("{settings:?}").contains("hunter2"));
        let secret = settings.iter().filter(|setting| setting.secret);
        assert_eq!(secret.count(), 4);
    }

    #[test]
    fn settings_that_do_not_fit_are_both_named() {
        for (flags, names) in [
            (
                ["--attempt-timeout=40s", "--lease=90s"],
                ["PROCESSOR_DRAIN_TIMEOUT", "ATTEMPT_TIMEOUT"],
            ),
            (
                ["--attempt-timeout=10s", "--lease=19s"],
                ["LEASE", "ATTEMPT_TIMEOUT"],
            ),
            (
                ["--memory-budget=1KiB", "--lease=60s"],
                ["MEMORY_BUDGET", "1024 bytes"],
            ),
            (
                ["--liveness-timeout=999ms", "--lease=60s"],
                ["LIVENESS_TIMEOUT", "1s"],
            ),
            (
                ["--statistics-hours-kept=1day", "--lease=60s"],
                ["STATISTICS_HOURS_KEPT", "STATISTICS_MINUTES_KEPT"],
            ),
        ] {
            let error = parsed(&flags).check().unwrap_err().to_string();
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
        }
    }
}
