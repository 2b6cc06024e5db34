//! The flags and environment of `api`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use common::human;
use common::kafka::KafkaArgs;
use common::secrets::SecretsArgs;
use common::store::StoreArgs;
use common::telemetry::TelemetryArgs;
use outbound::EgressArgs;

/// Serves the API.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Config {
    /// What to do; serve the API unless something is named.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Where to listen, for the API and the probes alike.
    #[arg(long, env = "API_LISTEN", default_value = "127.0.0.1:9090")]
    pub listen: SocketAddr,
    /// How long a request may take before it is answered with 503.
    #[arg(long, env = "API_REQUEST_TIMEOUT", default_value = "35s", value_parser = human::duration)]
    pub request_timeout: Duration,
    /// How long a test delivery may take to a subscription that does not say; as for the processor.
    #[arg(long, env = "ATTEMPT_TIMEOUT", default_value = "10s", value_parser = human::duration)]
    pub attempt_timeout: Duration,
    /// How long requests may go on after a signal to stop.
    #[arg(long, env = "API_DRAIN_TIMEOUT", default_value = "15s", value_parser = human::duration)]
    pub drain_timeout: Duration,
    /// How many connections to Postgres are open at most.
    #[arg(long, env = "API_CONNECTIONS", default_value_t = 10)]
    pub connections: u32,
    /// Where Postgres is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// Where Kafka is, which replays and previews look things up in.
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Where subscriptions may point, and test deliveries go; as for the processor.
    #[command(flatten)]
    pub egress: EgressArgs,
    /// What seals and opens the secrets of subscriptions; as for the processor.
    #[command(flatten)]
    pub secrets: SecretsArgs,
    /// How logs are written.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// What can be done instead of serving.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Command {
    /// Seal all secrets anew under the first of `SECRETS_KEYS`, so that the others can be taken out.
    RotateSecrets,
}

impl Config {
    /// Checks what no field can check by itself.
    ///
    /// # Errors
    /// Which two settings do not go together.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.request_timeout > self.attempt_timeout,
            "API_REQUEST_TIMEOUT ({:?}) must be longer than ATTEMPT_TIMEOUT ({:?}), or no test \
             delivery is seen to time out",
            self.request_timeout,
            self.attempt_timeout,
        );
        Ok(())
    }
}
