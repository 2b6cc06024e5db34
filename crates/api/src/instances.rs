//! `/instances`: which programs run, and with which settings. For admins.
//!
//! What a process tells of itself is served as it told it: one of another version may know other
//! settings. Secrets are left out by the process itself, before anything is written down.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use common::settings::Setting;
use common::store::instances::{self, Row};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::error::ApiError;
use crate::extract::Query;
use crate::list::{Page, Part};
use crate::refusals;
use crate::state::AppState;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list))
}

/// A process of `api` or `processor`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-a1f4-7e10-8f5b-2c4d6e8f0a1b", "service": "processor", "version": "0.1.0",
    "host": "worker-2", "pid": 4711, "started_at": "2026-11-23T20:00:00Z",
    "seen_at": "2026-11-23T21:00:00Z", "running": true,
    "settings": [
        {"name": "ATTEMPT_TIMEOUT", "flag": "--attempt-timeout", "help": "How long one attempt may take",
         "source": "environment", "secret": false, "value": "30s", "default": "10s"},
        {"name": "SECRETS_KEYS", "flag": "--secrets-keys", "help": "The keys under which secrets are stored",
         "source": "environment", "secret": true, "value": null, "default": null}
    ]
}))]
pub struct Instance {
    id: Uuid,
    service: String,
    version: String,
    /// On which machine, or in which container.
    host: String,
    /// The number of the process there.
    pid: i64,
    started_at: DateTime<Utc>,
    /// When it told of itself last, which it does every 30 seconds.
    seen_at: DateTime<Utc>,
    /// Whether that is less than 90 seconds ago. One that was stopped is not listed any more; one that
    /// was killed is for an hour.
    running: bool,
    /// As they are in force, without secrets.
    #[schema(value_type = Vec<Setting>)]
    settings: Box<RawValue>,
}

impl TryFrom<Row> for Instance {
    type Error = serde_json::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        Ok(Self {
            id: row.id,
            service: row.service,
            version: row.version,
            host: row.host,
            pid: row.pid,
            started_at: row.started_at,
            seen_at: row.seen_at,
            running: row.running,
            settings: RawValue::from_string(row.settings)?,
        })
    }
}

/// List the programs that run, newest first
///
/// With the settings that are in force, and where they come from.
#[utoipa::path(get, path = "/instances", tag = "instances", params(Part),
    security(("key" = ["admin"])), responses(
    (status = 200, body = Page<Instance>, description = "A part of the list"),
    refusals::List,
))]
async fn list(
    State(db): State<PgPool>,
    Query(part): Query<Part>,
) -> Result<Json<Page<Instance>>, ApiError> {
    let rows = instances::list(&db, part.skip.into(), part.limit.into()).await?;
    let listed: Result<Page<Instance>, _> = rows.into_iter().map(Instance::try_from).collect();
    let listed = listed.map_err(|error| ApiError::Internal(error.into()))?;
    Ok(Json(listed))
}
