//! `/dlqs`: deliveries that failed for good, to be looked at, sent again or removed.
//!
//! A payload that is JSON is shown as it is, byte for byte; another in base64. A list leaves out
//! payloads of more than 16 KiB, so that a page of 1,000 stays small. `groups` has what failed alike,
//! `reprocessed` what became of those that were sent again.

mod groups;
mod reprocessed;

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use common::store::dead_letters::{self, Fate, Filter, MAX_ERROR_CHARS, Reason, Requeue, Row};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};
use crate::list::{Limit, Page, Skip};
use crate::refusals;
use crate::state::AppState;
use crate::store::audit::{self, Change};

/// The largest payload that a list shows.
const MAX_LISTED_PAYLOAD_BYTES: i32 = 16 * 1024;

/// How many dead letters one call reprocesses.
const MAX_REPROCESSED: usize = 1000;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(reprocess, list))
        .routes(routes!(get, delete))
        .merge(groups::routes())
        .merge(reprocessed::routes())
}

/// A delivery that failed for good.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1, "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
    "event_id": "0199b0c2-9d03-7a41-8a7f-2b1f0c6f4d10", "topic": "updates", "partition": 3,
    "offset": 4711, "payload_bytes": 203,
    "payload": {
        "id": "0199b0c2-9d03-7a41-8a7f-2b1f0c6f4d10", "type": "temperature.updated",
        "timestamp": "2026-11-23T21:00:00Z", "city": "Tokyo",
        "reading": 23.0, "unit": "C", "previous_reading": 21.5
    },
    "reason": "exhausted", "attempts": 9, "last_status": 500, "last_error": "http_5xx",
    "created_at": "2026-11-24T14:42:35Z"
}))]
pub struct DeadLetter {
    id: i64,
    /// Whose delivery failed; `null` when the record was no event.
    subscription_id: Option<Uuid>,
    /// The `webhook-id` of its attempts.
    event_id: String,
    /// Where the event lies in Kafka.
    topic: String,
    partition: i32,
    offset: i64,
    /// The size of the event.
    payload_bytes: i32,
    /// The event, when it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
    /// The event in base64, when it is not JSON. A list has neither for more than 16 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    reason: Reason,
    /// How many attempts were made.
    attempts: i32,
    /// The HTTP status of the last, where one was read.
    last_status: Option<i32>,
    /// The class of the last failure.
    last_error: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Row> for DeadLetter {
    fn from(row: Row) -> Self {
        let payload: Option<Box<RawValue>> = row
            .payload
            .as_ref()
            .and_then(|bytes| serde_json::from_slice(bytes).ok());
        let other = row.payload.filter(|_| payload.is_none());
        Self {
            id: row.id,
            subscription_id: row.subscription_id,
            event_id: row.event_id,
            topic: row.topic,
            partition: row.partition,
            offset: row.event_offset,
            payload_bytes: row.payload_bytes,
            payload,
            payload_base64: other.map(|bytes| BASE64_STANDARD.encode(bytes)),
            reason: row.reason,
            attempts: row.attempts,
            last_status: row.last_status,
            last_error: row.last_error,
            created_at: row.created_at,
        }
    }
}

/// Which dead letters to show.
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
    /// Of this reason only.
    reason: Option<Reason>,
    /// Of exactly this `last_error` only; empty: those without one.
    #[param(value_type = Option<String>, max_length = 300, example = "http_5xx")]
    last_error: Option<LastError>,
    /// Those behind this id only: who reads all of them gives the last one of the page before.
    after: Option<i64>,
}

/// What was said at last: the class of a failure, or why a record is no event. Up to 300 characters.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct LastError(String);

impl TryFrom<String> for LastError {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().count() > MAX_ERROR_CHARS {
            return Err(format!("must have at most {MAX_ERROR_CHARS} characters"));
        }
        if text.contains('\0') {
            return Err("must not have NUL characters".into());
        }
        Ok(Self(text))
    }
}

/// Dead letters to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"dlqs": [1, 2, 3]}))]
pub struct Reprocess {
    #[schema(value_type = Vec<i64>, min_items = 1, max_items = 1000)]
    dlqs: Ids,
}

/// 1 to 1,000 ids, each counted once.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<i64>")]
struct Ids(BTreeSet<i64>);

impl TryFrom<Vec<i64>> for Ids {
    type Error = String;

    fn try_from(ids: Vec<i64>) -> Result<Self, String> {
        if !(1..=MAX_REPROCESSED).contains(&ids.len()) {
            return Err(format!("must have 1 to {MAX_REPROCESSED} ids"));
        }
        Ok(Self(ids.into_iter().collect()))
    }
}

/// What became of each dead letter. Every id asked for is in exactly one of the three.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "requeued": [1], "not_found": [2], "refused": [{"id": 3, "reason": "malformed"}],
    "requeued_at": "2026-11-24T15:02:11.480172Z"
}))]
pub struct Reprocessed {
    /// These are pending deliveries now, due at once.
    requeued: Vec<i64>,
    /// These do not exist: removed, or sent again before.
    not_found: Vec<i64>,
    /// These stay dead letters.
    refused: Vec<Refused>,
    /// When: `GET /dlqs/reprocessed` has what became of them. `null`: nothing moved.
    requeued_at: Option<DateTime<Utc>>,
}

