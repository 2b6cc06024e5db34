//! `/subscriptions/{id}/pause`, `/resume`, `/enable`: whether a subscription gets events.
//!
//! Each may be repeated: what is as it should be stays as it is, and nobody is notified.

use std::time::Duration;

use axum::extract::State;
use common::secrets::Keyring;
use common::store::circuits;
use common::store::subscriptions::{self, Row, State as Active};
use serde_json::json;
use sqlx::{PgPool, Postgres, Transaction};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::shown::Subscription;
use super::{Answer, change, found};
use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::Path;
use crate::refusals;
use crate::state::AppState;
use crate::store::audit;

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
fn not_disabled(row: Row) -> Result<Row, ApiError> {
    if row.state == Active::Disabled {
        return Err(ApiError::SubscriptionDisabled);
    }
    Ok(row)
}

/// Begins a change of a subscription that is in the caller's reach, which nobody else changes
/// meanwhile.
async fn begin(
    db: &PgPool,
    caller: &Caller,
    id: Uuid,
) -> Result<(Transaction<'static, Postgres>, Row), ApiError> {
    let mut transaction = db.begin().await?;
    let row = caller.reach(subscriptions::lock(&mut transaction, id).await?)?;
    Ok((transaction, row))
}

/// Ends it, and tells the audit where something changed.
async fn end(
    mut transaction: Transaction<'static, Postgres>,
    caller: &Caller,
    before: &Row,
    action: &'static str,
) -> Result<Row, ApiError> {
    let row = subscriptions::get(&mut *transaction, before.id).await?;
    let row = caller.reach(row)?;
    if row.state != before.state {
        let changes = json!({"state": row.state});
        audit::insert(&mut transaction, caller, change(action, row.id, changes)).await?;
    }
    transaction.commit().await?;
    Ok(row)
}

/// Pause a subscription
///
/// Nothing is sent to it until it is resumed; what happens meanwhile is delivered then.
#[utoipa::path(post, path = "/subscriptions/{id}/pause", tag = "subscriptions",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is paused"),
    refusals::Switch,
))]
async fn pause(
    State(db): State<PgPool>,
    State(keyring): State<Keyring>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Answer {
    let (mut transaction, before) = begin(&db, &caller, id).await?;
    let before = not_disabled(before)?;
    subscriptions::pause(&mut *transaction, id).await?;
    let row = end(transaction, &caller, &before, "pause").await?;
    found(&db, &keyring, row).await
}

/// Resume a subscription that is paused
///
/// What happened while it was paused is delivered, as far back as the topic is kept.
#[utoipa::path(post, path = "/subscriptions/{id}/resume", tag = "subscriptions",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is active"),
    refusals::Switch,
))]
async fn resume(
    State(db): State<PgPool>,
    State(keyring): State<Keyring>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Answer {
    let (mut transaction, before) = begin(&db, &caller, id).await?;
    let before = not_disabled(before)?;
    subscriptions::resume(&mut *transaction, id).await?;
    let row = end(transaction, &caller, &before, "resume").await?;
    found(&db, &keyring, row).await
}

/// Enable a subscription that is disabled
///
/// An answer of 410, or too long a time of nothing but failures, disables a subscription; this
/// undoes it. It starts with a probe after 5 seconds, and goes on when that succeeds; failures of
/// before do not count again. One that is not disabled stays as it is.
#[utoipa::path(post, path = "/subscriptions/{id}/enable", tag = "subscriptions",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is not disabled any more"),
    refusals::One,
))]
async fn enable(
    State(db): State<PgPool>,
    State(keyring): State<Keyring>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Answer {
    let (mut transaction, before) = begin(&db, &caller, id).await?;
    if subscriptions::enable(&mut *transaction, id).await? {
        circuits::start_over(&mut *transaction, id, COOL_DOWN).await?;
    }
    let row = end(transaction, &caller, &before, "enable").await?;
    found(&db, &keyring, row).await
}
