//! Takes circuits that are due to be probed. What is taken is half-open, and this replica's: the
//! follower hears of it and tells the engine, which lets one request at a time through.

use std::time::Duration;

use common::store::circuits;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many are taken at once.
const LIMIT: i64 = 100;

#[derive(Clone, Debug)]
pub struct Settings {
    pub topic: String,
    /// This replica, as the tables name it.
    pub owner: String,
}

/// The one prober of this process.
#[derive(Debug)]
pub struct Prober {
    pub db: PgPool,
    pub settings: Settings,
    pub owned: watch::Receiver<Vec<i32>>,
}

impl Prober {
    /// Looks until stopped. What fails is told and tried again at the next look.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let owned = self.owned.borrow().clone();
            if owned.is_empty() {
                continue;
            }
            let Settings { topic, owner } = &self.settings;
            let taking = circuits::take_probes(&self.db, (topic, &owned), owner, LIMIT);
            match stop.run_until_cancelled(taking).await {
                None => return,
                Some(Ok(0)) => {}
                Some(Ok(taken)) => tracing::debug!(taken, "probing"),
                Some(Err(error)) => tracing::debug!(%error, "circuits cannot be probed"),
            }
        }
    }
}
