//! The settings of the receiver: flags, each also an environment variable.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use common::human;
use common::telemetry::TelemetryArgs;
use secrecy::SecretString;

use crate::faults::Faults;

/// Receives deliveries and shows what it got.
///
/// `GET /received` tells what was counted and `DELETE /received` starts anew; a POST to any path
/// is a delivery.
#[derive(Clone, Debug, clap::Parser)]
#[command(version)]
pub struct Config {
    /// Where to listen. Only this machine by default: the receiver takes what anybody sends it.
    #[arg(long, env = "WEBHOOK_LISTEN", default_value = "127.0.0.1:9099")]
    pub listen: SocketAddr,
    /// Answer 401 unless `Authorization: Bearer` carries this.
    #[arg(long, env = "WEBHOOK_TOKEN", hide_env_values = true, value_parser = token)]
    pub token: Option<SecretString>,
    /// Do not print a line for each delivery and each refusal.
    #[arg(long, env = "WEBHOOK_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// How many webhook-ids are remembered to tell duplicates, about 50 bytes each.
    #[arg(long, env = "WEBHOOK_REMEMBER", default_value = "1000000")]
    pub remember: NonZeroUsize,
    /// How long open requests may take after a signal to stop.
    #[arg(long, env = "WEBHOOK_DRAIN_TIMEOUT", default_value = "5s", value_parser = human::duration)]
    pub drain_timeout: Duration,
    /// How it misbehaves.
    #[command(flatten)]
    pub faults: Faults,
    /// How it logs.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

fn token(text: &str) -> Result<SecretString, String> {
    if text.is_empty() {
        return Err("a token has at least one character".into());
    }
    Ok(text.into())
}
