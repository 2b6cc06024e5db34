//! `/subscriptions/{id}/replay` and `/replays`: stretches of the log that are sent again.
//!
//! The API looks up where a stretch begins and ends, and writes that down; the processor reads it
//! and says when it is completed.

mod dry_run;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use common::store::replays::{self, New, Row};
use common::store::{pending_deliveries, subscriptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};
use crate::fields::{RateLimit, Time};
use crate::list::{Limit, Page, Skip};
use crate::location::location;
use crate::log::{Log, Stretch};
use crate::refusals;
use crate::state::AppState;
use crate::store::audit::{self, Change};
use dry_run::DryRun;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(replay))
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(cancel))
}

/// What to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "since": "2026-11-23T20:00:00Z", "until": "2026-11-23T21:00:00Z", "rate": 100, "dry_run": false
}))]
pub struct ReplayRequest {
    /// Events published from then on.
    since: Time,
    /// Events published before then; now, unless given.
    until: Option<Time>,
    /// Deliveries a second at most; as fast as catching up goes, unless given.
    rate: Option<RateLimit>,
    /// Whether only to say what would be sent.
    #[serde(default)]
    #[schema(required = false, default = false)]
    dry_run: bool,
}

/// A stretch of time that lies in the past.
#[derive(Clone, Copy, Debug)]
struct Period {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Period {
    fn of(asked: &ReplayRequest, now: DateTime<Utc>) -> Result<Self, ApiError> {
        let wrong = |pointer: &str, detail: &str| ApiError::InvalidField {
            pointer: pointer.into(),
            detail: detail.into(),
        };
        let since = DateTime::from(asked.since);
        let until = asked.until.map_or(now, DateTime::from).min(now);
        if since >= now {
            return Err(wrong("/since", "must be in the past"));
        }
        if since >= until {
            return Err(wrong("/until", "must be after since"));
        }
        Ok(Self { since, until })
    }

    /// Where it lies in the log, if that goes back so far.
    async fn find(self, log: &Log) -> Result<Stretch, ApiError> {
        let stretch = log.stretch(self.since, self.until).await?;
        match stretch.earliest {
            Some(earliest) if self.since < earliest => Err(ApiError::BeforeLog { earliest }),
            _ => Ok(stretch),
        }
    }
}

/// A stretch of the log that is sent to a subscription again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-c1e4-7a10-8d3b-5e6f7a8b9c0d",
    "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "state": "running",
    "since": "2026-11-23T20:00:00Z", "until": "2026-11-23T21:00:00Z", "rate": 100.0,
    "count": 36000, "settled": 5200, "progress": 0.25,
    "created_at": "2026-11-23T21:05:00Z", "ended_at": null
}))]
pub struct Replay {
    /// The `webhook-replay` of its deliveries.
    id: Uuid,
    subscription_id: Uuid,
    #[schema(inline)]
    state: replays::State,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    /// Deliveries a second at most.
    rate: Option<f64>,
    /// How many events the stretch has, wanted or not.
    count: i64,
    /// How many deliveries are settled.
    settled: i64,
    /// How much of the stretch was read, 0 to 1.
    progress: f64,
    created_at: DateTime<Utc>,
    /// When it was completed or cancelled.
    ended_at: Option<DateTime<Utc>>,
}

impl From<Row> for Replay {
    #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
    fn from(row: Row) -> Self {
        let progress = match row.state {
            replays::State::Completed => 1.0,
            _ => row.passed as f64 / row.span.max(1) as f64,
        };
        Self {
            id: row.id,
            subscription_id: row.subscription_id,
            state: row.state,
            since: row.since,
            until: row.until,
            rate: row.rate,
            count: row.span,
            settled: row.settled,
            progress,
            created_at: row.created_at,
            ended_at: row.ended_at,
        }
    }
}

/// Which replays to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many to leave out.
    #[serde(default)]
    #[param(value_type = i64, minimum = 0, default = 0, example = 0)]
    skip: Skip,
    /// How many to show.
    #[serde(default)]
    #[param(value_type = i64, minimum = 1, maximum = 1000, default = 100, example = 100)]
    limit: Limit,
    /// Of this subscription only.
    subscription_id: Option<Uuid>,
}

type Answer = Result<axum::Json<Replay>, ApiError>;

