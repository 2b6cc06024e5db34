//! Keeps the tables in shape: a partition of `attempts` for each day, none that is too old, and no
//! row without its subscription. Disables subscriptions that have done nothing but fail, and counts
//! what the tables hold.

use std::time::Duration;

use chrono::Days;
use common::store::{self, circuits, cursors, pending_deliveries};
use metrics::gauge;
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::observe;
use crate::store::totals::{self, Totals};
use crate::store::{attempts, operations};

/// How often it looks for who only fails.
const INTERVAL: Duration = Duration::from_secs(10);

/// Each time so many of these have gone by, the tables are tidied: that reads all that waits.
const TIDY_EVERY: u32 = 6;

/// How many days ahead have a partition; the one before today too, for replicas' clocks.
const DAYS_AHEAD: u64 = 2;

/// How many orphans are removed at once.
const SWEEP_LIMIT: i64 = 1000;

/// For how long what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub attempts_kept_days: u64,
    /// For subscriptions that do not say.
    pub disable_after: Duration,
}

/// Maintains until stopped. What fails is told and tried again at the next look.
pub async fn run(db: PgPool, settings: Settings, stop: CancellationToken) {
    for look in (0..TIDY_EVERY).cycle() {
        let tidies = look == 0;
        let maintaining = maintain(&db, settings, tidies);
        match stop.run_until_cancelled(maintaining).await {
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

async fn maintain(db: &PgPool, settings: Settings, tidies: bool) -> sqlx::Result<()> {
    store::observe_pool(db);
    disable_failing(db, settings.disable_after).await?;
    if !tidies {
        return Ok(());
    }
    keep_days(db, settings.attempts_kept_days).await?;
    observe_totals(&totals::count(db).await?);
    while pending_deliveries::sweep_orphans(db, SWEEP_LIMIT).await? == SWEEP_LIMIT.unsigned_abs() {}
    cursors::sweep_orphans(db).await?;
    circuits::sweep_orphans(db).await?;
    operations::delete_old(db).await
}

fn observe_totals(totals: &Totals) {
    // Exact up to 2^53.
    #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
    let set = |name, value: i64| gauge!(name).set(value as f64);
    set(observe::PENDING, totals.pending);
    set(observe::DEAD_LETTERS, totals.dead_letters);
    set(observe::ATTEMPTS_BYTES, totals.attempts_bytes);
    gauge!(observe::OLDEST_PENDING).set(totals.oldest_pending_seconds);
    let closed = totals.subscriptions - totals.open - totals.half_open;
    for (state, count) in [
        ("closed", closed),
        ("open", totals.open),
        ("half_open", totals.half_open),
    ] {
        #[allow(clippy::cast_precision_loss, reason = "gauges are floats")]
        gauge!(observe::CIRCUITS, "state" => state).set(count.max(0) as f64);
    }
}

/// What disables a subscription tells of it, in one transaction.
async fn disable_failing(db: &PgPool, default: Duration) -> sqlx::Result<()> {
    let default_ms = i64::try_from(default.as_millis()).unwrap_or(i64::MAX);
    let mut transaction = db.begin().await?;
    let disabled = operations::disable_failing(&mut transaction, default_ms).await?;
    let mut told = operations::Columns::default();
    for id in &disabled {
        tracing::warn!(subscription.id = %id, "disabled after nothing but failures");
        told.push(
            operations::DISABLED,
            *id,
            &json!({"reason": "nothing but failures"}),
        );
    }
    if !disabled.is_empty() {
        operations::insert_all(&mut *transaction, &told).await?;
    }
    transaction.commit().await
}

async fn keep_days(db: &PgPool, kept_days: u64) -> sqlx::Result<()> {
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
    Ok(())
}
