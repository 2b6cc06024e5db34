//! What the binary does: it serves, or does one thing for its operator and ends.

use anyhow::Context;
use clap::{Args, Subcommand};
use common::instance::Instance;
use common::lifecycle::run_until_signal;
use common::secrets::Keyring;
use common::store::subscriptions;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::access::{Caller, Role};
use crate::api_keys::{self, NewApiKey};
use crate::config::Config;
use crate::service::Service;

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serves; so it does without a command.
    Serve,
    /// Makes a key and prints it; nothing shows it again.
    CreateKey(CreateKey),
    /// Seals all secrets anew under the first of `SECRETS_KEYS`, so that the others can go.
    RotateSecrets,
}

/// What the key is for.
#[derive(Args, Clone, Debug)]
pub struct CreateKey {
    /// What it is called
    #[arg(long)]
    name: String,
    /// What it may reach
    #[arg(long, value_enum, default_value = "admin")]
    role: Role,
    /// Whose subscriptions a subscriber's key is for
    #[arg(long)]
    owner: Option<String>,
}

/// Does what the command says, or serves until a signal.
///
/// # Errors
/// What went wrong.
pub async fn run(
    config: &Config,
    instance: Instance,
    db: PgPool,
    metrics: PrometheusHandle,
) -> anyhow::Result<()> {
    match &config.command {
        None | Some(Command::Serve) => {
            let service = Service::new(config, instance, db, metrics).await?;
            run_until_signal(config.drain_timeout, |stop| service.run(stop)).await
        }
        Some(Command::CreateKey(wanted)) => create_key(&db, wanted).await,
        Some(Command::RotateSecrets) => {
            let keyring = Keyring::new(&config.secrets.secrets_keys)?;
            rotate_secrets(&db, &keyring).await
        }
    }
}

/// May be ended and run again at any time.
async fn rotate_secrets(db: &PgPool, keyring: &Keyring) -> anyhow::Result<()> {
    let sealed = subscriptions::seal_all(db, keyring).await?;
    let resealed = subscriptions::reseal_all(db, keyring).await?;
    let key = keyring.current();
    tracing::info!(
        sealed,
        resealed,
        key,
        "all secrets are sealed under the key"
    );
    Ok(())
}

async fn create_key(db: &PgPool, wanted: &CreateKey) -> anyhow::Result<()> {
    let new = NewApiKey::of(&wanted.name, wanted.role, wanted.owner.as_deref())
        .map_err(anyhow::Error::msg)?;
    let (_, key) = api_keys::make(db, &Caller::admin("command"), new)
        .await
        .context("making the key")?;
    println!("{}", key.expose_secret());
    Ok(())
}
