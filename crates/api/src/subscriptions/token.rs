//! `/subscriptions/{id}/auth/test`: whether deliveries would be given a token.

use axum::extract::State;
use chrono::{DateTime, SubsecRound, Utc};
use common::store::subscriptions;
use outbound::oauth2::{Grant, TokenError};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::Path;
use crate::phases::milliseconds;
use crate::state::AppState;
use crate::{hint, refusals};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(test))
}

/// What came of asking for a token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "granted": true, "hint": "nothing: deliveries are given tokens", "failure": null,
    "detail": null, "expires_at": "2026-11-23T22:00:00Z", "expires_in_seconds": 3600,
    "scope": "events:write", "latency_ms": 41.302
}))]
pub struct TokenTest {
    /// Whether there was one.
    granted: bool,
    /// What to do about it.
    hint: &'static str,
    /// The class of the failure, as `oauth2_invalid_client`, unless it was granted.
    failure: Option<&'static str>,
    /// What failed.
    detail: Option<String>,
    /// When the token ends to be good, if the token endpoint says so.
    expires_at: Option<DateTime<Utc>>,
    expires_in_seconds: Option<u64>,
    /// What it is good for: what the token endpoint says, else what was asked for.
    scope: Option<String>,
    /// How long it took, in milliseconds.
    latency_ms: f64,
}

impl TokenTest {
    fn of(result: Result<Grant, TokenError>, asked_for: Option<String>, latency_ms: f64) -> Self {
        match result {
            Ok(grant) => Self {
                granted: true,
                hint: "nothing: deliveries are given tokens",
                failure: None,
                detail: None,
                expires_at: grant
                    .expires_in
                    .map(|life| (Utc::now() + life).trunc_subsecs(0)),
                expires_in_seconds: grant.expires_in.map(|life| life.as_secs()),
                scope: grant.scope.or(asked_for),
                latency_ms,
            },
            Err(error) => Self {
                granted: false,
                hint: hint::no_token(error.failure()),
                failure: Some(error.failure().label()),
                detail: Some(error.to_string()),
                expires_at: None,
                expires_in_seconds: None,
                scope: None,
                latency_ms,
            },
        }
    }
}

/// Ask for a token now
///
/// One request to the token endpoint, as deliveries would make it, whatever they hold already; the
/// answer says what came of it and what to do, and never shows the token. Nothing is sent to the
/// receiver, nothing is recorded, and deliveries do not get this token.
#[utoipa::path(post, path = "/subscriptions/{id}/auth/test", tag = "subscriptions",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")),
    responses(
    (status = 200, body = TokenTest, description = "What came of it"),
    refusals::TestToken,
))]
async fn test(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<TokenTest>, ApiError> {
    let subscription = caller.reach(subscriptions::get(&app.db, id).await?)?;
    let (result, latency) = app
        .tester
        .token(&caller, &subscription, &app.keyring)
        .await?
        .ok_or(ApiError::NotOAuth2)?;
    let asked_for = super::shown::credentials(&subscription, &app.keyring);
    let asked_for = asked_for.and_then(|credentials| credentials.scope);
    let latency_ms = milliseconds(latency);
    Ok(axum::Json(TokenTest::of(result, asked_for, latency_ms)))
}
