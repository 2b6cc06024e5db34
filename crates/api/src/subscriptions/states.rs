//! `/subscriptions/{id}/pause`, `/resume`, `/enable`: whether a subscription gets events.
//!
//! Each may be repeated: what is as it should be stays as it is, and nobody is notified.

use std::time::Duration;

use axum::extract::State;
use common::store::circuits;
use common::store::subscriptions::{self, Row, State as Active};
use sqlx::PgPool;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::shown::Subscription;
use super::{Answer, found};
use crate::error::ApiError;
use crate::extract::Path;
use crate::refusals;
use crate::state::AppState;

/// How long after it is enabled a subscription is probed.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(enable))
}

/// Refuses one that only `/enable` makes active again.
fn not_disabled(row: Option<Row>) -> Result<Option<Row>, ApiError> {
    if row
        .as_ref()
        .is_some_and(|row| row.state == Active::Disabled)
    {
        return Err(ApiError::SubscriptionDisabled);
    }
    Ok(row)
}

/// Pause a subscription
///
/// Nothing is sent to it until it is resumed; what happens meanwhile is delivered then.
#[utoipa::path(post, path = "/subscriptions/{id}/pause", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is paused"),
    refusals::Switch,
))]
async fn pause(State(db): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    subscriptions::pause(&db, id).await?;
    found(&db, not_disabled(subscriptions::get(&db, id).await?)?).await
}

/// Resume a subscription that is paused
///
/// What happened while it was paused is delivered, as far back as the topic is kept.
#[utoipa::path(post, path = "/subscriptions/{id}/resume", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is active"),
    refusals::Switch,
))]
async fn resume(State(db): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    subscriptions::resume(&db, id).await?;
    found(&db, not_disabled(subscriptions::get(&db, id).await?)?).await
}

/// Enable a subscription that is disabled
///
/// An answer of 410, or too long a time of nothing but failures, disables a subscription; this
/// undoes it. It starts with a probe after 5 seconds, and goes on when that succeeds; failures of
/// before do not count again. One that is not disabled stays as it is.
#[utoipa::path(post, path = "/subscriptions/{id}/enable", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is not disabled any more"),
    refusals::One,
))]
async fn enable(State(db): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    let mut transaction = db.begin().await?;
    if subscriptions::enable(&mut *transaction, id).await? {
        circuits::start_over(&mut *transaction, id, COOL_DOWN).await?;
    }
    transaction.commit().await?;
    found(&db, subscriptions::get(&db, id).await?).await
}
