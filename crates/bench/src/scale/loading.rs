//! How long subscriptions take to load, and what they hold while nothing happens.

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::Scale;
use super::scene::Scene;
use crate::processes;

/// What so many subscriptions take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loading {
    /// How many there are.
    pub subscriptions: u32,
    /// From the start of the processor until it owned all partitions.
    pub ready_seconds: f64,
    /// What was resident when they had been idle for a while, in bytes, …
    pub resident_bytes: u64,
    /// … and the most that ever was.
    pub peak_bytes: u64,
    /// Processor time over elapsed time while they were idle, in percent.
    pub idle_cpu_percent: f64,
}

impl Scale {
    /// Measures it for none, a tenth and all.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn loading(&self) -> anyhow::Result<Vec<Loading>> {
        let mut measured = Vec::new();
        for subscriptions in self.sizes.idle() {
            println!("    {subscriptions} idle subscriptions");
            measured.push(self.load(subscriptions).await?);
        }
        Ok(measured)
    }

    async fn load(&self, subscriptions: u32) -> anyhow::Result<Loading> {
        let mut scene = Scene::new(self).await?;
        scene.add_idle(subscriptions).await?;
        let name = format!("loading-{subscriptions}");
        let ready = scene.start(self, &name, 1).await?;
        scene.until_at_rest().await?;
        let before = (Instant::now(), scene.cpu_time()?);
        sleep(self.sizes.idle_for()).await;
        scene.check()?;
        let used = scene.cpu_time()?.saturating_sub(before.1);
        let pid = scene.processors[0].pid()?;
        let loading = Loading {
            subscriptions,
            ready_seconds: ready.as_secs_f64(),
            resident_bytes: processes::resident_memory(pid)?,
            peak_bytes: processes::peak_memory(pid)?,
            idle_cpu_percent: 100.0 * used.as_secs_f64() / before.0.elapsed().as_secs_f64(),
        };
        scene.end().await?;
        Ok(loading)
    }
}
