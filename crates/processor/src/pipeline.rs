//! From one topic to its subscribers: the parts that deliver what a topic carries, connected.
//!
//! At a stop the consumer gives its partitions up and ends; then the engine does, for it hears of
//! no more; then the recorder, when all is written.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use common::kafka::KafkaArgs;
use common::probes::{Component, Liveness, Pulse};
use common::secrets::Keyring;
use outbound::Sender;
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use traces::Traces;

use crate::budget::Budget;
use crate::config::{Config, size};
use crate::consumer::{self, Consumer, FETCH_WAIT, Ownership};
use crate::engine::{self, Change, Engine, Inputs};
use crate::event::Kind;
use crate::follower::Follower;
use crate::pending::{self, Claimer};
use crate::prober::{self, Prober};
use crate::reader::{self, Reader};
use crate::recorder::{self, Recorder};
use crate::retention::{self, Guard};

/// Records between the consumer and the engine.
const RECORDS: usize = 1024;

/// What the engine may ask of the reader before that has looked.
const COMMANDS: usize = 256;

/// What else passes between tasks comes one at a time.
const FEW: usize = 16;

/// How long a fetch of operational events waits at the broker. They are few and in no hurry, and to ask for them
/// as often as for readings would double what an idle processor asks of the broker.
const OPERATIONS_FETCH_WAIT: Duration = Duration::from_millis(200);

/// What a pipeline is made of. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    pub config: Config,
    pub kind: Kind,
    /// Whose topic is this pipeline's.
    pub kafka: KafkaArgs,
    pub group: String,
    pub db: PgPool,
    pub sender: Sender,
    pub keyring: Keyring,
    pub traces: Traces,
    pub budget: Budget,
    /// This replica, as the tables name it.
    pub owner: String,
    pub kafka_component: Component,
    pub postgres: Component,
    pub liveness: Liveness,
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

impl Pipeline {
    /// Starts to consume and deliver, until `stop`.
    ///
    /// # Errors
    /// That Kafka's client refuses the settings, or the subscriptions cannot be read.
    pub async fn spawn(
        self,
        tasks: &mut JoinSet<anyhow::Result<()>>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (outside, inputs) = channels();
        let (positions, committed) = watch::channel(recorder::Positions::new());
        let (owned, partitions) = watch::channel(Vec::new());
        // One flush is written while the next one gathers: a kill repeats no more than these two.
        let (entries, outcomes) = mpsc::channel(size(self.config.flush_outcomes));
        let (commands, wanted) = mpsc::channel(COMMANDS);
        let recorder = self.recorder(outcomes, positions, outside.fenced);
        let (sender, budget) = (self.sender.clone(), self.budget.clone());
        let engine = Engine::new(self.engine(), sender, budget, (entries, commands), owned);
        let reader = self.reader(wanted, outside.read)?;
        let prober = self.prober(partitions.clone());
        let watched = retention::Links {
            db: self.db.clone(),
            owned: partitions.clone(),
            engine: outside.changes.clone(),
        };
        let guard = Guard::new(&self.kafka, watched)?;
        let claimer = self.claimer(partitions, outside.pending);
        let follower = self.follower(outside.changes).await?;
        let links = consumer::Links {
            records: outside.records,
            positions: committed,
            budget: self.budget.clone(),
            pulse: self.pulse("consumer"),
            stop: stop.clone(),
        };
        let consumer = self.consumer(links, outside.control)?;

        tasks.spawn(engine.run(inputs));
        tasks.spawn(succeeding(recorder.run()));
        tasks.spawn(succeeding(claimer.run(stop.clone())));
        tasks.spawn(succeeding(follower.run(stop.clone())));
        tasks.spawn(succeeding(prober.run(stop.clone())));
        tasks.spawn(succeeding(guard.run(stop.clone())));
        tasks.spawn_blocking(move || consumer.run());
        tasks.spawn_blocking(move || reader.run());
        Ok(())
    }

