//! The service: the listener, and the watches on Postgres and Kafka.

use anyhow::Context;
use common::instance::Instance;
use common::lifecycle::join;
use common::probes::{self, Component, Liveness, Readiness};
use common::secrets::Keyring;
use common::store::subscriptions;
use metrics_exporter_prometheus::PrometheusHandle;
use outbound::Egress;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Oidc;
use crate::config::{Auth, Config};
use crate::door::limits;
use crate::live::Live;
use crate::log::Log;
use crate::server::{self, Server, tls};
use crate::state::AppState;
use crate::tester::Tester;
use crate::{audit, health, observe, routes};

/// The API, listening.
#[derive(Debug)]
pub struct Service {
    instance: Instance,
    server: Server,
    watch: Option<tls::Watch>,
    oidc: Option<Oidc>,
    db: PgPool,
    postgres: Component,
    log: Log,
    kafka: Component,
    audit_kept_days: i32,
    live: Live,
}

impl Service {
    /// Listens, and lays the routes.
    ///
    /// # Errors
    /// That two settings do not go together, that the address cannot be bound,
    /// or TLS not be set up.
    pub async fn new(
        config: &Config,
        instance: Instance,
        db: PgPool,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        config.check()?;
        warn(config);
        observe::describe_metrics();
        limits::describe_metrics();
        server::describe_metrics();
        let readiness = Readiness::default();
        let postgres = readiness.component("postgres");
        let kafka = readiness.optional("kafka");
        let log = Log::new(&config.kafka);
        let egress = Egress::new(&config.egress)?;
        let keyring = Keyring::new(&config.secrets.secrets_keys)?;
        subscriptions::seal_all(&db, &keyring)
            .await
            .context("sealing the secrets of subscriptions")?;
        let oidc = Oidc::new(&config.oidc, egress.tls().context("setting up TLS")?)?;
        let live = Live::new(db.clone(), config.live());
        let state = AppState {
            db: db.clone(),
            log: log.clone(),
            access: config.access().and_tokens_of(oidc.clone()),
            tester: Tester::new(config.attempt_timeout, &egress, &config.sender_origin)
                .context("setting up TLS")?,
            egress,
            keyring: keyring.clone(),
            attempt_log: config.attempt_log,
            live: live.clone(),
            sessions: config.sessions(),
            statistics: config.settings_of_statistics(),
        };
        let admin = probes::router(readiness, Liveness::default(), metrics);
        let (tls, watch) = tls::load(&config.server).await?.unzip();
        let routes = routes(state, admin, &config.door).router;
        let routes = console::in_front_of(routes, &keyring, config.console());
        let listener = probes::bind(config.listen).await?;
        tracing::info!(address = %config.listen, tls = tls.is_some(), "listening");
        Ok(Self {
            instance,
            server: Server::new(listener, routes, &config.server, tls),
            watch,
            oidc,
            db,
            postgres,
            log,
            kafka,
            audit_kept_days: config.audit_kept_days,
            live,
        })
    }

    /// Serves until `stop`, and then until the requests under way are answered.
    ///
    /// # Errors
    /// That the listener or a watch failed.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.server.run(stop.clone()));
        if let Some(watch) = self.watch {
            tasks.spawn(watch.run(stop.clone()));
        }
        if let Some(oidc) = self.oidc {
            tasks.spawn(oidc.keep_fresh(stop.clone()));
        }
        tasks.spawn(self.instance.run(self.db.clone(), stop.clone()));
        let db = self.db.clone();
        tasks.spawn(audit::keep_days(db, self.audit_kept_days, stop.clone()));
        tasks.spawn(health::watch_postgres(self.db, self.postgres, stop.clone()));
        tasks.spawn(self.live.run(stop.clone()));
        tasks.spawn(health::watch_kafka(self.log, self.kafka, stop.clone()));
        join(tasks, &stop).await
    }
}

/// Says what is right for development only.
fn warn(config: &Config) {
    if config.auth == Auth::Off {
        tracing::warn!("AUTH=off: everybody who reaches this may do everything");
    }
    let is_plain = config.server.tls_cert.is_none() && config.door.trusted_proxies.is_empty();
    if is_plain && !config.listen.ip().is_loopback() {
        tracing::warn!(
            "keys come in plain text: set TLS_CERT and TLS_KEY, or TRUSTED_PROXIES where a proxy does TLS"
        );
    }
}