/// Send a stretch of the log again
///
/// To this subscription only, and of it what the subscription wants, under the same `webhook-id`s
/// and with the header `webhook-replay`. It goes beside what is new, and after it where room is
/// short. Each call makes a replay of its own. With `dry_run` nothing is sent: the answer says what
/// would be.
#[utoipa::path(post, path = "/subscriptions/{id}/replay", tag = "replays",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 202, body = Replay, description = "It is made",
     headers(("location" = String, description = "Where it is: `/replays/{id}`"))),
    (status = 200, body = DryRun, description = "What would be sent"),
    refusals::Replay,
))]
async fn replay(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(asked): Json<ReplayRequest>,
) -> Result<Response, ApiError> {
    let subscription = caller.reach(subscriptions::get(&app.db, id).await?)?;
    let period = Period::of(&asked, Utc::now())?;
    let stretch = period.find(&app.log).await?;
    if asked.dry_run {
        let dry_run = DryRun::of(&app.log, subscription, period, stretch).await?;
        return Ok(axum::Json(dry_run).into_response());
    }
    let wanted = Wanted {
        subscription_id: id,
        period,
        rate: asked.rate.map(f64::from),
    };
    let row = write(&app, &caller, &wanted, &stretch).await?;
    let location = location(format!("/replays/{}", row.id));
    Ok((
        StatusCode::ACCEPTED,
        location,
        axum::Json(Replay::from(row)),
    )
        .into_response())
}

/// What somebody wants to be sent again.
struct Wanted {
    subscription_id: Uuid,
    period: Period,
    rate: Option<f64>,
}

/// What the audit keeps of a change of the replay.
fn change(action: &'static str, id: Uuid, changes: Value) -> Change<'static> {
    Change {
        action,
        kind: "replay",
        object_id: id.to_string(),
        changes,
    }
}

async fn write(
    app: &AppState,
    caller: &Caller,
    wanted: &Wanted,
    stretch: &Stretch,
) -> Result<Row, ApiError> {
    let mut transaction = app.db.begin().await?;
    // It must not be deleted meanwhile, or nobody would cancel this.
    caller.reach(subscriptions::lock(&mut transaction, wanted.subscription_id).await?)?;
    let new = New {
        subscription_id: wanted.subscription_id,
        since: wanted.period.since,
        until: wanted.period.until,
        rate: wanted.rate,
        topic: app.log.topic(),
        ranges: &stretch.ranges,
    };
    let id = replays::insert(&mut transaction, &new).await?;
    let row = replays::get(&mut *transaction, caller.owner(), id).await?;
    let changes = json!({
        "subscription_id": new.subscription_id, "since": new.since, "until": new.until,
        "rate": new.rate,
    });
    audit::insert(&mut transaction, caller, change("create", id, changes)).await?;
    transaction.commit().await?;
    row.ok_or(ApiError::NotFound("replay"))
}

/// List replays, oldest first
#[utoipa::path(get, path = "/replays", tag = "replays", params(ListQuery),
    security(("key" = ["read"])), responses(
    (status = 200, body = Page<Replay>, description = "A part of the list"),
    refusals::List,
))]
async fn list(
    State(db): State<PgPool>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Replay>>, ApiError> {
    let (skip, limit) = (query.skip.into(), query.limit.into());
    let rows = replays::list(&db, caller.owner(), query.subscription_id, skip, limit).await?;
    Ok(axum::Json(rows.into_iter().map(Replay::from).collect()))
}

/// Show a replay
#[utoipa::path(get, path = "/replays/{id}", tag = "replays",
    security(("key" = ["read"])), params(("id" = Uuid, Path, description = "The replay's")), responses(
    (status = 200, body = Replay, description = "It is this"),
    refusals::OneReplay,
))]
async fn get(State(db): State<PgPool>, caller: Caller, Path(id): Path<Uuid>) -> Answer {
    let row = replays::get(&db, caller.owner(), id).await?;
    let row = row.ok_or(ApiError::NotFound("replay"))?;
    Ok(axum::Json(row.into()))
}

/// Cancel a replay
///
/// What was sent stays sent, and what is in flight ends; what waits to be tried again is dropped.
/// One that is cancelled stays as it is.
#[utoipa::path(post, path = "/replays/{id}/cancel", tag = "replays",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The replay's")), responses(
    (status = 200, body = Replay, description = "It is cancelled"),
    refusals::Cancel,
))]
async fn cancel(State(db): State<PgPool>, caller: Caller, Path(id): Path<Uuid>) -> Answer {
    let mut transaction = db.begin().await?;
    let row = replays::get(&mut *transaction, caller.owner(), id).await?;
    let before = row.ok_or(ApiError::NotFound("replay"))?;
    replays::cancel(&mut *transaction, id).await?;
    let row = replays::get(&mut *transaction, caller.owner(), id).await?;
    let row = row.ok_or(ApiError::NotFound("replay"))?;
    if row.state == replays::State::Completed {
        return Err(ApiError::ReplayCompleted);
    }
    pending_deliveries::end_replay(&mut *transaction, row.subscription_id, id).await?;
    if row.state != before.state {
        let changes = json!({"state": row.state});
        audit::insert(&mut transaction, &caller, change("cancel", id, changes)).await?;
    }
    transaction.commit().await?;
    Ok(axum::Json(row.into()))
}
