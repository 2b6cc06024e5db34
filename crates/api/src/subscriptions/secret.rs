//! `/subscriptions/{id}/secret/rotate`: another key to sign deliveries with.

use anyhow::Context;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use common::store::subscriptions::{self, Auth, Row, Secrets, Settings};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signature::SigningKey;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::verify;
use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::fields::{GracePeriod, NewKey, SigningAlgorithm, SigningSecret};
use crate::refusals;
use crate::state::AppState;
use crate::store::audit;

/// For how long the old secret goes on signing where nothing is said.
const DEFAULT_GRACE: TimeDelta = TimeDelta::hours(24);

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(rotate))
}

/// How a secret is exchanged for another.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"grace_period": "24h"}))]
pub struct Rotation {
    /// For how long the old secret signs beside the new one; 24 hours, unless given.
    grace_period: Option<GracePeriod>,
    /// How it signs; as the one before, unless given.
    signing_algorithm: Option<SigningAlgorithm>,
    /// The new one, for `hmac_sha256`; made here, unless given.
    #[schema(value_type = Option<String>, pattern = "^whsec_", write_only)]
    signing_secret: Option<SigningSecret>,
    /// Whether the receiver has to take a test delivery first that is signed with the new secret
    /// alone, which it must have been given then.
    verify: Option<bool>,
}

/// The secret that was made, or given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "signing_algorithm": "hmac_sha256",
    "signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "public_key": null,
    "old_until": "2026-11-24T21:00:00Z"
}))]
pub struct Rotated {
    /// How deliveries are signed from now on.
    signing_algorithm: SigningAlgorithm,
    /// What with (Standard Webhooks). It is shown this once; `null` for `ed25519`.
    signing_secret: Option<String>,
    /// `whpk_…` for `ed25519`: what verifies the new signatures.
    public_key: Option<String>,
    /// Until when the one before it signs too.
    old_until: DateTime<Utc>,
}

/// Exchange the secret that deliveries are signed with
///
/// Until the grace period is over each delivery is signed with both; five secrets sign at once at
/// most. Deliveries follow within a second. A receiver that keeps the public keys looks for new ones
/// every 5 minutes: a shorter grace period may leave it without the one that it needs.
#[utoipa::path(post, path = "/subscriptions/{id}/secret/rotate", tag = "subscriptions",
    security(("key" = ["write"])),
    params(("id" = Uuid, Path, description = "The subscription's")), responses(
    (status = 200, body = Rotated, description = "It is exchanged"),
    refusals::Update,
))]
async fn rotate(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
    rotation: Option<Json<Rotation>>,
) -> Result<axum::Json<Rotated>, ApiError> {
    let mut rotation = rotation.map(|Json(rotation)| rotation).unwrap_or_default();
    let grace = rotation.grace_period.take();
    let grace = grace.map_or(DEFAULT_GRACE, |grace| TimeDelta::milliseconds(grace.into()));
    let verified = rotation.verified(&app, &caller, id, grace).await?;
    let now = Utc::now();
    let old_until = now + grace;
    let mut transaction = app.db.begin().await?;
    let row = caller.reach(subscriptions::lock(&mut transaction, id).await?)?;
    if let Some(seen) = verified {
        verify::unchanged(&row, &seen)?;
    }
    let mut secrets = opened(&row, &app)?;
    let key = rotation.exchange(&mut secrets, old_until, now)?;
    let settings = Settings::of(row, secrets.seal(&app.keyring, id));
    subscriptions::update(&mut transaction, id, &settings).await?;
    super::keys::exchange(&mut transaction, id, &key, old_until, now).await?;
    let told = json!({"old_until": old_until, "signing_algorithm": key.algorithm()});
    let rotated = super::change("rotate_secret", id, told);
    audit::insert(&mut transaction, &caller, rotated).await?;
    transaction.commit().await?;
    Ok(axum::Json(Rotated {
        signing_algorithm: key.algorithm(),
        signing_secret: key.shared(),
        public_key: key.public().map(|public| public.to_string()),
        old_until,
    }))
}

impl Rotation {
    /// The row whose receiver took a delivery that was signed with the new secret alone, if it had to.
    async fn verified(
        &self,
        app: &AppState,
        caller: &Caller,
        id: Uuid,
        grace: TimeDelta,
    ) -> Result<Option<Row>, ApiError> {
        if self.verify != Some(true) {
            return Ok(None);
        }
        let given = self.signing_secret.as_ref();
        let given = given.ok_or_else(|| ApiError::InvalidField {
            pointer: "/verify".into(),
            detail: "must go with a `signing_secret`: what is made here no receiver has yet".into(),
        })?;
        let row = caller.reach(subscriptions::get(&app.db, id).await?)?;
        let mut secrets = opened(&row, app)?;
        // So that nobody is asked for nothing.
        let now = Utc::now();
        self.exchange(&mut secrets.clone(), now + grace, now)?;
        secrets.signing = Secrets::new(given.text(), Auth::None).signing;
        let settings = Settings::of(row.clone(), super::sealed(&row)?);
        verify::deliver(app, caller, &settings, &secrets).await?;
        Ok(Some(row))
    }

    /// Puts a key in the place of what signs now, which signs until then too.
    fn exchange(
        &self,
        secrets: &mut Secrets,
        old_until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<NewKey, ApiError> {
        let algorithm = self.signing_algorithm;
        let algorithm = algorithm.map_or_else(|| in_force(secrets), Ok)?;
        let key = NewKey::of(algorithm, self.signing_secret.clone())?;
        let rotated = secrets.rotate(key.text(), old_until, now);
        rotated.map_err(|too_many| ApiError::InvalidField {
            pointer: "/grace_period".into(),
            detail: format!("{too_many}: wait, or give 0s"),
        })?;
        Ok(key)
    }
}

fn opened(row: &Row, app: &AppState) -> Result<Secrets, ApiError> {
    let secrets = row.secrets(&app.keyring);
    let secrets = secrets.context("opening the secrets it has");
    secrets.map_err(ApiError::Internal)
}

/// How the newest key signs.
fn in_force(secrets: &Secrets) -> Result<SigningAlgorithm, ApiError> {
    let Some(newest) = secrets.signing.first() else {
        return Ok(SigningAlgorithm::default());
    };
    let key: Result<SigningKey, _> = newest.key.expose_secret().parse();
    let key = key.context("reading the key it is signed with");
    let key = key.map_err(ApiError::Internal)?;
    Ok(key.algorithm().into())
}
