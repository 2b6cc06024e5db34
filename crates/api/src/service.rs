//! The service: the listener, and the watches on Postgres and Kafka.

use anyhow::Context;
use common::lifecycle::join;
use common::probes::{self, Component, Readiness};
use common::secrets::Keyring;
use common::store::subscriptions;
use metrics_exporter_prometheus::PrometheusHandle;
use outbound::Egress;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{Auth, Config};
use crate::log::Log;
use crate::state::AppState;
use crate::tester::Tester;
use crate::{audit, health, observe, routes};

/// The API, listening.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    routes: axum::Router,
    db: PgPool,
    postgres: Component,
    log: Log,
    kafka: Component,
    audit_kept_days: i32,
}

impl Service {
    /// Listens, and lays the routes.
    ///
    /// # Errors
    /// That two settings do not go together, that the address cannot be bound,
    /// or TLS not be set up.
    pub async fn new(
        config: &Config,
        db: PgPool,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        config.check()?;
        if config.auth == Auth::Off {
            tracing::warn!("AUTH=off: everybody who reaches this may do everything");
        }
        observe::describe_metrics();
        let readiness = Readiness::default();
        let postgres = readiness.component("postgres");
        let kafka = readiness.optional("kafka");
        let log = Log::new(&config.kafka);
        let egress = Egress::new(&config.egress)?;
        let keyring = Keyring::new(&config.secrets.secrets_keys)?;
        subscriptions::seal_all(&db, &keyring)
            .await
            .context("sealing the secrets of subscriptions")?;
        let state = AppState {
            db: db.clone(),
            log: log.clone(),
            access: config.access(),
            tester: Tester::new(config.attempt_timeout, &egress, &config.sender_origin)
                .context("setting up TLS")?,
            egress,
            keyring,
        };
        let admin = probes::router(readiness, metrics);
        let listener = probes::bind(config.listen).await?;
        tracing::info!(address = %config.listen, "listening");
        Ok(Self {
            listener,
            routes: routes(state, admin, config.request_timeout).router,
            db,
            postgres,
            log,
            kafka,
            audit_kept_days: config.audit_kept_days,
        })
    }

    /// Serves until `stop`, and then until the requests under way are answered.
    ///
    /// # Errors
    /// That the listener or a watch failed.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(probes::serve(self.listener, self.routes, stop.clone()));
        let db = self.db.clone();
        tasks.spawn(audit::keep_days(db, self.audit_kept_days, stop.clone()));
        tasks.spawn(health::watch_postgres(self.db, self.postgres, stop.clone()));
        tasks.spawn(health::watch_kafka(self.log, self.kafka, stop.clone()));
        join(tasks, &stop).await
    }
}
