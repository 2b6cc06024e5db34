//! What the processes take while a topic is drained, as `/proc` tells.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::sink_process::SinkProcess;
use crate::processes;
use crate::program::Processor;

/// Something of each process; of servers that cannot be seen nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Costs<T> {
    /// The processor, or all of them.
    pub processor: T,
    /// The sink.
    pub sink: T,
    /// All of Postgres.
    pub postgres: Option<T>,
    /// The broker.
    pub kafka: Option<T>,
}

/// What getting through a full topic takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drained {
    /// Deliveries a second.
    pub per_second: f64,
    /// Processor time for a delivery, in microseconds.
    pub cpu_micros: Costs<f64>,
    /// How much of the machine's processor time all others had meanwhile, in percent; nothing where a
    /// server cannot be seen.
    pub others_percent: Option<f64>,
    /// How much of it was in use by all.
    pub busy_percent: f64,
}

/// The processes that a delivery costs time, by their ids, as far as they can be seen.
#[derive(Clone, Debug)]
pub struct Watched {
    processors: Vec<u32>,
    sink: u32,
    postgres: Option<u32>,
    kafka: Option<u32>,
}

impl Watched {
    /// Finds the servers by their ports.
    ///
    /// # Errors
    /// That a processor or the sink is gone.
    pub fn find(
        processors: &[Processor],
        sink: &SinkProcess,
        (database_url, brokers): (&str, &str),
    ) -> anyhow::Result<Self> {
        let at = |url: &str, default| -> Option<u32> {
            let port = Url::parse(url).ok()?.port().unwrap_or(default);
            processes::listening_at(port)
        };
        let broker = brokers.split(',').next().unwrap_or_default();
        Ok(Self {
            processors: processors
                .iter()
                .map(Processor::pid)
                .collect::<Result<_, _>>()?,
            sink: sink.pid()?,
            postgres: at(database_url, 5432),
            kafka: at(&format!("kafka://{broker}"), 9092),
        })
    }
}

/// How far a drain is, and what it has taken.
#[derive(Clone, Debug)]
pub struct Look {
    at: Instant,
    count: usize,
    costs: Costs<Duration>,
    /// What the benchmark itself has had.
    own: Duration,
    machine: processes::Machine,
}

impl Look {
    /// That many have arrived, now.
    ///
    /// # Errors
    /// That one of the processes is gone.
    pub fn now(watched: &Watched, count: usize) -> anyhow::Result<Self> {
        let all = |pid: Option<u32>| pid.map(processes::cpu_time_of_all).transpose();
        let processors = watched.processors.iter();
        let processors = processors.map(|pid| processes::cpu_time(*pid));
        Ok(Self {
            at: Instant::now(),
            count,
            costs: Costs {
                processor: processors.sum::<anyhow::Result<Duration>>()?,
                sink: processes::cpu_time(watched.sink)?,
                postgres: all(watched.postgres)?,
                kafka: all(watched.kafka)?,
            },
            own: processes::cpu_time(std::process::id())?,
            machine: processes::Machine::now()?,
        })
    }

    /// What came between two looks; nothing where nothing did.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn until(&self, later: &Self) -> Option<Drained> {
        let deliveries = later.count.checked_sub(self.count).filter(|n| *n > 0)? as f64;
        let (from, to) = (&self.costs, &later.costs);
        let spent = Costs {
            processor: to.processor.saturating_sub(from.processor),
            sink: to.sink.saturating_sub(from.sink),
            postgres: between(from.postgres, to.postgres),
            kafka: between(from.kafka, to.kafka),
        };
        let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / deliveries;
        let whole = spent.processor + spent.sink + later.own.saturating_sub(self.own);
        let whole = spent.postgres.zip(spent.kafka).map(|(p, k)| whole + p + k);
        let busy = |ours| self.machine.others_percent(&later.machine, ours);
        Some(Drained {
            per_second: deliveries / (later.at - self.at).as_secs_f64(),
            cpu_micros: Costs {
                processor: micros(spent.processor),
                sink: micros(spent.sink),
                postgres: spent.postgres.map(micros),
                kafka: spent.kafka.map(micros),
            },
            others_percent: whole.map(busy),
            busy_percent: self.machine.busy_percent(&later.machine),
        })
    }
}

fn between(from: Option<Duration>, to: Option<Duration>) -> Option<Duration> {
    Some(to?.saturating_sub(from?))
}
