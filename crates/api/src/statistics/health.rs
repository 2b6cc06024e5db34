//! `/subscriptions/{id}/stats`: how the deliveries of one subscription fare, and how well its
//! receiver is.

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use common::statistics::Granularity;
use common::store::circuits;
use common::store::statistics::Span;
use common::store::subscriptions::{self, Row, State as SubscriptionState};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cells::{Cells, Of, seconds};
use super::sum::Sum;
use super::{Count, Now, Settings, Totals, lag};
use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::Path;
use crate::log::Log;
use crate::refusals;
use crate::store::backlog::{self, Table, Whose};

/// How far an error budget goes back.
const BUDGET: TimeDelta = TimeDelta::days(30);

/// How the deliveries of a subscription fare.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
    "as_of": "2026-11-23T21:00:42Z", "window_seconds": 102.0,
    "attempts_per_second": 0.4, "deliveries_per_second": 0.0, "success_share": 0.0,
    "latency_ms": {"mean": 2.1, "p50": 1.9, "p95": 3.0, "p99": 3.3}, "delay_ms": null,
    "totals": {"since": "2026-11-01T00:00:00Z", "attempts": 90000, "delivered": 89000,
               "failed": 1000, "dead_lettered": 12, "expired": 0, "superseded": 0},
    "health": {
        "state": "active", "circuit": "open", "success_share_1h": 0.42,
        "consecutive_failures": 61, "failing_since": "2026-11-23T20:00:00Z",
        "last_failure": "connect_refused", "disabled_at": "2026-11-28T20:00:00Z",
        "pending": {"count": 18, "exact": true}, "held_back_events": 3100,
        "oldest_pending_seconds": 1840.0, "dead_letters": {"count": 12, "exact": true},
        "budget": {"target": 99.9, "burn_1h": 580.0, "burn_1d": 31.5, "left_30d": -10.1}
    }
}))]
pub struct SubscriptionStats {
    subscription_id: Uuid,
    #[serde(flatten)]
    now: Now,
    totals: Totals,
    health: Health,
}

/// How well its receiver is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    state: SubscriptionState,
    circuit: circuits::State,
    /// Of the attempts of the last hour; `null` where none was made.
    success_share_1h: Option<f64>,
    /// Attempts that failed since `failing_since`; with those that failed before, in its minute (its
    /// hour, where that is more than a day ago).
    consecutive_failures: u64,
    /// The first failure after the last success; `null` while it does not fail.
    failing_since: Option<DateTime<Utc>>,
    /// The class of the latest.
    last_failure: Option<String>,
    /// When it will be disabled, if nothing else happens.
    disabled_at: Option<DateTime<Utc>>,
    pending: Count,
    /// How many events it has yet to look at, while it is off the log; not all need be for it.
    held_back_events: Option<i64>,
    oldest_pending_seconds: Option<f64>,
    dead_letters: Count,
    budget: Budget,
}

/// How much of what may fail has failed. A burn of 1 uses the budget up exactly as it is given.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct Budget {
    /// How many attempts should succeed, in percent (`SLO_SUCCESS`).
    target: f64,
    /// How fast it was used in the last hour; `null` where no attempt was made.
    burn_1h: Option<f64>,
    /// … in the last day, from a full hour on.
    burn_1d: Option<f64>,
    /// Which share is left of that of the last 30 days; below 0: more has failed.
    left_30d: Option<f64>,
}

impl Budget {
    fn new(target: f64, hour: &Sum, day: &Sum, month: &Sum) -> Self {
        let burn = |sum: &Sum| Some((1.0 - sum.success_share()?) / (1.0 - target / 100.0));
        Self {
            target,
            burn_1h: burn(hour).map(rounded),
            burn_1d: burn(day).map(rounded),
            left_30d: burn(month).map(|burn| rounded(1.0 - burn)),
        }
    }
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}

/// The last hour, day and 30 days.
struct Lately {
    hour: Sum,
    day: Sum,
    month: Sum,
}

impl Lately {
    async fn of(cells: &mut Cells, of: &Of) -> Result<Self, ApiError> {
        Ok(Self {
            hour: last(cells, of, Granularity::Minute, TimeDelta::hours(1)).await?,
            day: last(cells, of, Granularity::Hour, TimeDelta::days(1)).await?,
            month: last(cells, of, Granularity::Day, BUDGET).await?,
        })
    }
}

