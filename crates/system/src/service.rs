//! Runs the system: takes readings from the source at the chosen rate, publishes them, waits for
//! the last acknowledgement and says what became of them. The admin port is served until the end.
//!
//! Without a stop it waits for the broker as long as it takes; after one, or after a failure, for
//! the drain timeout.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use chrono::Utc;
use common::lifecycle::join;
use common::probes::{self, Component, Liveness, Readiness};
use common::topic;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use traces::Traces;

use crate::config::Config;
use crate::pacing::Pace;
use crate::publisher::{Publisher, Tally};
use crate::reading::Source;
use crate::replay::Recording;
use crate::simulation::Simulation;
use crate::watch::watch;

/// A system that has its readings and its admin port, and publishes nothing yet.
pub struct Service {
    config: Config,
    source: Source,
    admin: TcpListener,
    metrics: PrometheusHandle,
    traces: Traces,
}

impl Service {
    /// Reads the recording, if there is one, and takes the admin port.
    ///
    /// # Errors
    /// What is wrong with the settings or the recording, or that the port is in use.
    pub async fn new(
        config: Config,
        metrics: PrometheusHandle,
        traces: Traces,
    ) -> anyhow::Result<Self> {
        config.kafka.check()?;
        Ok(Self {
            source: source(&config).await?,
            admin: probes::bind(config.admin_listen).await?,
            config,
            metrics,
            traces,
        })
    }

    /// Publishes until the source ends or `stop`.
    ///
    /// # Errors
    /// That an event was not acknowledged, that publishing failed for good, or that the admin port
    /// failed.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let readiness = Readiness::default();
        let kafka = readiness.component("kafka");
        let closing = CancellationToken::new();
        let routes = probes::router(readiness, Liveness::default(), self.metrics);
        let mut tasks = JoinSet::new();
        tasks.spawn(probes::serve(self.admin, routes, closing.clone()));
        let publishing = publish((self.config, self.source), self.traces, kafka, stop.clone());
        let closing = closing.drop_guard();
        tasks.spawn(async move {
            let published = publishing.await;
            drop(closing);
            published
        });
        join(tasks, &stop).await
    }
}

async fn source(config: &Config) -> anyhow::Result<Source> {
    let source: Source = match &config.replay {
        Some(path) => Box::new(Recording::load(path).await?.readings(config.again)),
        None if config.again => {
            bail!("SYSTEM_LOOP (--loop) needs SYSTEM_REPLAY (--replay): the simulation has no end")
        }
        None => Box::new(simulation(config)),
    };
    Ok(match config.count.map(usize::try_from) {
        Some(Ok(count)) => Box::new(source.take(count)),
        _ => source,
    })
}

fn simulation(config: &Config) -> Simulation {
    let seed = config.seed.unwrap_or_else(rand::random);
    let start = config.start.unwrap_or_else(Utc::now);
    tracing::info!(seed, %start, "simulating the weather");
    Simulation::new(seed, start)
}

async fn publish(
    (config, source): (Config, Source),
    traces: Traces,
    kafka: Component,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if !topic::create(&config.kafka, config.partitions, &kafka, &stop).await? {
        return report(&Tally::default());
    }
    let publisher = Publisher::new(&config.kafka, traces)?;
    let tally = publisher.tally();
    let result = tokio::select! {
        result = feed_and_drain(&config, source, &publisher, &stop) => result,
        never = watch(&tally, &kafka) => match never {},
    };
    publisher.close().await?;
    result.and(report(&tally))
}

async fn feed_and_drain(
    config: &Config,
    source: Source,
    publisher: &Publisher,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let feeding = stop
        .run_until_cancelled(feed(config.rate, source, publisher))
        .await;
    let fed = feeding.unwrap_or(Ok(()));
    if fed.is_err() {
        stop.cancel();
    }
    drain(publisher, config.drain_timeout, stop).await;
    fed.and(publisher.check())
}

/// Publishes the readings when they are due. Cancel-safe: a reading that was not taken is not
/// missed by anybody.
async fn feed(rate: u32, mut source: Source, publisher: &Publisher) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut pace = Pace::new(rate);
    loop {
        for _ in 0..pace.take(began.elapsed()) {
            let Some(reading) = source.next() else {
                return Ok(());
            };
            publisher.publish(&reading).await?;
        }
        publisher.check()?;
        tokio::time::sleep_until(began + pace.next(began.elapsed())).await;
    }
}

async fn drain(publisher: &Publisher, timeout: Duration, stop: &CancellationToken) {
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(timeout).await;
    };
    tokio::select! {
        () = publisher.drained() => {}
        () = overdue => tracing::error!(?timeout, "the broker does not answer; giving up"),
    }
}

/// Says what became of the events.
fn report(tally: &Tally) -> anyhow::Result<()> {
    let (published, failed) = (tally.acknowledged(), tally.open());
    writeln!(std::io::stdout(), "published {published}, failed {failed}").context("printing")?;
    ensure!(failed == 0, "{failed} events were not acknowledged");
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[tokio::test]
    async fn only_a_recording_can_begin_again() {
        let error = source(&Config::parse_from(["system", "--loop"])).await;
        let error = error.err().expect("it is refused").to_string();
        assert!(error.contains("SYSTEM_LOOP") && error.contains("SYSTEM_REPLAY"));
    }
}
