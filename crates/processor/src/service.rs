//! The service: makes the parts, connects them, and joins them to the last one.
//!
//! At a stop the consumer gives its partitions up and ends; then the engine does, for it hears of
//! no more; then the recorder, when all is written.

use anyhow::Context;
use common::lifecycle::join;
use common::probes::{self, Component, Readiness};
use metrics_exporter_prometheus::PrometheusHandle;
use outbound::Sender;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::budget::Budget;
use crate::config::{Config, size};
use crate::consumer::{self, Consumer, Ownership};
use crate::engine::{self, Change, Engine, Inputs};
use crate::follower::Follower;
use crate::pending::{self, Claimer};
use crate::prober::{self, Prober};
use crate::reader::{self, Reader};
use crate::recorder::{self, Recorder};
use crate::{maintenance, observe};

/// Records between the consumer and the engine.
const RECORDS: usize = 1024;

/// What the engine may ask of the reader before that has looked.
const COMMANDS: usize = 256;

/// What else passes between tasks comes one at a time.
const FEW: usize = 16;

/// A processor that holds its admin port and consumes nothing yet.
pub struct Service {
    config: Config,
    db: PgPool,
    admin: TcpListener,
    routes: axum::Router,
    kafka: Component,
    postgres: Component,
    sender: Sender,
    /// This replica, as the tables name it.
    owner: String,
}

/// The sending ends of the engine's channels.
struct Outside {
    control: mpsc::Sender<engine::Control>,
    records: mpsc::Sender<crate::event::Record>,
    changes: mpsc::Sender<Change>,
    pending: mpsc::Sender<engine::Pending>,
    fenced: mpsc::Sender<(i32, i64)>,
    read: mpsc::Sender<reader::Read>,
}

impl Service {
    /// Holds the settings against each other, and takes the admin port.
    ///
    /// # Errors
    /// What is wrong with the settings, or that the port is in use.
    pub async fn new(
        config: Config,
        db: PgPool,
        metrics: PrometheusHandle,
    ) -> anyhow::Result<Self> {
        config.check()?;
        observe::describe_metrics();
        let readiness = Readiness::default();
        let (kafka, postgres) = (
            readiness.component("kafka"),
            readiness.component("postgres"),
        );
        postgres.up();
        Ok(Self {
            admin: probes::bind(config.admin_listen).await?,
            routes: probes::router(readiness, metrics),
            sender: Sender::new().context("setting up TLS")?,
            owner: format!("{}/{}", std::process::id(), Uuid::new_v4()),
            config,
            db,
            kafka,
            postgres,
        })
    }

    /// Consumes and delivers until `stop`.
    ///
    /// # Errors
    /// The first of a part that failed.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let budget = Budget::new(self.config.memory_budget);
        let (outside, inputs) = channels();
        let (positions, committed) = watch::channel(recorder::Positions::new());
        let (owned, partitions) = watch::channel(Vec::new());
        // One flush is written while the next one gathers: a kill repeats no more than these two.
        let (entries, outcomes) = mpsc::channel(size(self.config.flush_outcomes));
        let (commands, wanted) = mpsc::channel(COMMANDS);
        let recorder = self.recorder(outcomes, positions, outside.fenced);
        let engine = Engine::new(
            self.engine(),
            self.sender.clone(),
            budget.clone(),
            (entries, commands),
            owned,
        );
        let reader = Reader::new(
            &self.config.kafka,
            reader::Links {
                commands: wanted,
                read: outside.read,
                budget: budget.clone(),
            },
        )?;
        let prober = self.prober(partitions.clone());
        let claimer = self.claimer(partitions, outside.pending);
        let follower = Follower {
            db: self.db.clone(),
            topic: self.config.kafka.kafka_topic.clone(),
            engine: outside.changes,
            attempt_timeout: self.config.attempt_timeout,
        };
        // What is known before the first event comes.
        let known = follower.all().await?;
        follower
            .engine
            .send(known)
            .await
            .context("the engine is here")?;
        let links = consumer::Links {
            records: outside.records,
            positions: committed,
            budget,
            kafka: self.kafka.clone(),
            stop: stop.clone(),
        };
        let consumer = self.consumer(links, outside.control)?;