/// What was counted in so long, from a border on.
async fn last(
    cells: &mut Cells,
    of: &Of,
    granularity: Granularity,
    length: TimeDelta,
) -> Result<Sum, ApiError> {
    let until = cells.state.now;
    let since = granularity.begin(until - length);
    let span = Span {
        granularity,
        since,
        until,
    };
    Ok(Sum::of(&cells.read(span, of).await?))
}

/// Attempts that failed from a time on, or since its border.
async fn failures(
    cells: &mut Cells,
    of: &Of,
    since: DateTime<Utc>,
    settings: Settings,
) -> Result<u64, ApiError> {
    let ago = cells.state.now - since;
    let hours = TimeDelta::from_std(settings.kept.kept(Granularity::Hour));
    let granularity = if ago < TimeDelta::days(1) {
        Granularity::Minute
    } else if hours.is_ok_and(|kept| ago < kept) {
        Granularity::Hour
    } else {
        Granularity::Day
    };
    Ok(last(cells, of, granularity, ago).await?.failed)
}

/// When it will have failed for as long as it may.
fn disabled_at(
    row: &Row,
    failing_since: Option<DateTime<Utc>>,
    settings: Settings,
) -> Option<DateTime<Utc>> {
    let own = row.disable_after_ms.map(TimeDelta::milliseconds);
    let after = own.or_else(|| TimeDelta::from_std(settings.disable_after).ok())?;
    let is_active = row.state == SubscriptionState::Active;
    failing_since
        .filter(|_| is_active)?
        .checked_add_signed(after)
}

/// Show how the deliveries of a subscription fare
#[utoipa::path(get, path = "/subscriptions/{id}/stats", tag = "statistics",
    security(("key" = ["read"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = SubscriptionStats, description = "It is this"),
    refusals::One,
))]
pub async fn subscription(
    State(db): State<PgPool>,
    State(log): State<Log>,
    State(settings): State<Settings>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<SubscriptionStats>, ApiError> {
    let row = caller.reach(subscriptions::get(&db, id).await?)?;
    let circuit = circuits::get_all(&db, &[id]).await?.pop();
    let failing_since = circuit.as_ref().and_then(|circuit| circuit.failing_since);

    let of = Of::subscription(id);
    let mut cells = Cells::open(&db).await?;
    let (now, _) = Now::of(&mut cells, &of).await?;
    let totals = Totals::of(&mut cells, &of, settings).await?;
    let lately = Lately::of(&mut cells, &of).await?;
    let consecutive_failures = match failing_since {
        Some(since) => failures(&mut cells, &of, since, settings).await?,
        None => 0,
    };
    let at = cells.state.now;
    drop(cells);

    let Lately { hour, day, month } = lately;
    let whose = Whose {
        owner: None,
        subscription_id: Some(id),
    };
    let oldest = backlog::oldest_pending(&db, whose).await?;
    let health = Health {
        state: row.state,
        circuit: circuit.as_ref().map(|it| it.state).unwrap_or_default(),
        success_share_1h: hour.success_share(),
        consecutive_failures,
        failing_since,
        last_failure: circuit.and_then(|circuit| circuit.last_failure),
        disabled_at: disabled_at(&row, failing_since, settings),
        pending: Count::of(&db, Table::Pending, whose).await?,
        held_back_events: lag::held_back(&db, &log, id).await?,
        oldest_pending_seconds: oldest.map(|since| seconds(since, at).max(0.0)),
        dead_letters: Count::of(&db, Table::Dead, whose).await?,
        budget: Budget::new(settings.slo_success, &hour, &day, &month),
    };
    Ok(axum::Json(SubscriptionStats {
        subscription_id: id,
        now,
        totals,
        health,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(attempts: u64, failed: u64) -> Sum {
        Sum {
            attempts,
            failed,
            ..Sum::default()
        }
    }

    #[test]
    fn a_burn_of_one_uses_the_budget_as_it_is_given() {
        let budget = Budget::new(99.0, &sum(100, 1), &sum(100, 10), &sum(1000, 5));
        let expected = Budget {
            target: 99.0,
            burn_1h: Some(1.0),
            burn_1d: Some(10.0),
            left_30d: Some(0.5),
        };
        assert_eq!(budget, expected);
        let idle = Budget::new(99.0, &sum(0, 0), &sum(0, 0), &sum(10, 10));
        assert_eq!((idle.burn_1h, idle.left_30d), (None, Some(-99.0)));
    }
}
