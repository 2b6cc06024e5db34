//! `/stats`: how the service is doing, for an admin; for a subscriber, how its subscriptions are.
//!
//! Counts come from the table `statistics`, what waits from the tables that hold it; neither reads
//! one of these to its end, and nothing here reads the record of attempts.

mod cells;
mod health;
mod lag;
mod measure;
mod settings;
mod sum;
mod timeseries;

use axum::extract::State;
use chrono::{DateTime, Utc};
use common::statistics::Granularity;
use common::store::statistics::Span;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::ApiError;
use crate::log::Log;
use crate::refusals;
use crate::state::AppState;
use crate::store::backlog::{self, COUNT_LIMIT, Table, Whose};
use cells::{Cells, Of, seconds};
use lag::Lag;
use sum::{Sum, Times, rate, times};

pub use settings::{Settings, percent};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(stats))
        .routes(routes!(timeseries::timeseries))
        .routes(routes!(health::subscription))
}

/// How it is going now: of the minute that runs and the one before.
#[derive(Debug, Serialize, ToSchema)]
pub struct Now {
    /// What was recorded by then is counted.
    as_of: DateTime<Utc>,
    /// So long are rates, shares and times of.
    window_seconds: f64,
    attempts_per_second: f64,
    deliveries_per_second: f64,
    /// Of the attempts; `null` where none was made.
    success_share: Option<f64>,
    /// How long receivers took to answer.
    latency_ms: Option<Times>,
    /// From publishing (the time of the Kafka record) to delivered, by the processor's clock.
    delay_ms: Option<Times>,
}

/// All that was counted and is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct Totals {
    /// Since then; `null` where nothing was counted.
    since: Option<DateTime<Utc>>,
    attempts: u64,
    delivered: u64,
    /// Attempts that failed.
    failed: u64,
    dead_lettered: u64,
    expired: u64,
    superseded: u64,
}

/// How many.
#[derive(Debug, Serialize, ToSchema)]
pub struct Count {
    count: i64,
    /// Else there are more than 10,000, and this is an estimate, or 10,000.
    exact: bool,
}

/// A subscription that does nothing but fail.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failing {
    subscription_id: Uuid,
    name: String,
    /// The class of its last failure.
    failure: Option<String>,
    since: DateTime<Utc>,
}

/// How the service is doing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "as_of": "2026-11-23T21:00:42Z", "window_seconds": 102.0, "events_per_second": 10.0,
    "attempts_per_second": 42.5, "deliveries_per_second": 41.9, "success_share": 0.986,
    "latency_ms": {"mean": 12.1, "p50": 8.4, "p95": 31.0, "p99": 64.2},
    "delay_ms": {"mean": 31.7, "p50": 25.3, "p95": 61.0, "p99": 120.5},
    "totals": {"since": "2026-11-01T00:00:00Z", "attempts": 9_000_000, "delivered": 8_990_000,
               "failed": 10000, "dead_lettered": 12, "expired": 0, "superseded": 0},
    "lag": {"events": 7, "partitions": 12}, "oldest_undelivered_seconds": 35.2,
    "pending": {"count": 18, "exact": true}, "dead_letters": {"count": 12, "exact": true},
    "open_circuits": 1, "held_back": 1,
    "top_failing": [{"subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
                     "name": "my-web-hook", "failure": "connect_refused",
                     "since": "2026-11-23T20:00:00Z"}]
}))]
pub struct Stats {
    #[serde(flatten)]
    now: Now,
    /// Taken from the topic; `null` for a subscriber.
    events_per_second: Option<f64>,
    totals: Totals,
    /// How many events the processors are behind; `null` for a subscriber, and while Kafka does not
    /// answer.
    lag: Option<Lag>,
    /// For how long the oldest waits of what is pending or held back; `lag` tells of the rest.
    oldest_undelivered_seconds: Option<f64>,
    pending: Count,
    dead_letters: Count,
    /// Circuits that are not closed.
    open_circuits: i64,
    /// Subscriptions that are off the log, with something yet to get.
    held_back: i64,
    /// Up to ten, the longest failing first.
    top_failing: Vec<Failing>,
}

