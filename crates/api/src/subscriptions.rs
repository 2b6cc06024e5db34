//! `/subscriptions`: who wants events, and where.
//!
//! Secrets go in and never come out: a subscription says only that it has one.

mod certificates;
mod input;
mod keys;
mod list;
mod owned;
mod secret;
mod secrets;
mod shown;
mod states;
mod test_delivery;
mod timeline;
mod token;
mod told;
mod verify;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use common::secrets::{Keyring, Sealed};
use common::store::subscriptions::{self, Row, Settings};
use common::store::{circuits, cursors, replays, undelivered};
use serde_json::Value;
use sqlx::PgPool;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::{ApiError, OnConstraint};
use crate::extract::{Json, Path};
use crate::fields::Means;
use crate::location::{Location, location};
use crate::refusals;
use crate::state::AppState;
use crate::store::audit::{self, Change};
use input::{NewSubscription, SubscriptionPatch};
use shown::{NewlyMade, Subscription};

/// The constraint that keeps names apart.
const NAME_KEY: &str = "subscriptions_name_key";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(create, list::list))
        .routes(routes!(get, update, delete))
        .merge(states::routes())
        .merge(secret::routes())
        .merge(test_delivery::routes())
        .merge(timeline::routes())
        .merge(token::routes())
}

type Answer = Result<axum::Json<Subscription>, ApiError>;

async fn found(db: &PgPool, keyring: &Keyring, row: Row) -> Answer {
    Ok(axum::Json(shown::one(db, keyring, row).await?))
}

/// What the audit keeps of a change of the subscription.
fn change(action: &'static str, id: Uuid, changes: Value) -> Change<'static> {
    Change {
        action,
        kind: "subscription",
        object_id: id.to_string(),
        changes,
    }
}

fn sealed(row: &Row) -> Result<Sealed, ApiError> {
    let sealed = row.sealed().context("reading the secrets it has");
    sealed.map_err(ApiError::Internal)
}

/// Subscribe an endpoint to temperature events
///
/// Deliveries start with the next event; earlier ones can be had with a replay. With `verify` the
/// receiver is asked before, and nothing is made unless it agrees.
#[utoipa::path(post, path = "/subscriptions", tag = "subscriptions",
    security(("key" = ["write"])), responses(
    (status = 201, body = NewlyMade, description = "It is made",
     headers(("location" = String, description = "Where it is: `/subscriptions/{id}`"))),
    refusals::Create,
))]
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Json(new): Json<NewSubscription>,
) -> Result<(StatusCode, Location, axum::Json<NewlyMade>), ApiError> {
    new.check(&app.egress)?;
    let (id, means) = (Uuid::now_v7(), new.means());
    let (mut draft, key) = new.draft(&app.keyring, id)?;
    draft.settings = owned::new(draft.settings, &caller)?;
    if let Some(means) = means {
        verify::ask(&app, &caller, id, means, &mut draft).await?;
    }
    let mut transaction = app.db.begin().await?;
    let row = subscriptions::insert(&mut *transaction, id, &draft.settings)
        .await
        .on_constraint(NAME_KEY, ApiError::NameTaken)?;
    keys::publish(&mut transaction, id, &key).await?;
    if let Some(secrets) = &draft.secrets {
        certificates::tell(&mut transaction, id, secrets).await?;
    }
    let made = change("create", row.id, told::new(&draft, &key));
    audit::insert(&mut transaction, &caller, made).await?;
    transaction.commit().await?;
    let location = location(format!("/subscriptions/{}", row.id));
    let made = NewlyMade {
        subscription: shown::one(&app.db, &app.keyring, row).await?,
        signing_secret: key.shared(),
    };
    Ok((StatusCode::CREATED, location, axum::Json(made)))
}

/// Show a subscription
#[utoipa::path(get, path = "/subscriptions/{id}", tag = "subscriptions",
    security(("key" = ["read"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is this"),
    refusals::One,
))]
async fn get(
    State(db): State<PgPool>,
    State(keyring): State<Keyring>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Answer {
    found(
        &db,
        &keyring,
        caller.reach(subscriptions::get(&db, id).await?)?,
    )
    .await
}

/// Change a subscription
///
/// What is absent stays; `null` clears, or brings the processor's default back. Deliveries follow
/// within a second; one that is pending goes where the subscription then says. Where its circuit is
/// open, another `url`, `auth`, header or certificate is tried at once. With `verify` the
/// receiver is asked before, as the subscription is to be; unless it agrees, nothing is changed, and
/// neither if somebody else has changed it meanwhile (409).
#[utoipa::path(patch, path = "/subscriptions/{id}", tag = "subscriptions",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Subscription, description = "It is changed"),
    refusals::Update,
))]
async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(patch): Json<SubscriptionPatch>,
) -> Answer {
    patch.check(&app.egress)?;
    let drafted = |row: &Row, patch: SubscriptionPatch| {
        let before = Settings::of(row.clone(), sealed(row)?);
        let means = patch.means();
        let (mut draft, parts) = patch.apply(&app.keyring, row.clone())?;
        draft.settings = owned::changed(&before, draft.settings, &caller)?;
        if means != Some(Means::Handshake) {
            verify::within_permission(&before, &draft.settings)?;
        }
        Ok::<_, ApiError>((before, draft, parts))
    };
    let (mut transaction, (before, draft, parts));
    if let Some(means) = patch.means() {
        let seen = caller.reach(subscriptions::get(&app.db, id).await?)?;
        let mut asked = drafted(&seen, patch)?;
        verify::ask(&app, &caller, id, means, &mut asked.1).await?;
        transaction = app.db.begin().await?;
        let row = caller.reach(subscriptions::lock(&mut transaction, id).await?)?;
        verify::unchanged(&row, &seen)?;
        (before, draft, parts) = asked;
    } else {
        transaction = app.db.begin().await?;
        let row = caller.reach(subscriptions::lock(&mut transaction, id).await?)?;
        (before, draft, parts) = drafted(&row, patch)?;
    }
    let row = subscriptions::update(&mut transaction, id, &draft.settings)
        .await
        .on_constraint(NAME_KEY, ApiError::NameTaken)?;
    if let Some(secrets) = &draft.secrets {
        certificates::tell(&mut transaction, id, secrets).await?;
    }
    if before.url != draft.settings.url || !parts.is_empty() {
        circuits::probe_now(&mut *transaction, id).await?;
    }
    let told = told::difference(&before, &draft.settings, &parts);
    audit::insert(&mut transaction, &caller, change("update", id, told)).await?;
    transaction.commit().await?;
    found(&app.db, &app.keyring, row).await
}

/// Remove a subscription
///
/// Its pending deliveries end with it, its replays are cancelled; its dead letters stay, for a
/// person to look at.
#[utoipa::path(delete, path = "/subscriptions/{id}", tag = "subscriptions",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 204, description = "It is removed"),
    refusals::One,
))]
async fn delete(
    State(db): State<PgPool>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut transaction = db.begin().await?;
    let before = caller.reach(subscriptions::lock(&mut transaction, id).await?)?;
    subscriptions::delete(&mut *transaction, id).await?;
    subscriptions::end_pending_deliveries(&mut transaction, id).await?;
    replays::cancel_all(&mut *transaction, id).await?;
    circuits::delete(&mut *transaction, id).await?;
    cursors::delete(&mut *transaction, id).await?;
    undelivered::delete(&mut *transaction, id).await?;
    // Nothing is told of its secrets, which it need not have.
    let sealed = before.sealed().unwrap_or_default();
    let made = change("delete", id, told::settings(&Settings::of(before, sealed)));
    audit::insert(&mut transaction, &caller, made).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
