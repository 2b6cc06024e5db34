//! The sink as whoever rules it has it: a process that ends with its handle.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::sink::{COUNT, FORGET, Listening, REPORT};
use super::taken::{Deliveries, Taken};
use crate::program::Ruled;

/// Between two looks at how much has arrived.
const LOOK: Duration = Duration::from_millis(20);

/// How long nothing may arrive before what is missing is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running sink.
#[derive(Debug)]
pub struct SinkProcess {
    /// Where it listens.
    pub listening: Listening,
    ruled: Ruled,
}

impl SinkProcess {
    /// Starts one, that speaks TLS if asked to, and hears where it listens.
    ///
    /// # Errors
    /// That it cannot be started.
    pub async fn start(tls: bool) -> anyhow::Result<Self> {
        let tls = tls.then(|| "--tls".to_owned());
        let arguments: Vec<String> = tls.into_iter().collect();
        let (ruled, listening) = Ruled::start("bench-sink", &arguments).await?;
        let listening = serde_json::from_str(&listening)?;
        Ok(Self { listening, ruled })
    }

    /// How many requests arrived.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn count(&mut self) -> anyhow::Result<usize> {
        Ok(self.ruled.ask(COUNT).await?.parse()?)
    }

    /// What arrived.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn taken(&mut self) -> anyhow::Result<Deliveries> {
        let taken: Vec<Taken> = serde_json::from_str(&self.ruled.ask(REPORT).await?)?;
        Ok(Deliveries::of(&taken))
    }

    /// Begins anew.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn forget(&mut self) -> anyhow::Result<()> {
        self.ruled.ask(FORGET).await.map(drop)
    }

    /// Waits until so many have arrived, or none has for long: how many have.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn until_arrived(&mut self, wanted: usize) -> anyhow::Result<usize> {
        let mut last = (0, Instant::now());
        loop {
            let count = self.count().await?;
            if count >= wanted || (count == last.0 && last.1.elapsed() > PATIENCE) {
                return Ok(count);
            }
            if count > last.0 {
                last = (count, Instant::now());
            }
            sleep(LOOK).await;
        }
    }

    /// Its process id.
    ///
    /// # Errors
    /// That it is gone.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.ruled.pid()
    }
}
