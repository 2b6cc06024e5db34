//! What grows, and what must not grow with it: subscriptions that wait, those that an event is not
//! for, those that it is for, and replicas.
//!
//! Each part runs the real processor on stages of its own. Events are published when it has come to
//! rest, far faster than they are delivered, so that neither its start nor the producer is in what is
//! measured. Where a delivery is missing there is no other figure.

mod cells;
pub mod fan_out;
pub mod loading;
pub mod matching;
pub mod replicas;
pub mod report;
pub mod scene;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use serde::Serialize;

use self::report::Report;

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// How long subscriptions take to load, and what idle ones hold.
    Loading,
    /// What an event costs among those that do not want it.
    Matching,
    /// One event that all want.
    FanOut,
    /// Several replicas.
    Replicas,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Loading, Self::Matching, Self::FanOut, Self::Replicas];
}

/// How much there is of everything.
#[derive(Clone, Debug, Args)]
pub struct Sizes {
    /// How many subscriptions there are at most; a tenth of them and none are measured too.
    #[arg(long, default_value_t = 100_000, value_parser = value_parser!(u32).range(1000..=1_000_000))]
    pub subscriptions: u32,
    /// For how long they are idle before it is looked what they hold, in seconds.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=600))]
    pub idle_seconds: u64,
    /// How many events are matched; ten subscriptions want each.
    #[arg(long, default_value_t = 20_000, value_parser = value_parser!(u64).range(1000..=1_000_000))]
    pub events: u64,
    /// How many subscriptions want the one event.
    #[arg(long, default_value_t = 100_000, value_parser = value_parser!(u32).range(1000..=1_000_000))]
    pub fan_out: u32,
    /// How many replicas there are, in turn; each line is held against the last of the fewest before it.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4], value_parser = value_parser!(u32).range(1..=12))]
    pub replicas: Vec<u32>,
    /// How many events the replicas share; ten subscriptions want each.
    #[arg(long, default_value_t = 30_000, value_parser = value_parser!(u64).range(1000..=1_000_000))]
    pub backlog: u64,
}

impl Sizes {
    /// How many idle subscriptions there are, in turn.
    pub fn idle(&self) -> [u32; 3] {
        [0, self.subscriptions / 10, self.subscriptions]
    }

    /// See [`Sizes::idle_seconds`].
    pub fn idle_for(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }
}

/// What all parts of a run have in common.
#[derive(Clone, Debug)]
pub struct Scale {
    /// Postgres, with a database to connect to.
    pub server: String,
    /// Kafka.
    pub brokers: String,
    /// How much there is of everything.
    pub sizes: Sizes,
    /// Where logs go.
    pub directory: PathBuf,
}

impl Scale {
    /// Runs a part, and adds its figures.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn part(&self, part: Part, report: &mut Report) -> anyhow::Result<()> {
        match part {
            Part::Loading => report.loading = self.loading().await?,
            Part::Matching => report.matching = self.matching().await?,
            Part::FanOut => report.fan_out = Some(self.fan_out().await?),
            Part::Replicas => report.replicas = self.replicas().await?,
        }
        Ok(())
    }
}

/// What came of something: figures, or how many deliveries never came.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured<T> {
    /// So many; nothing else is worth a figure then.
    Missing(usize),
    /// All came.
    Figures(T),
}

impl<T> Measured<T> {
    /// The figures, if all came.
    pub fn figures(&self) -> Option<&T> {
        match self {
            Self::Missing(_) => None,
            Self::Figures(figures) => Some(figures),
        }
    }

    /// How many never came.
    pub fn missing(&self) -> usize {
        match self {
            Self::Missing(missing) => *missing,
            Self::Figures(_) => 0,
        }
    }
}
