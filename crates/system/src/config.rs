//! The settings of the system: flags, each also an environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::BoolishValueParser;
use clap::value_parser;
use common::human;
use common::kafka::KafkaArgs;
use common::telemetry::TelemetryArgs;

/// Added to the drain for closing the producer and saying what became of the events.
const CLOSING: Duration = Duration::from_secs(5);

/// Publishes temperature events to Kafka: simulated ones, or a recording.
///
/// An event counts as published when the broker has acknowledged it. The exit code is not 0 if one
/// was not.
#[derive(Clone, Debug, clap::Parser)]
#[command(version)]
pub struct Config {
    /// Events a second, from 1 to 100,000.
    #[arg(long, env = "SYSTEM_RATE", default_value = "10", value_parser = value_parser!(u32).range(1..=100_000))]
    pub rate: u32,
    /// End after so many events.
    #[arg(long, env = "SYSTEM_COUNT", value_parser = value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Publish the readings of this CSV file (timestamp,city,reading,unit), with the times in it.
    /// All of it is checked before the first is published.
    #[arg(long, env = "SYSTEM_REPLAY", value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Begin the file again at its end: with the same times, and with ids of their own.
    #[arg(long = "loop", env = "SYSTEM_LOOP", value_parser = BoolishValueParser::new())]
    pub again: bool,
    /// Repeats the weather of the simulation; random unless given.
    #[arg(long, env = "SYSTEM_SEED", conflicts_with = "replay")]
    pub seed: Option<u64>,
    /// When the simulated time begins (RFC 3339); now unless given. It then goes on as events are
    /// published, at a pace of its own.
    #[arg(
        long,
        env = "SYSTEM_START",
        value_name = "TIME",
        conflicts_with = "replay"
    )]
    pub start: Option<DateTime<Utc>>,
    /// How many partitions the topic gets if it has to be created.
    #[arg(long, env = "SYSTEM_PARTITIONS", default_value = "12", value_parser = value_parser!(i32).range(1..=10_000))]
    pub partitions: i32,
    /// Where the probes and metrics are served.
    #[arg(long, env = "SYSTEM_ADMIN_LISTEN", default_value = "127.0.0.1:9095")]
    pub admin_listen: SocketAddr,
    /// How long to wait, after a signal to stop, for the broker to acknowledge what it was given.
    #[arg(long, env = "SYSTEM_DRAIN_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub drain_timeout: Duration,
    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// How it logs.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

impl Config {
    /// How long it may take to stop.
    pub fn stop_timeout(&self) -> Duration {
        self.drain_timeout.saturating_add(CLOSING)
    }
}