/// A dead letter that cannot be sent again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refused {
    id: i64,
    reason: RefusedBecause,
}

/// Why a dead letter cannot be sent again.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBecause {
    /// The record is no event, so there is nobody to send it to.
    Malformed,
    /// The subscription it failed for is gone.
    SubscriptionDeleted,
}

impl Reprocessed {
    fn new(Ids(mut asked): Ids, done: Vec<Requeue>) -> Self {
        let mut answer = Self::default();
        for Requeue { id, fate, at } in done {
            asked.remove(&id);
            match fate {
                Fate::Requeued => {
                    answer.requeued.push(id);
                    answer.requeued_at = Some(at);
                }
                Fate::Malformed => answer.refuse(id, RefusedBecause::Malformed),
                Fate::SubscriptionDeleted => answer.refuse(id, RefusedBecause::SubscriptionDeleted),
            }
        }
        answer.not_found = asked.into_iter().collect();
        answer
    }

    fn refuse(&mut self, id: i64, reason: RefusedBecause) {
        self.refused.push(Refused { id, reason });
    }
}

/// What the audit keeps of a change.
fn change(action: &'static str, object_id: String, changes: Value) -> Change<'static> {
    Change {
        action,
        kind: "dead_letter",
        object_id,
        changes,
    }
}

/// List dead letters, oldest first
///
/// Payloads of more than 16 KiB are left out here; `GET /dlqs/{id}` has them. To read all there are, go on
/// by `after`: a `skip` is counted out each time.
#[utoipa::path(get, path = "/dlqs", tag = "dead letters", params(ListQuery),
    security(("key" = ["read"])), responses(
    (status = 200, body = Page<DeadLetter>, description = "A part of the list"),
    refusals::List,
))]
async fn list(
    State(db): State<PgPool>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<DeadLetter>>, ApiError> {
    let filter = Filter {
        owner: caller.owner(),
        subscription_id: query.subscription_id,
        reason: query.reason,
        last_error: query.last_error.as_ref().map(|it| it.0.as_str()),
        after: query.after,
    };
    let (skip, limit) = (query.skip.into(), query.limit.into());
    let rows = dead_letters::list(&db, filter, skip, limit, MAX_LISTED_PAYLOAD_BYTES).await?;
    Ok(axum::Json(rows.into_iter().map(DeadLetter::from).collect()))
}

/// Show a dead letter, with its payload
#[utoipa::path(get, path = "/dlqs/{id}", tag = "dead letters",
    security(("key" = ["read"])), params(("id" = i64, Path, description = "The dead letter's", example = 1)), responses(
    (status = 200, body = DeadLetter, description = "It is this"),
    refusals::OneDeadLetter,
))]
async fn get(
    State(db): State<PgPool>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<axum::Json<DeadLetter>, ApiError> {
    let row = dead_letters::get(&db, caller.owner(), id).await?;
    let row = row.ok_or(ApiError::NotFound("dead letter"))?;
    Ok(axum::Json(row.into()))
}

/// Remove a dead letter
#[utoipa::path(delete, path = "/dlqs/{id}", tag = "dead letters",
    security(("key" = ["write"])), params(("id" = i64, Path, description = "The dead letter's", example = 1)), responses(
    (status = 204, description = "It is removed"),
    refusals::OneDeadLetter,
))]
async fn delete(
    State(db): State<PgPool>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode, ApiError> {
    let mut transaction = db.begin().await?;
    if !dead_letters::delete(&mut *transaction, caller.owner(), id).await? {
        return Err(ApiError::NotFound("dead letter"));
    }
    let made = change("delete", id.to_string(), json!({}));
    audit::insert(&mut transaction, &caller, made).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send dead letters again
///
/// Each becomes a pending delivery of the subscription it failed for, and of no other, with its
/// attempts counted anew. All move in one transaction; asking again for one that moved says
/// `not_found`. Where the same delivery is already pending, that one stays and the dead letter
/// goes. Those of a disabled subscription wait until it is enabled.
#[utoipa::path(post, path = "/dlqs", tag = "dead letters",
    security(("key" = ["write"])), responses(
    (status = 202, body = Reprocessed, description = "What became of each"),
    refusals::Reprocess,
))]
async fn reprocess(
    State(db): State<PgPool>,
    caller: Caller,
    Json(asked): Json<Reprocess>,
) -> Result<(StatusCode, axum::Json<Reprocessed>), ApiError> {
    let ids: Vec<i64> = asked.dlqs.0.iter().copied().collect();
    let mut transaction = db.begin().await?;
    let done = dead_letters::requeue(&mut *transaction, caller.owner(), &ids).await?;
    let requeued = done.iter().filter(|one| one.fate == Fate::Requeued);
    let requeued: Vec<i64> = requeued.map(|one| one.id).collect();
    if !requeued.is_empty() {
        // One row for all of them; the object is the queue.
        let made = change("reprocess", "dlqs".into(), json!({"dlqs": requeued}));
        audit::insert(&mut transaction, &caller, made).await?;
    }
    transaction.commit().await?;
    Ok((
        StatusCode::ACCEPTED,
        axum::Json(Reprocessed::new(asked.dlqs, done)),
    ))
}