impl Now {
    /// Of some cells; with how many events were taken from the topic.
    async fn of(cells: &mut Cells, of: &Of) -> Result<(Self, f64), ApiError> {
        let (span, window_seconds) = cells.now();
        let sum = Sum::of(&cells.read(span, of).await?);
        let now = Self {
            as_of: cells.state.folded_at,
            window_seconds,
            attempts_per_second: rate(sum.attempts, window_seconds),
            deliveries_per_second: rate(sum.delivered, window_seconds),
            success_share: sum.success_share(),
            latency_ms: times(&sum.latency),
            delay_ms: times(&sum.delay),
        };
        Ok((now, rate(sum.events, window_seconds)))
    }
}

impl Totals {
    async fn of(cells: &mut Cells, of: &Of, settings: Settings) -> Result<Self, ApiError> {
        let span = kept_days(cells, settings);
        let rows = cells.read(span, of).await?;
        let sum = Sum::of(&rows);
        Ok(Self {
            since: rows.iter().map(|row| row.at).min(),
            attempts: sum.attempts,
            delivered: sum.delivered,
            failed: sum.failed,
            dead_lettered: sum.dead_lettered,
            expired: sum.expired,
            superseded: sum.superseded,
        })
    }
}

/// All days that are kept.
fn kept_days(cells: &Cells, settings: Settings) -> Span {
    let now = cells.state.now;
    let kept = chrono::TimeDelta::from_std(settings.kept.kept(Granularity::Day));
    let oldest = kept.ok().and_then(|kept| now.checked_sub_signed(kept));
    Span {
        granularity: Granularity::Day,
        since: Granularity::Day.begin(oldest.unwrap_or_default()),
        until: now,
    }
}

impl Count {
    /// Of a table, all of it or what belongs to some.
    async fn of(db: &PgPool, table: Table, whose: Whose<'_>) -> sqlx::Result<Self> {
        let of_all = whose.owner.is_none() && whose.subscription_id.is_none();
        let (rows, estimate) = if of_all {
            backlog::count_all(db, table).await?
        } else {
            (backlog::count_of(db, table, whose).await?, COUNT_LIMIT)
        };
        let exact = rows <= COUNT_LIMIT;
        Ok(Self {
            count: if exact {
                rows
            } else {
                estimate.max(COUNT_LIMIT)
            },
            exact,
        })
    }
}

impl From<backlog::Failing> for Failing {
    fn from(failing: backlog::Failing) -> Self {
        Self {
            subscription_id: failing.subscription_id,
            name: failing.name,
            failure: failing.failure,
            since: failing.since,
        }
    }
}

/// Show how the service is doing
///
/// For a subscriber: how its own subscriptions are. Counts are some seconds old, see `as_of`.
#[utoipa::path(get, path = "/stats", tag = "statistics",
    security(("key" = ["read"])), responses(
    (status = 200, body = Stats, description = "It is this"),
    refusals::Stats,
))]
async fn stats(
    State(db): State<PgPool>,
    State(log): State<Log>,
    State(settings): State<Settings>,
    caller: Caller,
) -> Result<axum::Json<Stats>, ApiError> {
    let of = Of::reach(&caller);
    let mut cells = Cells::open(&db).await?;
    let (now, events) = Now::of(&mut cells, &of).await?;
    let totals = Totals::of(&mut cells, &of, settings).await?;
    let at = cells.state.now;
    drop(cells);

    let (owner, is_admin) = (caller.owner(), caller.owner().is_none());
    let whose = Whose {
        owner,
        subscription_id: None,
    };
    let held = backlog::held_back(&db, whose).await?;
    let oldest = backlog::oldest_pending(&db, whose).await?;
    let oldest = oldest.into_iter().chain(held.since).min();
    let failing = backlog::top_failing(&db, owner).await?;
    Ok(axum::Json(Stats {
        now,
        totals,
        events_per_second: is_admin.then_some(events),
        lag: if is_admin {
            Lag::of(&db, &log).await?
        } else {
            None
        },
        oldest_undelivered_seconds: oldest.map(|since| seconds(since, at).max(0.0)),
        pending: Count::of(&db, Table::Pending, whose).await?,
        dead_letters: Count::of(&db, Table::Dead, whose).await?,
        open_circuits: backlog::open_circuits(&db, owner).await?,
        held_back: held.count,
        top_failing: failing.into_iter().map(Failing::from).collect(),
    }))
}
