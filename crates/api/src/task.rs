//! What a process of `api` does: serve, or one of the commands.

use common::secrets::Keyring;
use common::store::subscriptions;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::config::{Command, Config};
use crate::service::Service;

/// What this process does.
#[derive(Debug)]
pub enum Task {
    /// It serves the API.
    Serve(Box<Service>),
    /// It seals all secrets anew.
    RotateSecrets(PgPool, Keyring),
}

impl Task {
    /// What the settings ask for.
    ///
    /// # Errors
    /// What is wrong with the settings, or that it cannot be begun.
    pub async fn new(
        config: &Config,
        db: PgPool,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        Ok(match config.command {
            None => Self::Serve(Service::new(config, db, metrics).await?.into()),
            Some(Command::RotateSecrets) => {
                Self::RotateSecrets(db, Keyring::new(&config.secrets.secrets_keys)?)
            }
        })
    }

    /// Does it, until it is done or stopped.
    ///
    /// # Errors
    /// What failed.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        match self {
            Self::Serve(service) => service.run(stop).await,
            Self::RotateSecrets(db, keyring) => {
                let rotating = rotate_secrets(&db, &keyring);
                stop.run_until_cancelled(rotating).await.unwrap_or(Ok(()))
            }
        }
    }
}

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
