//! `/subscriptions/{id}/timeline`: what happened to a subscription, for who did not hear of it then.
//!
//! These are the operational events that `event_types` may name, as far as they are about one
//! subscription. They need not be subscribed to, and its owner may see them too.

use anyhow::Context;
use axum::extract::State;
use chrono::{DateTime, Utc};
use common::store::subscriptions;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::{Path, Query};
use crate::list::{Limit, Page};
use crate::refusals;
use crate::state::AppState;
use crate::store::operations;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(timeline))
}

/// Something that happened to a subscription.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-9d03-7a41-8a7f-2b1f0c6f4d10", "type": "subscription.circuit_opened",
    "timestamp": "2026-11-23T21:00:10.120Z", "last_failure": "connect_refused",
    "failing_seconds": 10.4
}))]
pub struct OperationalEvent {
    id: Uuid,
    /// `subscription.circuit_opened`, `subscription.circuit_closed`, `subscription.recovered`,
    /// `subscription.disabled` or `delivery.dead_lettered`.
    #[serde(rename = "type")]
    event_type: String,
    timestamp: DateTime<Utc>,
    /// The class of the failure that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
    /// For how long there had been nothing but failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_seconds: Option<f64>,
    /// Why it was disabled, or a delivery given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How many deliveries were given up at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
}

/// How much of a timeline to show.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Newest {
    /// How many to show.
    #[serde(default)]
    #[param(value_type = i64, minimum = 1, maximum = 1000, default = 100, example = 100)]
    limit: Limit,
}

/// Show what happened to a subscription
///
/// Its circuit opened or closed, it has caught up, it was disabled, deliveries were given up: newest
/// first, of one kind no more than one a minute, for a day.
#[utoipa::path(get, path = "/subscriptions/{id}/timeline", tag = "subscriptions",
    security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The subscription's"), Newest), responses(
    (status = 200, body = Page<OperationalEvent>, description = "What happened"),
    refusals::Timeline,
))]
async fn timeline(
    State(db): State<PgPool>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(Newest { limit }): Query<Newest>,
) -> Result<axum::Json<Page<OperationalEvent>>, ApiError> {
    caller.reach(subscriptions::get(&db, id).await?)?;
    let bodies = operations::latest(&db, id, limit.into()).await?;
    let events = bodies.iter().map(|body| serde_json::from_str(body));
    let events: Result<Page<_>, _> = events.collect();
    let events = events.context("reading an operational event");
    events.map(axum::Json).map_err(ApiError::Internal)
}
