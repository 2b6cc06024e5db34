//! Whether Postgres answers, asked every second, for `/readyz`.

use std::time::Duration;

use common::probes::Component;
use sqlx::{Connection, PgPool};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How often Postgres is asked.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// Keeps `postgres` up to date until `stop`.
pub async fn watch(db: PgPool, postgres: Component, stop: CancellationToken) -> anyhow::Result<()> {
    stop.run_until_cancelled(ping_forever(&db, &postgres)).await;
    Ok(())
}

async fn ping_forever(db: &PgPool, postgres: &Component) {
    let mut ticks = interval(PING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = false;
    loop {
        ticks.tick().await;
        let pong = ping(db).await;
        match &pong {
            Ok(()) if !answered => tracing::info!("postgres answers"),
            Err(reason) if answered => tracing::error!(reason, "postgres does not answer"),
            Ok(()) | Err(_) => {}
        }
        answered = pong.is_ok();
        // Anybody may ask for this; the reason is in the log.
        pong.map_or_else(|_| postgres.down("it does not answer"), |()| postgres.up());
    }
}

async fn ping(db: &PgPool) -> Result<(), String> {
    let asking = async { db.acquire().await?.ping().await };
    match timeout(PING_TIMEOUT, asking).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PING_TIMEOUT:?}")),
    }
}
