//! `/deliveries/{id}`: one with its attempts; sending it again; erasing what its receiver said.

use axum::extract::State;
use axum::http::StatusCode;
use common::store::attempts::list;
use common::store::attempts::one::{self, Beside, Row};
use common::store::attempts::{Key, Outcome};
use common::store::dead_letters::{self, Fate};
use common::store::pending_deliveries::one::{self as pending, Waiting};
use common::store::subscriptions;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::id::DeliveryId;
use super::select::{self, Status};
use super::shown::{Delivery, WholeDelivery};
use crate::access::{Caller, Role};
use crate::error::ApiError;
use crate::extract::Path;
use crate::refusals;
use crate::state::AppState;
use crate::store::audit::{self, Change};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(get))
        .routes(routes!(retry))
        .routes(routes!(erase))
}

/// Show a delivery, with its attempts
///
/// Headers and the response are kept of what failed, for as long as the record is.
#[utoipa::path(get, path = "/deliveries/{id}", tag = "deliveries",
    security(("key" = ["read"])), params(("id" = String, Path, description = "The delivery's")), responses(
    (status = 200, body = WholeDelivery, description = "It is this"),
    refusals::OneDelivery,
))]
async fn get(
    State(db): State<PgPool>,
    caller: Caller,
    Path(DeliveryId(key)): Path<DeliveryId>,
) -> Result<axum::Json<WholeDelivery>, ApiError> {
    reach(&db, &caller, &key).await?;
    let mut db = db.acquire().await?;
    let (delivery, rows) = known(&mut db, &key).await?.ok_or(NONE)?;
    Ok(axum::Json(WholeDelivery::new(delivery, rows)))
}

/// Send a delivery again, now
///
/// What is pending is due at once; what is dead becomes a pending delivery, of the subscription it
/// failed for and no other, with its attempts counted anew, and its dead letter goes. Asked again, it
/// changes nothing. It goes out when its subscription gets anything: not while that is paused,
/// disabled, or its circuit open. What is delivered, expired, superseded or cancelled is not sent
/// again by this: replay it.
#[utoipa::path(post, path = "/deliveries/{id}/retry", tag = "deliveries",
    security(("key" = ["write"])), params(("id" = String, Path, description = "The delivery's")), responses(
    (status = 202, body = Delivery, description = "It is due"),
    refusals::Retry,
))]
async fn retry(
    State(db): State<PgPool>,
    caller: Caller,
    Path(DeliveryId(key)): Path<DeliveryId>,
) -> Result<(StatusCode, axum::Json<Delivery>), ApiError> {
    reach(&db, &caller, &key).await?;
    let mut transaction = db.begin().await?;
    if !pending::hurry(&mut *transaction, &key).await? {
        requeue(&mut transaction, &caller, &key).await?;
    }
    let made = change("retry", &key);
    audit::insert(&mut transaction, &caller, made).await?;
    let (delivery, _) = known(&mut transaction, &key).await?.ok_or(NONE)?;
    transaction.commit().await?;
    Ok((StatusCode::ACCEPTED, axum::Json(delivery)))
}

