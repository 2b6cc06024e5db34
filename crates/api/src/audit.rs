//! `/audit`: who changed what, when and from where. For admins.
//!
//! What is older than `AUDIT_KEPT_DAYS` is removed, in batches, so that no removal is long.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::LINK;
use axum::response::{AppendHeaders, IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded::Serializer;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::extract::Query;
use crate::fields::{Text, Time};
use crate::list::{Limit, Page};
use crate::refusals;
use crate::state::AppState;
use crate::store::audit::{self, Filter, Row};

/// How often it is looked for what is too old.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// How many rows are removed at once.
const SWEEP_LIMIT: i64 = 1000;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list))
}

/// A change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 7, "at": "2026-11-23T21:00:00Z", "who": "key:0199b0c2-d1f4-7b20-9c3d-6f7a8b9c0d1e",
    "role": "subscriber", "action": "update", "kind": "subscription",
    "object_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "address": "203.0.113.7",
    "changes": {"url": "https://example.com/hook", "auth": "changed"},
    "request_id": "0199b0c2-b1f4-7c60-9e0b-3a5d2c8e7f42"
}))]
pub struct Entry {
    id: i64,
    at: DateTime<Utc>,
    /// `key:` and its id, `admin-key` (`ADMIN_API_KEY`), `command`, or `off` (`AUTH=off`).
    who: String,
    role: String,
    action: String,
    /// Of what kind the object is.
    kind: String,
    object_id: String,
    /// From where the request came; `null` for commands.
    address: Option<String>,
    /// What was set. Secrets are left out.
    #[schema(value_type = Object)]
    changes: Box<RawValue>,
    request_id: String,
}

impl TryFrom<Row> for Entry {
    type Error = serde_json::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        Ok(Self {
            id: row.id,
            at: row.at,
            who: row.who,
            role: row.role,
            action: row.action,
            kind: row.kind,
            object_id: row.object_id,
            address: row.address,
            changes: RawValue::from_string(row.changes)?,
            request_id: row.request_id,
        })
    }
}

/// Which changes to show: those that match everything that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many to show.
    #[serde(default)]
    #[param(value_type = i64, minimum = 1, maximum = 1000, default = 100, example = 100)]
    limit: Limit,
    /// From before this one on: `next` of the answer before.
    #[param(minimum = 1)]
    before: Option<i64>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    who: Option<Text>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    action: Option<Text>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    kind: Option<Text>,
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    object_id: Option<Text>,
    /// From then on.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// Before then.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
}

/// List changes, newest first
///
/// Where there may be more, the header `Link` names the next part (`rel="next"`).
#[utoipa::path(get, path = "/audit", tag = "access", params(ListQuery),
    security(("key" = ["admin"])), responses(
    (status = 200, body = Page<Entry>, description = "A part of the list",
     headers(("link" = Option<String>, description = "Where the next part is"))),
    refusals::List,
))]
async fn list(
    State(db): State<PgPool>,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let limit = i64::from(query.limit);
    let before = query.before;
    if before.is_some_and(|before| before < 1) {
        return Err(ApiError::InvalidParameter {
            name: "before".into(),
            detail: "must be 1 or more".into(),
        });
    }
    let filter = Filter {
        who: query.who.map(Into::into),
        action: query.action.map(Into::into),
        kind: query.kind.map(Into::into),
        object_id: query.object_id.map(Into::into),
        since: query.since.map(Into::into),
        until: query.until.map(Into::into),
    };
    let rows = audit::list(&db, &filter, before, limit).await?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let last = rows.last().filter(|_| is_full).map(|row| row.id);
    let link = last.map(|last| (LINK, next(&filter, last, limit)));
    let entries: Result<Page<Entry>, _> = rows.into_iter().map(Entry::try_from).collect();
    let entries = entries.map_err(|error| ApiError::Internal(error.into()))?;
    Ok((AppendHeaders(link), axum::Json(entries)).into_response())
}

/// The value of `Link` (RFC 8288).
fn next(filter: &Filter, before: i64, limit: i64) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("before", &before.to_string());
    query.append_pair("limit", &limit.to_string());
    for (name, text) in [
        ("who", filter.who.clone()),
        ("action", filter.action.clone()),
        ("kind", filter.kind.clone()),
        ("object_id", filter.object_id.clone()),
        ("since", filter.since.map(|time| time.to_rfc3339())),
        ("until", filter.until.map(|time| time.to_rfc3339())),
    ] {
        if let Some(text) = text {
            query.append_pair(name, &text);
        }
    }
    format!("</audit?{}>; rel=\"next\"", query.finish())
}

/// Removes what is older than so many days, until `stop`. What fails is told and tried again.
///
/// # Errors
/// None; it is a task of the service.
pub async fn keep_days(db: PgPool, days: i32, stop: CancellationToken) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Some(Err(error)) = stop.run_until_cancelled(sweep(&db, days)).await {
            tracing::warn!(%error, "the audit could not be tidied");
        }
    }
    Ok(())
}

async fn sweep(db: &PgPool, days: i32) -> sqlx::Result<()> {
    while audit::delete_old(db, days, SWEEP_LIMIT).await? == SWEEP_LIMIT.unsigned_abs() {}
    Ok(())
}
