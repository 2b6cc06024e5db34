//! `/subscriptions`: who wants events, and where.
//!
//! Secrets go in and never come out: a subscription says only that it has one.

mod input;
mod secret;
mod shown;
mod states;
mod test_delivery;

use axum::extract::State;
use axum::http::StatusCode;
use common::secrets::Keyring;
use common::store::subscriptions::{self, Row};
use common::store::{circuits, cursors, replays, undelivered};
use outbound::Egress;
use secrecy::ExposeSecret;
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::error::{ApiError, OnConstraint};
use crate::extract::{Json, Path, Query};
use crate::list::{Limit, Page, Skip};
use crate::location::{Location, location};
use crate::refusals;
use crate::state::AppState;
use input::{NewSubscription, SubscriptionPatch};
use shown::{NewlyMade, Subscription};

/// The constraint that keeps names apart.
const NAME_KEY: &str = "subscriptions_name_key";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(create, list))
        .routes(routes!(get, update, delete))
        .merge(states::routes())
        .merge(secret::routes())
        .merge(test_delivery::routes())
}

/// Which subscriptions to show.
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
}

type Answer = Result<axum::Json<Subscription>, ApiError>;

async fn found(db: &PgPool, row: Option<Row>) -> Answer {
    let row = row.ok_or(ApiError::NotFound("subscription"))?;
    Ok(axum::Json(shown::one(db, row).await?))
}

/// Subscribe an endpoint to temperature events
///
/// Deliveries start with the next event; earlier ones can be had with a replay.
#[utoipa::path(post, path = "/subscriptions", tag = "subscriptions", responses(
    (status = 201, body = NewlyMade, description = "It is made",
     headers(("location" = String, description = "Where it is: `/subscriptions/{id}`"))),
    refusals::Create,
))]
async fn create(
    State(db): State<PgPool>,
    State(egress): State<Egress>,
    State(keyring): State<Keyring>,
    Json(new): Json<NewSubscription>,
) -> Result<(StatusCode, Location, axum::Json<NewlyMade>), ApiError> {
    new.check(&egress)?;
    let id = Uuid::now_v7();
    let (settings, secret) = new.seal(&keyring, id)?;
    let row = subscriptions::insert(&db, id, &settings)
        .await
        .on_constraint(NAME_KEY, ApiError::NameTaken)?;
    let location = location(format!("/subscriptions/{}", row.id));
    let made = NewlyMade {
        subscription: shown::one(&db, row).await?,
        signing_secret: secret.expose_secret().to_owned(),
    };
    Ok((StatusCode::CREATED, location, axum::Json(made)))
}

/// List subscriptions, oldest first
#[utoipa::path(get, path = "/subscriptions", tag = "subscriptions", params(ListQuery), responses(
    (status = 200, body = Page<Subscription>, description = "A part of the list"),
    refusals::List,
))]
async fn list(
    State(db): State<PgPool>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Subscription>>, ApiError> {
    let rows = subscriptions::list(&db, query.skip.into(), query.limit.into()).await?;
    let shown = shown::all(&db, rows).await?;
    Ok(axum::Json(shown.into_iter().collect()))
}

/// Show a subscription
#[utoipa::path(get, path = "/subscriptions/{id}", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is this"),
    refusals::One,
))]
async fn get(State(db): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    found(&db, subscriptions::get(&db, id).await?).await
}

/// Change a subscription
///
/// What is absent stays; `null` clears, or brings the processor's default back. Deliveries follow
/// within a second; one that is pending goes where the subscription then says.
#[utoipa::path(patch, path = "/subscriptions/{id}", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is changed"),
    refusals::Update,
))]
async fn update(
    State(db): State<PgPool>,
    State(egress): State<Egress>,
    State(keyring): State<Keyring>,
    Path(id): Path<Uuid>,
    Json(patch): Json<SubscriptionPatch>,
) -> Answer {
    patch.check(&egress)?;
    let mut transaction = db.begin().await?;
    let before = subscriptions::lock(&mut transaction, id).await?;
    let before = before.ok_or(ApiError::NotFound("subscription"))?;
    let after = patch.apply(&keyring, before)?;
    let row = subscriptions::update(&mut transaction, id, &after)
        .await
        .on_constraint(NAME_KEY, ApiError::NameTaken)?;
    transaction.commit().await?;
    found(&db, Some(row)).await
}

/// Remove a subscription
///
/// Its pending deliveries end with it, its replays are cancelled; its dead letters stay, for a
/// person to look at.
#[utoipa::path(delete, path = "/subscriptions/{id}", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 204, description = "It is removed"),
    refusals::One,
))]
async fn delete(State(db): State<PgPool>, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    let mut transaction = db.begin().await?;
    if !subscriptions::delete(&mut *transaction, id).await? {
        return Err(ApiError::NotFound("subscription"));
    }
    subscriptions::end_pending_deliveries(&mut transaction, id).await?;
    replays::cancel_all(&mut *transaction, id).await?;
    circuits::delete(&mut *transaction, id).await?;
    cursors::delete(&mut *transaction, id).await?;
    undelivered::delete(&mut *transaction, id).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
