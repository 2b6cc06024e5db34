//! `/subscriptions`: who wants events, and where.
//!
//! Secrets go in and never come out: a subscription says only that it has one.

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use chrono::{DateTime, Utc};
use common::store::subscriptions::{self, AuthKey, Change, Changes, New, Row};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::error::{ApiError, OnConstraint};
use crate::extract::{Json, Path, Query};
use crate::fields::{Cities, Description, Endpoint, EventTypes, Name};
use crate::list::{Limit, Page, Skip};
use crate::refusals;

/// The constraint that keeps names apart.
const NAME_KEY: &str = "subscriptions_name_key";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<PgPool> {
    OpenApiRouter::default()
        .routes(routes!(create, list))
        .routes(routes!(get, update, delete))
        .routes(routes!(enable))
}

/// A subscription to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "my-web-hook", "description": "Web hook - Test", "url": "http://localhost:9099",
    "auth_key": "jfask329489240krwjekjewlkjre", "cities": ["Tokyo", "Berlin"]
}))]
pub struct NewSubscription {
    name: Name,
    description: Option<Description>,
    url: Endpoint,
    /// Travels as `Authorization: Bearer …` on each POST to the endpoint. Visible ASCII.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, write_only)]
    auth_key: Option<AuthKey>,
    /// Which types of events it gets; every type, unless given.
    event_types: Option<EventTypes>,
    /// Which cities' events it gets; every city's, unless given.
    cities: Option<Cities>,
}

/// What to change of a subscription. What is absent stays; `null` clears.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"url": "https://example.com/hook", "auth_key": null, "cities": ["Oslo"]}))]
pub struct SubscriptionPatch {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Name, required = false)]
    name: Option<Name>,
    #[serde(default)]
    #[schema(value_type = Option<Description>)]
    description: Change<Description>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(value_type = Endpoint, required = false)]
    url: Option<Endpoint>,
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, write_only)]
    auth_key: Change<AuthKey>,
    #[serde(default)]
    #[schema(value_type = Option<EventTypes>)]
    event_types: Change<EventTypes>,
    #[serde(default)]
    #[schema(value_type = Option<Cities>)]
    cities: Change<Cities>,
}

/// Of a field that is there, `null` is no value.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    field: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// A subscription.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "name": "my-web-hook",
    "description": "Web hook - Test", "url": "http://localhost:9099", "auth": {"kind": "bearer"},
    "event_types": null, "cities": ["Tokyo", "Berlin"], "state": "active", "disabled_reason": null,
    "disabled_at": null, "created_at": "2026-11-23T21:00:00Z", "updated_at": "2026-11-23T21:00:00Z"
}))]
pub struct Subscription {
    id: Uuid,
    name: String,
    description: Option<String>,
    /// Where deliveries go.
    url: String,
    /// How deliveries authenticate; the secret itself is never read back.
    auth: Option<Auth>,
    /// `null`: every type.
    event_types: Option<Vec<String>>,
    /// `null`: every city.
    cities: Option<Vec<String>>,
    state: subscriptions::State,
    /// Why it is disabled.
    disabled_reason: Option<String>,
    /// Since when it is.
    disabled_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// How deliveries authenticate to the receiver.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer,
}

impl From<Row> for Subscription {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            url: row.url,
            auth: row.auth_key.map(|_| Auth::Bearer),
            event_types: row.event_types,
            cities: row.cities,
            state: row.state,
            disabled_reason: row.disabled_reason,
            disabled_at: row.disabled_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
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

fn found(row: Option<Row>) -> Answer {
    let row = row.ok_or(ApiError::NotFound("subscription"))?;
    Ok(axum::Json(row.into()))
}

/// Subscribe an endpoint to temperature events
///
/// Deliveries start with the next event; earlier ones are not replayed.
#[utoipa::path(post, path = "/subscriptions", tag = "subscriptions", responses(
    (status = 201, body = Subscription, description = "It is made",
     headers(("location" = String, description = "Where it is: `/subscriptions/{id}`"))),
    refusals::Create,
))]
async fn create(
    State(db): State<PgPool>,
    Json(new): Json<NewSubscription>,
) -> Result<
    (
        StatusCode,
        [(HeaderName, String); 1],
        axum::Json<Subscription>,
    ),
    ApiError,
> {
    let new = New {
        name: new.name.plain(),
        description: new.description.as_ref().map(Description::plain),
        url: new.url.plain(),
        auth_key: new.auth_key.as_ref(),
        event_types: new.event_types.as_ref().map(EventTypes::plain),
        cities: new.cities.as_ref().map(Cities::plain),
    };
    let row = subscriptions::insert(&db, &new)
        .await
        .on_constraint(NAME_KEY, ApiError::NameTaken)?;
    let location = [(header::LOCATION, format!("/subscriptions/{}", row.id))];
    Ok((StatusCode::CREATED, location, axum::Json(row.into())))
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
    Ok(axum::Json(
        rows.into_iter().map(Subscription::from).collect(),
    ))
}

/// Show a subscription
#[utoipa::path(get, path = "/subscriptions/{id}", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is this"),
    refusals::One,
))]
async fn get(State(db): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    found(subscriptions::get(&db, id).await?)
}

/// Change a subscription
///
/// What is absent stays; `null` clears `description`, `auth_key`, `event_types` or `cities`.
/// Deliveries follow within a second; one that is pending goes where the subscription then says.
#[utoipa::path(patch, path = "/subscriptions/{id}", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is changed"),
    refusals::Update,
))]
async fn update(
    State(db): State<PgPool>,
    Path(id): Path<Uuid>,
    Json(patch): Json<SubscriptionPatch>,
) -> Answer {
    let changes = Changes {
        name: patch.name.as_ref().map(Name::plain),
        description: patch.description.map_ref(Description::plain),
        url: patch.url.as_ref().map(Endpoint::plain),
        auth_key: patch.auth_key.map_ref(|key| key),
        event_types: patch.event_types.map_ref(EventTypes::plain),
        cities: patch.cities.map_ref(Cities::plain),
    };
    let row = subscriptions::update(&db, id, changes).await;
    found(row.on_constraint(NAME_KEY, ApiError::NameTaken)?)
}

/// Remove a subscription
///
/// Its pending deliveries end with it; its dead letters stay, for a person to look at.
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
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enable a subscription again
///
/// An answer of 410 disables a subscription; this undoes it. Pending deliveries go on.
#[utoipa::path(post, path = "/subscriptions/{id}/enable", tag = "subscriptions",
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is active"),
    refusals::One,
))]
async fn enable(State(db): State<PgPool>, Path(id): Path<Uuid>) -> Answer {
    subscriptions::enable(&db, id).await?;
    found(subscriptions::get(&db, id).await?)
}
