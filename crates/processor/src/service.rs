//! The service: a pipeline for each topic, what they share, and what looks after the tables. Joins
//! all to the last one.

use anyhow::Context;
use common::instance::Instance;
use common::kafka::KafkaArgs;
use common::lifecycle::join;
use common::probes::{self, Component, Liveness, Readiness};
use common::secrets::Keyring;
use common::store::subscriptions;
use metrics_exporter_prometheus::PrometheusHandle;
use outbound::{Egress, Sender};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use traces::Traces;
use uuid::Uuid;

use crate::budget::Budget;
use crate::config::{Config, size};
use crate::event::Kind;
use crate::operations::Publisher;
use crate::pipeline::{Pipeline, succeeding};
use crate::statistics::{self, Folder};
use crate::{maintenance, observe, open_files};

/// A processor that holds its admin port and consumes nothing yet.
pub struct Service {
    config: Config,
    instance: Instance,
    db: PgPool,
    admin: TcpListener,
    routes: axum::Router,
    kafka: Component,
    postgres: Component,
    liveness: Liveness,
    sender: Sender,
    keyring: Keyring,
    traces: Traces,
    /// This replica, as the tables name it.
    owner: String,
}

impl Service {
    /// Holds the settings against each other, and takes the admin port.
    ///
    /// # Errors
    /// What is wrong with the settings, or that the port is in use.
    pub async fn new(
        config: Config,
        instance: Instance,
        db: PgPool,
        metrics: PrometheusHandle,
        traces: Traces,
    ) -> anyhow::Result<Self> {
        config.check()?;
        observe::describe_metrics();
        let readiness = Readiness::default();
        let (kafka, postgres) = (
            readiness.component("kafka"),
            readiness.component("postgres"),
        );
        let liveness = Liveness::new(config.liveness_timeout);
        let egress = Egress::new(&config.egress)?;
        let keyring = Keyring::new(&config.secrets.secrets_keys)?;
        subscriptions::seal_all(&db, &keyring)
            .await
            .context("sealing the secrets of subscriptions")?;
        Ok(Self {
            admin: probes::bind(config.admin_listen).await?,
            routes: probes::router(readiness, liveness.clone(), metrics),
            sender: Sender::new(&egress).context("setting up TLS")?,
            keyring,
            traces,
            owner: format!("{}/{}", std::process::id(), Uuid::new_v4()),
            config,
            instance,
            db,
            kafka,
            postgres,
            liveness,
        })
    }

    /// Consumes and delivers until `stop`.
    ///
    /// # Errors
    /// The first of a part that failed.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let (slow, fast) = (self.config.slow_in_flight, self.config.in_flight);
        let slow = open_files::slow_requests(size(slow), size(fast));
        self.config.slow_in_flight = slow as u64;
        let mut tasks = JoinSet::new();
        let readings = self.readings();
        let operations = Pipeline {
            kind: Kind::Operations,
            kafka: self.operations_kafka(),
            group: format!("{}-operations", readings.group),
            ..readings.clone()
        };
        let publisher = Publisher {
            db: self.db.clone(),
            kafka: self.operations_kafka(),
            component: self.kafka.part("publisher"),
        };
        // Before the first row, which would have to move to its day.
        maintenance::keep_days_now(&self.db, self.config.attempt_retention).await;
        readings.spawn(&mut tasks, &stop).await?;
        operations.spawn(&mut tasks, &stop).await?;
        let kept = maintenance::Settings {
            attempt_retention: self.config.attempt_retention,
            disable_after: self.config.disable_after,
        };
        let folder = Folder {
            db: self.db.clone(),
            settings: statistics::Settings {
                kept: self.config.statistics,
                max_cities: size(self.config.statistics_cities),
            },
        };
        tasks.spawn(self.instance.run(self.db.clone(), stop.clone()));
        tasks.spawn(publisher.run(stop.clone()));
        tasks.spawn(succeeding(folder.run(stop.clone())));
        tasks.spawn(succeeding(maintenance::run(self.db, kept, stop.clone())));
        tasks.spawn(probes::serve(self.admin, self.routes, stop.clone()));
        join(tasks, &stop).await
    }

    fn readings(&self) -> Pipeline {
        Pipeline {
            config: self.config.clone(),
            kind: Kind::Readings,
            kafka: self.config.kafka.clone(),
            group: self.config.kafka_group.clone(),
            db: self.db.clone(),
            sender: self.sender.clone(),
            keyring: self.keyring.clone(),
            traces: self.traces.clone(),
            budget: Budget::new(self.config.memory_budget),
            owner: self.owner.clone(),
            kafka_component: self.kafka.clone(),
            postgres: self.postgres.clone(),
            liveness: self.liveness.clone(),
        }
    }

    fn operations_kafka(&self) -> KafkaArgs {
        KafkaArgs {
            kafka_topic: self.config.operations_topic.clone(),
            ..self.config.kafka.clone()
        }
    }
}
