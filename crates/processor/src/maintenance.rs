//! Keeps the tables in shape: a partition of `attempts` for each day, none that is too old, and no
//! row without its subscription. Disables subscriptions that have done nothing but fail, and counts
//! what the tables hold.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use common::store::attempts::days;
use common::store::{self, circuits, cursors, pending_deliveries};
use metrics::gauge;
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::observe;
use crate::store::operations;
use crate::store::totals::{self, Totals};

/// How often it looks for who only fails.
const INTERVAL: Duration = Duration::from_secs(10);

/// Each time so many of these have gone by, the tables are tidied: that reads all that waits.
const TIDY_EVERY: u32 = 6;

/// How many days ahead have a partition; the one before today too, for replicas' clocks.
const DAYS_AHEAD: usize = 2;

/// How many orphans are removed at once.
const SWEEP_LIMIT: i64 = 1000;

/// For how long what is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub attempt_retention: Duration,
    /// For subscriptions that do not say.
    pub disable_after: Duration,
}

/// Maintains until stopped. What fails is told and tried again at the next look, and holds up nothing
/// else.
pub async fn run(db: PgPool, settings: Settings, stop: CancellationToken) {
    for at in (0..TIDY_EVERY).cycle() {
        let looking = stop.run_until_cancelled(look(&db, settings, at == 0));
        let pausing = stop.run_until_cancelled(tokio::time::sleep(INTERVAL));
        if looking.await.is_none() || pausing.await.is_none() {
            return;
        }
    }
}

async fn look(db: &PgPool, settings: Settings, tidies: bool) {
    store::observe_pool(db);
    told(
        disable_failing(db, settings.disable_after).await,
        "disabling who only fails",
    );
    if tidies {
        tidy(db, settings).await;
    }
}

async fn tidy(db: &PgPool, settings: Settings) {
    keep_days_now(db, settings.attempt_retention).await;
    told(
        totals::count(db)
            .await
            .map(|totals| observe_totals(&totals)),
        "counting what the tables hold",
    );
    told(sweep(db).await, "removing what is of no use any more");
}

/// Keeps the days as they should be now, as far as it can.
pub async fn keep_days_now(db: &PgPool, retention: Duration) {
    let keeping = async { keep_days(db, days::now(db).await?, retention).await };
    told(
        keeping.await,
        "keeping a partition of attempts for each day",
    );
}

async fn sweep(db: &PgPool) -> sqlx::Result<()> {
    while pending_deliveries::sweep_orphans(db, SWEEP_LIMIT).await? == SWEEP_LIMIT.unsigned_abs() {}
    cursors::sweep_orphans(db).await?;
    circuits::sweep_orphans(db).await?;
    operations::delete_old(db).await
}

fn told(ended: sqlx::Result<()>, doing: &str) {
    if let Err(error) = ended {
        tracing::warn!(%error, "{doing} failed; it is tried again");
    }
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

/// Makes the days that come, and those that have rows already, and drops those that are over for
/// longer than `retention`.
///
/// # Errors
/// The database's; what was done until then stays so.
pub async fn keep_days(db: &PgPool, now: DateTime<Utc>, retention: Duration) -> sqlx::Result<()> {
    let made = days::made(db).await?;
    let early = days::without_partition(db).await?;
    let plan = Plan::of(now, &made, &early, retention);
    let mut db = db.acquire().await?;
    for day in plan.add {
        days::add(&mut db, day).await?;
    }
    for day in plan.remove {
        days::remove(&mut db, day).await?;
        tracing::info!(%day, "dropped a day of attempts");
    }
    Ok(())
}

/// Which days of attempts to make and to drop.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    add: Vec<NaiveDate>,
    remove: Vec<NaiveDate>,
}

impl Plan {
    /// What to do at that time, where those days are `made`, and those `early` have rows and no
    /// partition yet.
    fn of(
        now: DateTime<Utc>,
        made: &[NaiveDate],
        early: &[NaiveDate],
        retention: Duration,
    ) -> Self {
        let today = now.date_naive();
        let coming = (today - Days::new(1)).iter_days().take(2 + DAYS_AHEAD);
        let mut add: Vec<NaiveDate> = coming.chain(early.iter().copied()).collect();
        add.retain(|day| !made.contains(day));
        add.sort_unstable();
        add.dedup();
        let is_over = |day: &NaiveDate| {
            let end = (*day + Days::new(1)).and_time(NaiveTime::MIN).and_utc();
            (now - end).to_std().is_ok_and(|over| over >= retention)
        };
        let mut remove: Vec<NaiveDate> = made.to_vec();
        remove.retain(is_over);
        Self { add, remove }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(names: &[&str]) -> Vec<NaiveDate> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn plan(now: &str, made: &[&str], early: &[&str]) -> (Vec<NaiveDate>, Vec<NaiveDate>) {
        let retention = Duration::from_hours(2 * 24);
        let plan = Plan::of(now.parse().unwrap(), &days(made), &days(early), retention);
        (plan.add, plan.remove)
    }

    #[test]
    fn days_are_made_ahead_over_the_end_of_a_year() {
        let (add, remove) = plan("2026-12-30T23:59:59Z", &["2026-12-30"], &[]);
        assert_eq!(add, days(&["2026-12-29", "2026-12-31", "2027-01-01"]));
        assert_eq!(remove, []);
    }

    #[test]
    fn a_day_is_dropped_when_its_last_moment_is_too_old_and_not_before() {
        let made = ["2026-11-20", "2026-11-21", "2026-11-22", "2026-11-25"];
        let (_, remove) = plan("2026-11-23T23:59:59Z", &made, &[]);
        assert_eq!(remove, days(&["2026-11-20"]));
        let (_, remove) = plan("2026-11-24T00:00:00Z", &made, &[]);
        assert_eq!(remove, days(&["2026-11-20", "2026-11-21"]));
    }

    #[test]
    fn a_day_that_has_rows_without_a_partition_gets_one() {
        let made = ["2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"];
        let (add, _) = plan("2026-11-23T12:00:00Z", &made, &["2026-11-03", "2026-11-23"]);
        assert_eq!(add, days(&["2026-11-03"]));
    }
}
