//! The scene of one measurement: a stage, a sink, and replicas that have come to rest. Or several
//! stages, whose replicas share no more than the servers and the sink.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{Measured, Scale};
use crate::backlog;
use crate::behind::FIRST;
use crate::deliveries::case::address;
use crate::deliveries::costs::{Drained, Watched};
use crate::deliveries::drain::Drain;
use crate::deliveries::sink_process::SinkProcess;
use crate::program::Processor;
use crate::run::processor;
use crate::stage::{PARTITIONS, Stage};

/// How many subscriptions want each event of the backlog.
pub const WANTING: u32 = 10;

/// How long replicas may take until each owns partitions.
const START_LIMIT: Duration = Duration::from_mins(5);

/// Between two looks at whether they do.
const LOOK: Duration = Duration::from_millis(10);

/// How long they may take to come to rest, …
const REST_LIMIT: Duration = Duration::from_mins(2);
/// … which they have when within so long …
const SPELL: Duration = Duration::from_secs(1);
/// … each uses no more processor time than that.
const AT_REST: Duration = Duration::from_millis(100);

/// The partitions of which somebody has chosen where to begin, and who that is.
const OWNED: &str = "SELECT count(next_offset) FROM progress WHERE topic <> 'operations'";
const OWNERS: &str = "SELECT count(DISTINCT owner) FROM progress WHERE topic <> 'operations'";

/// One measurement's.
#[derive(Debug)]
pub struct Scene {
    /// The database and the topic.
    pub stage: Stage,
    /// Those of others, with replicas of their own.
    others: Vec<Stage>,
    /// Where all goes.
    pub sink: SinkProcess,
    /// The replicas.
    pub processors: Vec<Processor>,
    watched: (String, String),
}

/// What getting through a backlog takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backlog {
    /// How fast it was, and what that took.
    #[serde(flatten)]
    pub drained: Drained,
    /// Arrivals that were not the first of their delivery.
    pub duplicates: usize,
}

impl Scene {
    /// One without a replica, and without a subscription.
    ///
    /// # Errors
    /// That a server refuses, or the sink cannot be started.
    pub async fn new(scale: &Scale) -> anyhow::Result<Self> {
        Ok(Self {
            stage: Stage::new(&scale.server, &scale.brokers).await?,
            others: Vec::new(),
            sink: SinkProcess::start(false).await?,
            processors: Vec::new(),
            watched: (scale.server.clone(), scale.brokers.clone()),
        })
    }

    /// One with so many stages.
    ///
    /// # Errors
    /// That a server refuses, or the sink cannot be started.
    pub async fn apart(scale: &Scale, stages: u32) -> anyhow::Result<Self> {
        let mut scene = Self::new(scale).await?;
        for _ in 1..stages {
            let stage = Stage::new(&scale.server, &scale.brokers).await?;
            scene.others.push(stage);
        }
        Ok(scene)
    }

    fn stages(&self) -> impl Iterator<Item = &Stage> {
        std::iter::once(&self.stage).chain(&self.others)
    }

    /// The endpoints from that number on, all at one address.
    pub fn urls(&self, numbers: std::ops::Range<u32>) -> Vec<String> {
        let port = self.sink.listening.port;
        let url = |n| format!("http://127.0.0.1:{port}/{n}");
        numbers.map(url).collect()
    }

    /// Adds so many subscriptions, each to a city of its own of which no event is.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn add_idle(&self, count: u32) -> anyhow::Result<()> {
        let urls = self.urls(WANTING..WANTING + count);
        self.stage.subscribe(&urls).await
    }

    /// Adds the subscriptions that want each event of a stage's backlog, each at an address of its
    /// own.
    ///
    /// # Errors
    /// That Postgres refuses.
    pub async fn add_wanting(&self) -> anyhow::Result<()> {
        let (port, cities) = (self.sink.listening.port, backlog::cities());
        for (at, stage) in (0..).zip(self.stages()) {
            for n in 0..WANTING {
                let [a, b, c, d] = address(usize::try_from(n)?);
                // By which the sink tells subscriptions apart.
                let number = at * WANTING + n;
                let url = format!("http://{a}.{b}.{c}.{d}:{port}/{number}");
                stage.subscribe_to(&url, &cities).await?;
            }
        }
        Ok(())
    }

    /// Starts so many replicas on each stage: how long they took until each owned partitions, and knew all
    /// subscriptions therefore.
    ///
    /// # Errors
    /// That one of them ends, or that it takes too long.
    pub async fn start(
        &mut self,
        scale: &Scale,
        name: &str,
        replicas: u32,
    ) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let mut started = Vec::new();
        for (at, stage) in self.stages().enumerate() {
            for n in 1..=replicas {
                let name = format!("{name}-{at}-{n}");
                started.push(processor(None, (&scale.directory, &name), stage, &[])?);
            }
        }
        self.processors.extend(started);
        while !self.are_owned(replicas).await? {
            self.check()?;
            ensure!(
                began.elapsed() < START_LIMIT,
                "{replicas} replicas do not own all partitions after {START_LIMIT:?}"
            );
            sleep(LOOK).await;
        }
        Ok(began.elapsed())
    }

    async fn are_owned(&self, replicas: u32) -> anyhow::Result<bool> {
        for stage in self.stages() {
            if stage.count(OWNED).await? < PARTITIONS.into()
                || stage.count(OWNERS).await? < replicas.into()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until the replicas have nothing to do.
    ///
    /// # Errors
    /// That one of them ends, or that it takes too long.
    pub async fn until_at_rest(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + REST_LIMIT;
        let at_rest = AT_REST * u32::try_from(self.processors.len())?;
        loop {
            let before = self.cpu_time()?;
            sleep(SPELL).await;
            self.check()?;
            if self.cpu_time()?.saturating_sub(before) <= at_rest {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the processor does not come to rest within {REST_LIMIT:?}"
            );
        }
    }

    /// Publishes so many events, on each stage its part, and has the replicas get through them.
    ///
    /// # Errors
    /// That a program ends, or the broker refuses.
    pub async fn drain(&mut self, events: u64) -> anyhow::Result<Measured<Backlog>> {
        let (server, brokers) = (&*self.watched.0, &*self.watched.1);
        let stages = self.stages().count();
        let events = events / u64::try_from(stages)?;
        let drain = Drain {
            events: FIRST..FIRST + events,
            fan_out: usize::try_from(WANTING)? * stages,
            watched: Watched::find(&self.processors, &self.sink, (server, brokers))?,
        };
        for stage in self.stages() {
            backlog::publish(&stage.kafka, events).await?;
        }
        let drained = drain.run(&mut self.sink, &mut self.processors).await?;
        Ok(match drained {
            Err(missing) => Measured::Missing(missing),
            Ok((drained, duplicates)) => Measured::Figures(Backlog {
                drained,
                duplicates,
            }),
        })
    }

    /// How much processor time all replicas have had.
    ///
    /// # Errors
    /// That one of them is gone.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        self.processors.iter().map(Processor::cpu_time).sum()
    }

    /// Fails when a replica has ended.
    ///
    /// # Errors
    /// That it has.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.processors.iter_mut().try_for_each(Processor::check)
    }

    /// Ends the replicas.
    ///
    /// # Errors
    /// That one cannot be waited for.
    pub async fn end(self) -> anyhow::Result<()> {
        for processor in self.processors {
            processor.kill().await?;
        }
        Ok(())
    }
}
