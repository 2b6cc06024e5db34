//! That a program runs, and with which settings: its row in `instances`, from its start to a clean stop.
//!
//! Nothing depends on that row, and nothing waits for it. While Postgres is away it is not refreshed,
//! which is said for who debugs; a stop waits `LEAVING` for it at most. What stays of a program that was
//! killed is removed by whoever refreshes next, when nothing was seen of it for an hour.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::settings::Setting;
use crate::store::instances::{self, New};

/// How often a row is refreshed.
const REFRESHING: Duration = Duration::from_secs(30);

/// How long that may take.
const REFRESH_LIMIT: Duration = Duration::from_secs(10);

/// How long a stop waits for the row to be removed.
const LEAVING: Duration = Duration::from_secs(1);

/// A process of one of the programs.
#[derive(Clone, Debug)]
pub struct Instance {
    id: Uuid,
    service: &'static str,
    host: String,
    pid: u32,
    began: Instant,
    /// As JSON.
    settings: String,
}

impl Instance {
    /// This process, which is of that program and runs with those settings.
    #[must_use]
    pub fn new(service: &'static str, settings: &[Setting]) -> Self {
        Self {
            id: Uuid::now_v7(),
            service,
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            pid: std::process::id(),
            began: Instant::now(),
            settings: json!(settings).to_string(),
        }
    }

    /// Keeps the row until `stop`, and removes it.
    ///
    /// # Errors
    /// None; it is a task of a service.
    pub async fn run(self, db: PgPool, stop: CancellationToken) -> anyhow::Result<()> {
        let late = async {
            stop.cancelled().await;
            sleep(LEAVING).await;
        };
        tokio::select! {
            () = self.stay(&db, &stop) => {}
            () = late => tracing::debug!("Postgres does not answer: the row of this instance stays"),
        }
        Ok(())
    }

    async fn stay(&self, db: &PgPool, stop: &CancellationToken) {
        let mut ticks = interval(REFRESHING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // A stop does not cut this off: it might be done after the removal.
            match timeout(REFRESH_LIMIT, self.refresh(db)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "this instance could not be noted"),
                Err(_) => tracing::debug!("this instance could not be noted in time"),
            }
        }
        if let Err(error) = instances::delete(db, self.id).await {
            tracing::debug!(%error, "the row of this instance stays");
        }
    }

    async fn refresh(&self, db: &PgPool) -> sqlx::Result<()> {
        instances::upsert(db, &self.row()).await?;
        instances::delete_unseen(db).await
    }

    fn row(&self) -> New<'_> {
        New {
            id: self.id,
            service: self.service,
            version: env!("CARGO_PKG_VERSION"),
            host: &self.host,
            pid: self.pid.into(),
            age_seconds: self.began.elapsed().as_secs_f64(),
            settings: &self.settings,
        }
    }
}