/// Erase what was said in a delivery's attempts
///
/// The headers of both sides and the responses are gone from the record for good; that the attempts
/// were made, and what came of them, stays.
#[utoipa::path(delete, path = "/deliveries/{id}/content", tag = "deliveries",
    security(("key" = ["write"])), params(("id" = String, Path, description = "The delivery's")), responses(
    (status = 204, description = "There is none any more"),
    refusals::OneDelivery,
))]
async fn erase(
    State(db): State<PgPool>,
    caller: Caller,
    Path(DeliveryId(key)): Path<DeliveryId>,
) -> Result<StatusCode, ApiError> {
    reach(&db, &caller, &key).await?;
    let mut transaction = db.begin().await?;
    let recorded = one::erase(&mut *transaction, &key).await?;
    if !recorded && pending::get(&mut *transaction, &key).await?.is_none() {
        return Err(NONE);
    }
    let made = change("erase_content", &key);
    audit::insert(&mut transaction, &caller, made).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

const NONE: ApiError = ApiError::NotFound("delivery");

/// What the audit keeps of a change.
fn change(action: &'static str, key: &Key) -> Change<'static> {
    Change {
        action,
        kind: "delivery",
        object_id: DeliveryId::text(key),
        changes: json!({"subscription_id": key.subscription_id, "event_id": key.event_id}),
    }
}

/// # Errors
/// The same for another owner's delivery as for none.
async fn reach(db: &PgPool, caller: &Caller, key: &Key) -> Result<(), ApiError> {
    if caller.role == Role::Admin {
        // Also of a subscription that was removed.
        return Ok(());
    }
    let subscription = subscriptions::get(db, key.subscription_id).await?;
    caller.reach(subscription).map_err(|_| NONE)?;
    Ok(())
}

/// Makes what is dead pending again.
async fn requeue(db: &mut PgConnection, caller: &Caller, key: &Key) -> Result<(), ApiError> {
    let letters = dead_letters::one::of(&mut *db, key).await?;
    let ids: Vec<i64> = letters.iter().map(|letter| letter.id).collect();
    let done = dead_letters::requeue(&mut *db, caller.owner(), &ids).await?;
    if done.iter().any(|one| one.fate == Fate::Requeued) {
        return Ok(());
    }
    // Another request may have been first.
    if pending::hurry(&mut *db, key).await? {
        return Ok(());
    }
    let (delivery, _) = known(db, key).await?.ok_or(NONE)?;
    Err(ApiError::NotRetryable(match delivery.status() {
        Status::Delivered => "it is delivered: a replay sends it again",
        Status::Expired | Status::Superseded => {
            "its subscription's policy ended it: a replay sends it again"
        }
        Status::Cancelled => "its replay was cancelled, or its subscription removed",
        Status::Dead if !done.is_empty() => "its subscription was removed",
        Status::Dead => {
            "its dead letter was removed, and the event with it: a replay sends it again"
        }
        Status::Pending => "it is being settled at this moment: look again",
    }))
}

/// What is known of a delivery, if anything is.
async fn known(db: &mut PgConnection, key: &Key) -> sqlx::Result<Option<(Delivery, Vec<Row>)>> {
    let rows = one::rows(&mut *db, key).await?;
    let waiting = pending::get(&mut *db, key).await?;
    let Some(latest) = latest(key, &rows, waiting.as_ref()) else {
        return Ok(None);
    };
    let newest_first = rows.iter().rev().map(|row| (row.outcome, row.number));
    let beside = Beside {
        is_past: false,
        due_at: waiting.map(|waiting| waiting.due_at),
        settled: select::settled(newest_first),
    };
    Ok(Some((Delivery::of(latest, &beside), rows)))
}

/// Its latest row; of one that has none, as if that it is pending were one.
fn latest(key: &Key, rows: &[Row], waiting: Option<&Waiting>) -> Option<list::Row> {
    let last = rows.last();
    let city = rows.iter().rev().find_map(|row| row.event_key.clone());
    Some(list::Row {
        attempted_at: last
            .map(|row| row.attempted_at)
            .or(waiting.map(|waiting| waiting.created_at))?,
        subscription_id: key.subscription_id,
        replay_id: key.replay_id,
        topic: key.topic.clone(),
        partition: key.partition,
        event_offset: key.event_offset,
        event_id: key.event_id.clone(),
        event_key: city.or_else(|| waiting?.event_key.clone()),
        number: last.map_or_else(|| waiting.map_or(0, |it| it.attempts), |row| row.number),
        outcome: last.map_or(Outcome::Pending, |row| row.outcome),
        status: last.and_then(|row| row.status),
        failure: last.and_then(|row| row.failure.clone()),
        total_us: last.and_then(|row| row.total_us),
    })
}
