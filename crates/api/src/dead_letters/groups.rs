//! `/dlqs/groups`: what failed in the same way for the same subscription, and sending all of it again.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use common::store::dead_letters::groups::{self, Filter, Part, Row};
use common::store::dead_letters::{self, Fate, Reason};
use common::store::subscriptions;
use common::store::subscriptions::owned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{LastError, change};
use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::fields::{Text, Time};
use crate::list::{Limit, Page, Skip};
use crate::refusals;
use crate::state::AppState;
use crate::store::audit;

/// How many dead letters of a group one call reprocesses.
pub(super) const MAX_REPROCESSED: i64 = 10_000;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list, reprocess_group))
}

/// Dead letters that failed in the same way for the same subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "reason": "exhausted",
    "last_error": "http_5xx", "count": 12480, "oldest_at": "2026-11-24T14:42:35Z",
    "newest_at": "2026-11-24T15:01:02Z"
}))]
pub struct Group {
    /// Whose deliveries failed; `null` where the records were no events.
    subscription_id: Option<Uuid>,
    reason: Reason,
    /// The class of the last failure; of what is malformed, why it is no event.
    last_error: Option<String>,
    /// How many there are.
    count: i64,
    /// When the first of them failed for good.
    oldest_at: DateTime<Utc>,
    /// When the last of them did.
    newest_at: DateTime<Utc>,
}

impl From<Row> for Group {
    fn from(row: Row) -> Self {
        Self {
            subscription_id: row.subscription_id,
            reason: row.reason,
            last_error: row.last_error,
            count: row.count,
            oldest_at: row.oldest_at,
            newest_at: row.newest_at,
        }
    }
}

/// Which groups to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GroupsQuery {
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
    /// Of this reason only.
    reason: Option<Reason>,
    /// Of exactly this `last_error` only; empty: the group without one.
    #[param(value_type = Option<String>, max_length = 300, example = "http_5xx")]
    last_error: Option<LastError>,
}

/// A group to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "reason": "exhausted",
    "last_error": "http_5xx", "until": "2026-11-24T15:02:11.480172Z"
}))]
pub struct ReprocessGroup {
    subscription_id: Uuid,
    /// Not `malformed`: such a record is no event, so there is nobody to send it to.
    reason: Reason,
    /// The group of this class of failure; without it, the one that has none.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    last_error: Option<Text>,
    /// Those that came before then only. What fails again comes back as another dead letter: who
    /// repeats the call until nothing remains gives the `requeued_at` of the first answer here.
    until: Option<Time>,
}

impl ReprocessGroup {
    fn part(&self) -> Result<Part<'_>, ApiError> {
        if self.reason == Reason::Malformed {
            return Err(ApiError::InvalidField {
                pointer: "/reason".into(),
                detail: "what is malformed is no event: there is nobody to send it to".into(),
            });
        }
        Ok(Part {
            subscription_id: self.subscription_id,
            reason: self.reason,
            last_error: self.last_error.as_ref().map(Text::as_str),
            until: self.until.map(DateTime::from),
        })
    }
}

/// How much of a group was sent again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "requeued": 10000, "remaining": 2480, "requeued_at": "2026-11-24T15:02:11.480172Z"
}))]
pub struct RequeuedGroup {
    /// So many are pending deliveries now, due at once.
    requeued: usize,
    /// So many of the group, as far as it came before `until`, are still dead letters.
    remaining: i64,
    /// When: `GET /dlqs/reprocessed` has what became of them. `null`: nothing moved.
    requeued_at: Option<DateTime<Utc>>,
}

/// List what dead letters have in common, the most frequent first
///
/// Each dead letter is in one group: by its subscription, its reason and its `last_error`.
#[utoipa::path(get, path = "/dlqs/groups", tag = "dead letters", params(GroupsQuery),
    security(("key" = ["read"])), responses(
    (status = 200, body = Page<Group>, description = "A part of the list"),
    refusals::List,
))]
async fn list(
    State(db): State<PgPool>,
    caller: Caller,
    Query(query): Query<GroupsQuery>,
) -> Result<axum::Json<Page<Group>>, ApiError> {
    let filter = Filter {
        reason: query.reason,
        last_error: query.last_error.as_ref().map(|it| it.0.as_str()),
    };
    let (skip, limit) = (query.skip.into(), query.limit.into());
    let ids = match (caller.owner(), query.subscription_id) {
        (None, None) => None,
        (None, Some(id)) => Some(vec![id]),
        (Some(owner), id) => Some(owned::ids(&db, owner, id).await?),
    };
    let rows = match ids {
        None => groups::of_all(&db, filter, skip, limit).await?,
        Some(ids) => groups::of_some(&db, &ids, filter, skip, limit).await?,
    };
    Ok(axum::Json(rows.into_iter().map(Group::from).collect()))
}

/// Send a group of dead letters again
///
/// The oldest of it, up to 10,000 in one transaction, as `POST /dlqs` does: repeat the call while
/// `remaining` is more than 0. Calls at once share the group among them.
#[utoipa::path(post, path = "/dlqs/groups", tag = "dead letters",
    security(("key" = ["write"])), responses(
    (status = 202, body = RequeuedGroup, description = "So many are sent again"),
    refusals::ReprocessGroup,
))]
async fn reprocess_group(
    State(db): State<PgPool>,
    caller: Caller,
    Json(asked): Json<ReprocessGroup>,
) -> Result<(StatusCode, axum::Json<RequeuedGroup>), ApiError> {
    let part = asked.part()?;
    caller.reach(subscriptions::get(&db, part.subscription_id).await?)?;
    let mut transaction = db.begin().await?;
    let ids = groups::lock_oldest(&mut *transaction, part, MAX_REPROCESSED).await?;
    let done = dead_letters::requeue(&mut *transaction, caller.owner(), &ids).await?;
    let requeued = done.iter().filter(|one| one.fate == Fate::Requeued).count();
    if requeued < ids.len() {
        // Its subscription was removed, or given away, meanwhile.
        return Err(ApiError::NotFound("subscription"));
    }
    if requeued > 0 {
        let group = json!({
            "subscription_id": part.subscription_id, "reason": part.reason,
            "last_error": part.last_error, "until": part.until, "requeued": requeued,
        });
        let made = change("reprocess", "dlqs".into(), group);
        audit::insert(&mut transaction, &caller, made).await?;
    }
    let remaining = groups::count(&mut *transaction, part).await?;
    transaction.commit().await?;
    let answer = RequeuedGroup {
        requeued,
        remaining,
        requeued_at: done.first().map(|one| one.at),
    };
    Ok((StatusCode::ACCEPTED, axum::Json(answer)))
}