    /// A follower, that has told what is known before the first event comes.
    async fn follower(&self, engine: mpsc::Sender<Change>) -> anyhow::Result<Follower> {
        let mut follower = Follower {
            db: self.db.clone(),
            topic: self.kafka.kafka_topic.clone(),
            kind: self.kind,
            engine,
            attempt_timeout: self.config.attempt_timeout,
            keyring: self.keyring.clone(),
            known: HashMap::new(),
        };
        let known = follower.all().await?;
        let telling = follower.engine.send(known).await;
        telling.context("the engine is here")?;
        Ok(follower)
    }

    fn reader(
        &self,
        commands: mpsc::Receiver<reader::Command>,
        read: mpsc::Sender<reader::Read>,
    ) -> anyhow::Result<Reader> {
        let budget = self.budget.clone();
        let links = reader::Links {
            commands,
            read,
            budget,
        };
        Reader::new(&self.kafka, links)
    }

    fn recorder(
        &self,
        entries: mpsc::Receiver<recorder::Entry>,
        positions: watch::Sender<recorder::Positions>,
        fenced: mpsc::Sender<(i32, i64)>,
    ) -> Recorder {
        let settings = recorder::Settings {
            topic: self.kafka.kafka_topic.clone(),
            kind: self.kind,
            flush_interval: self.config.flush_interval,
            flush_outcomes: size(self.config.flush_outcomes),
            log: self.config.attempt_log,
            traces: self.traces.clone(),
            statistics: recorder::StatisticsSettings {
                interval: self.config.statistics_interval,
                max_cities: size(self.config.statistics_cities),
            },
        };
        let links = recorder::Links {
            entries,
            positions,
            fenced,
            postgres: self.postgres("recorder"),
            pulse: self.pulse("recorder"),
        };
        Recorder::new(self.db.clone(), settings, links)
    }

    fn prober(&self, owned: watch::Receiver<Vec<i32>>) -> Prober {
        let settings = prober::Settings {
            topic: self.kafka.kafka_topic.clone(),
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
            traces: self.traces.clone(),
            kind: self.kind,
            slow: size(self.config.slow_in_flight),
            topic: self.kafka.kafka_topic.clone(),
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
            topic: self.kafka.kafka_topic.clone(),
            poll: self.config.pending_poll,
            lease: self.config.lease,
        };
        Claimer {
            db: self.db.clone(),
            settings,
            owned,
            engine,
            postgres: self.postgres("claimer"),
        }
    }

    /// How Postgres is to one part of this pipeline; it has answered already.
    fn postgres(&self, part: &str) -> Component {
        let component = self.postgres.part(&format!("{} {part}", self.kind.label()));
        component.up();
        component
    }

    fn pulse(&self, part: &str) -> Pulse {
        self.liveness
            .pulse(format!("the {part} of {}", self.kind.label()))
    }

    fn consumer(
        &self,
        links: consumer::Links,
        engine: mpsc::Sender<engine::Control>,
    ) -> anyhow::Result<Consumer> {
        let ownership = Ownership::new(consumer::Parts {
            db: self.db.clone(),
            topic: self.kafka.kafka_topic.clone(),
            owner: self.owner.clone(),
            engine,
            revoke_timeout: self.config.revoke_timeout,
            kafka: self.kafka_component.part(self.kind.label()),
            postgres: self.postgres("consumer"),
            pulse: links.pulse.clone(),
            stop: links.stop.clone(),
        });
        let settings = consumer::Settings {
            kafka: self.kafka.clone(),
            group: self.group.clone(),
            thread_name: match self.kind {
                Kind::Readings => c"poll readings",
                Kind::Operations => c"poll operations",
            },
            session_timeout: self.config.session_timeout,
            fetch_wait: match self.kind {
                Kind::Readings => FETCH_WAIT,
                Kind::Operations => OPERATIONS_FETCH_WAIT,
            },
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

/// A task that does not fail.
///
/// # Errors
/// None.
pub async fn succeeding(task: impl Future<Output = ()>) -> anyhow::Result<()> {
    task.await;
    Ok(())
}
