//! The settings of the receiver: flags, each also an environment variable.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::Context;
use clap::builder::BoolishValueParser;
use common::human;
use common::telemetry::TelemetryArgs;
use secrecy::{ExposeSecret, SecretString};
use signature::{Verifier, VerifyingKey};

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
    /// Answer 401 unless one of these keys verifies the signature: `whsec_…` or `whpk_…`, separated
    /// by commas.
    #[arg(long, env = "WEBHOOK_SECRET", hide_env_values = true, value_parser = token)]
    pub secret: Option<SecretString>,
    /// How old, and how far in the future, the time of a signature may be.
    #[arg(long, env = "WEBHOOK_TOLERANCE", default_value = "5m", value_parser = human::duration)]
    pub tolerance: Duration,
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

impl Config {
    /// What verifies signatures, if they are to be verified. The keys are read here, and not with
    /// the other settings, for those are shown when they are wrong.
    ///
    /// # Errors
    /// Which of the keys is none, by its number, and why.
    pub fn verifier(&self) -> anyhow::Result<Option<Verifier>> {
        let Some(secret) = &self.secret else {
            return Ok(None);
        };
        let keys = secret.expose_secret().split(',').zip(1..);
        let keys = keys.map(|(text, number)| {
            let key: Result<VerifyingKey, _> = text.trim().parse();
            key.with_context(|| format!("reading key {number} of WEBHOOK_SECRET"))
        });
        let keys: Vec<_> = keys.collect::<anyhow::Result<_>>()?;
        Ok(Some(Verifier::new(keys, self.tolerance)))
    }
}

fn token(text: &str) -> Result<SecretString, String> {
    if text.is_empty() {
        return Err("it must have at least one character".into());
    }
    Ok(text.into())
}
