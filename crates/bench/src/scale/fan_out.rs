//! One event that very many want: that all get it, and what is in memory meanwhile.

use std::iter::once;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::scene::Scene;
use super::{Measured, Scale};
use crate::backlog;
use crate::behind::FIRST;
use crate::load::now_micros;
use crate::processes;

/// How long the last deliveries may take to be recorded, …
const RECORD_LIMIT: Duration = Duration::from_mins(1);
/// … and how often it is looked.
const LOOK: Duration = Duration::from_millis(100);

const RECORDED: &str = "SELECT count(*) FROM attempts WHERE outcome = 'delivered'";

/// One event for so many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FanOut {
    /// How many subscriptions want it.
    pub subscriptions: u32,
    /// What came of it.
    pub spread: Measured<Spread>,
}

/// What it takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// From publishing to the last arrival, …
    pub arrived_seconds: f64,
    /// … and until all were recorded.
    pub recorded_seconds: f64,
    /// What was resident in the processor before, in bytes, …
    pub before_bytes: u64,
    /// … and the most that was since.
    pub peak_bytes: u64,
    /// Arrivals that were not the first of their delivery.
    pub duplicates: usize,
}

impl Scale {
    /// Measures it.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn fan_out(&self) -> anyhow::Result<FanOut> {
        let subscriptions = self.sizes.fan_out;
        println!("    one event for {subscriptions} subscriptions");
        let mut scene = Scene::new(self).await?;
        let urls = scene.urls(0..subscriptions);
        let city = backlog::cities().into_iter().next();
        let cities = vec![city; urls.len()];
        scene.stage.subscribe_each(&urls, &cities).await?;
        scene.start(self, "fan-out", 1).await?;
        scene.until_at_rest().await?;
        let spread = scene.spread(urls.len()).await?;
        scene.end().await?;
        Ok(FanOut {
            subscriptions,
            spread,
        })
    }
}

impl Scene {
    async fn spread(&mut self, wanting: usize) -> anyhow::Result<Measured<Spread>> {
        let pid = self.processors[0].pid()?;
        processes::forget_peak(pid)?;
        let before_bytes = processes::resident_memory(pid)?;
        let (began, published_at) = (Instant::now(), now_micros());
        backlog::publish(&self.stage.kafka, 1).await?;
        self.sink.until_arrived(wanting).await?;
        let taken = self.sink.taken().await?;
        let missing = taken.missing(once(FIRST), wanting);
        if missing > 0 {
            return Ok(Measured::Missing(missing));
        }
        self.until_recorded(wanting).await?;
        let recorded_seconds = began.elapsed().as_secs_f64();
        let late = taken.late(once((FIRST, published_at)));
        let last = late.last().context("nobody wants the event")?;
        Ok(Measured::Figures(Spread {
            arrived_seconds: Duration::from_micros(*last).as_secs_f64(),
            recorded_seconds,
            before_bytes,
            peak_bytes: processes::peak_memory(pid)?,
            duplicates: taken.repeated,
        }))
    }

    async fn until_recorded(&mut self, wanting: usize) -> anyhow::Result<()> {
        let (wanting, deadline) = (i64::try_from(wanting)?, Instant::now() + RECORD_LIMIT);
        while self.stage.count(RECORDED).await? < wanting {
            self.check()?;
            anyhow::ensure!(
                Instant::now() < deadline,
                "what arrived is not recorded after {RECORD_LIMIT:?}"
            );
            sleep(LOOK).await;
        }
        Ok(())
    }
}
