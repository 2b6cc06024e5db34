//! `GET /dlqs/reprocessed`: what became of dead letters that were sent again.
//!
//! They are told by when that was, which the record has of each of them; what they are by now is decided
//! where `/deliveries` decides it.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::groups::MAX_REPROCESSED;
use crate::access::Caller;
use crate::deliveries::{Delivery, Status, requeued_at};
use crate::error::ApiError;
use crate::extract::Query;
use crate::fields::Time;
use crate::refusals;
use crate::state::AppState;

/// How many of those that failed again are shown.
const MAX_SHOWN: usize = 50;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(show))
}

/// Which ones.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReprocessedQuery {
    /// When they were sent again: the `requeued_at` of that answer, as it is.
    #[param(value_type = String, format = DateTime, example = "2026-11-24T15:02:11.480172Z")]
    at: Time,
}

/// What deliveries are by now that were sent again at one moment.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "at": "2026-11-24T15:02:11.480172Z", "count": 3, "delivered": 1, "pending": 1, "dead": 1,
    "expired": 0, "superseded": 0, "cancelled": 0,
    "failed_again": [{
        "id": "AZmwwnwefVKgpU8PajqbEQAAAAADAAAAAAAAEmcHdXBkYXRlczAxOTliMGMyLTlkMDMtN2E0MQ",
        "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
        "event_id": "0199b0c2-9d03-7a41", "city": "Tokyo", "topic": "updates", "partition": 3,
        "offset": 4711, "replay_id": null, "status": "dead", "attempts_made": 9,
        "at": "2026-11-24T16:10:00.120Z", "last_status": 500, "failure": "http_5xx",
        "latency_ms": 78.112, "next_attempt_at": null
    }]
}))]
pub struct SentAgain {
    at: DateTime<Utc>,
    /// How many there are, each once; of more than 10,000, which no call sends again, so many.
    count: usize,
    delivered: usize,
    pending: usize,
    /// They failed again.
    dead: usize,
    expired: usize,
    superseded: usize,
    cancelled: usize,
    /// Up to 50 of those, the latest first.
    failed_again: Vec<Delivery>,
}

impl SentAgain {
    fn new(at: DateTime<Utc>, deliveries: Vec<Delivery>) -> Self {
        let mut all = Self {
            at,
            count: deliveries.len(),
            ..Self::default()
        };
        for delivery in deliveries {
            *all.those(delivery.status()) += 1;
            if delivery.status() == Status::Dead && all.failed_again.len() < MAX_SHOWN {
                all.failed_again.push(delivery);
            }
        }
        all
    }

    fn those(&mut self, status: Status) -> &mut usize {
        match status {
            Status::Delivered => &mut self.delivered,
            Status::Pending => &mut self.pending,
            Status::Dead => &mut self.dead,
            Status::Expired => &mut self.expired,
            Status::Superseded => &mut self.superseded,
            Status::Cancelled => &mut self.cancelled,
        }
    }
}

/// Show what became of dead letters that were sent again
///
/// Each is what it is by now: one that failed again and was sent again since is `pending`. It is known for
/// as long as the record is kept (`ATTEMPT_RETENTION`).
#[utoipa::path(get, path = "/dlqs/reprocessed", tag = "dead letters", params(ReprocessedQuery),
    security(("key" = ["read"])), responses(
    (status = 200, body = SentAgain, description = "They are this"),
    refusals::Reprocessed,
))]
async fn show(
    State(db): State<PgPool>,
    caller: Caller,
    Query(query): Query<ReprocessedQuery>,
) -> Result<axum::Json<SentAgain>, ApiError> {
    let at = DateTime::from(query.at);
    let deliveries = requeued_at(&db, caller.owner(), at, MAX_REPROCESSED).await?;
    if deliveries.is_empty() {
        return Err(ApiError::NothingSentAgain);
    }
    Ok(axum::Json(SentAgain::new(at, deliveries)))
}