        let mut tasks = JoinSet::new();
        tasks.spawn(engine.run(inputs));
        tasks.spawn(succeeding(recorder.run()));
        tasks.spawn(succeeding(claimer.run(stop.clone())));
        tasks.spawn(succeeding(follower.run(stop.clone())));
        let kept = self.config.attempts_kept_days;
        tasks.spawn(succeeding(maintenance::run(self.db, kept, stop.clone())));
        tasks.spawn(probes::serve(self.admin, self.routes, stop.clone()));
        tasks.spawn(succeeding(prober.run(stop.clone())));
        tasks.spawn_blocking(move || consumer.run());
        tasks.spawn_blocking(move || reader.run());
        join(tasks, &stop).await
    }

    fn recorder(
        &self,
        entries: mpsc::Receiver<recorder::Entry>,
        positions: watch::Sender<recorder::Positions>,
        fenced: mpsc::Sender<(i32, i64)>,
    ) -> Recorder {
        let settings = recorder::Settings {
            topic: self.config.kafka.kafka_topic.clone(),
            flush_interval: self.config.flush_interval,
            flush_outcomes: size(self.config.flush_outcomes),
        };
        let links = recorder::Links {
            entries,
            positions,
            fenced,
            postgres: self.postgres.clone(),
        };
        Recorder::new(self.db.clone(), settings, links)
    }

    fn prober(&self, owned: watch::Receiver<Vec<i32>>) -> Prober {
        let settings = prober::Settings {
            topic: self.config.kafka.kafka_topic.clone(),
            owner: self.owner.clone(),
        };
        Prober {
            db: self.db.clone(),
            settings,
            owned,
        }
    }

    fn engine(&self) -> engine::Settings {
        engine::Settings {
            owner: self.owner.clone(),
            slow: size(self.config.slow_in_flight),
            topic: self.config.kafka.kafka_topic.clone(),
            schedule: self.config.retry_schedule.clone(),
            patience: self.config.lane_patience,
            limits: self.config.limits(),
        }
    }

    fn claimer(
        &self,
        owned: watch::Receiver<Vec<i32>>,
        engine: mpsc::Sender<engine::Pending>,
    ) -> Claimer {
        let settings = pending::Settings {
            topic: self.config.kafka.kafka_topic.clone(),
            poll: self.config.pending_poll,
            lease: self.config.lease,
        };
        Claimer {
            db: self.db.clone(),
            settings,
            owned,
            engine,
            postgres: self.postgres.clone(),
        }
    }

    fn consumer(
        &self,
        links: consumer::Links,
        engine: mpsc::Sender<engine::Control>,
    ) -> anyhow::Result<Consumer> {
        let ownership = Ownership::new(consumer::Parts {
            db: self.db.clone(),
            topic: self.config.kafka.kafka_topic.clone(),
            owner: self.owner.clone(),
            engine,
            revoke_timeout: self.config.revoke_timeout,
            kafka: self.kafka.clone(),
            stop: links.stop.clone(),
        });
        let settings = consumer::Settings {
            kafka: self.config.kafka.clone(),
            group: self.config.kafka_group.clone(),
            session_timeout: self.config.session_timeout,
            stop_timeout: self.config.stop_timeout(),
        };
        Consumer::new(settings, links, ownership)
    }
}

fn channels() -> (Outside, Inputs) {
    let (control, controls) = mpsc::channel(FEW);
    let (records, fetched) = mpsc::channel(RECORDS);
    let (changes, of_subscriptions) = mpsc::channel(FEW);
    let (pending, claimed) = mpsc::channel(FEW);
    let (fenced, refused) = mpsc::channel(FEW);
    let (read, read_again) = mpsc::channel(RECORDS);
    let outside = Outside {
        control,
        records,
        changes,
        pending,
        fenced,
        read,
    };
    let inputs = Inputs {
        control: controls,
        records: fetched,
        changes: of_subscriptions,
        pending: claimed,
        fenced: refused,
        read: read_again,
    };
    (outside, inputs)
}

async fn succeeding(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}
