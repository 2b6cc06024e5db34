//! Keeps the tables in shape: a partition of `attempts` for each day, none that is too old, and no
//! pending delivery without a subscription.

use std::time::Duration;

use chrono::Days;
use common::store::pending_deliveries;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store::attempts;

/// How often it looks.
const INTERVAL: Duration = Duration::from_mins(1);

/// How many days ahead have a partition; the one before today too, for replicas' clocks.
const DAYS_AHEAD: u64 = 2;

/// How many orphans are removed at once.
const SWEEP_LIMIT: i64 = 1000;

/// Maintains until stopped. What fails is told and tried again at the next look.
pub async fn run(db: PgPool, kept_days: u64, stop: CancellationToken) {
    loop {
        match stop.run_until_cancelled(maintain(&db, kept_days)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "the tables could not be maintained"),
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(INTERVAL))
            .await
            .is_none()
        {
            return;
        }
    }
}

async fn maintain(db: &PgPool, kept_days: u64) -> sqlx::Result<()> {
    let today = attempts::today(db).await?;
    let days = attempts::days(db).await?;
    let yesterday = today - Days::new(1);
    let wanted = yesterday
        .iter_days()
        .take_while(|day| *day <= today + Days::new(DAYS_AHEAD));
    for day in wanted.filter(|day| !days.contains(day)) {
        attempts::add_day(db, day).await?;
    }
    let oldest = today - Days::new(kept_days);
    for day in days.iter().filter(|day| **day < oldest) {
        attempts::drop_day(db, *day).await?;
        tracing::info!(%day, "dropped a day of attempts");
    }
    while pending_deliveries::sweep_orphans(db, SWEEP_LIMIT).await? == SWEEP_LIMIT.unsigned_abs() {}
    Ok(())
}
