//! `/sessions` and `/sign-ins`: keys for some hours, for who signs in by a link or by a provider.
//!
//! A session is a key of the kind `session`: it reaches what a key of that role and owner reaches, is
//! listed with the others and revoked like them, and ends by itself after `CONSOLE_LIFETIME`. These
//! routes are open: who asks proves who it is by what it sends.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use common::secrets::{Keyring, Purpose, Sealed};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::keys::{NewKey, hash};
use crate::access::{Access, Attempt, Caller, Oidc, Returned, Role, Scope, Stranger};
use crate::error::ApiError;
use crate::extract::Json;
use crate::refusals;
use crate::state::AppState;
use crate::store::api_keys::{self, New, Row};
use crate::store::audit::{self, Change};
use crate::store::portal_links;

/// Where somebody comes back to from the provider.
const CALLBACK: &str = "/console/sign-in/callback";

const NO_LINK: ApiError =
    ApiError::Forbidden("this link was used already, or its time is over: ask for another");

/// How long what is made for signing in lasts, and where this is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// After how long a session ends.
    pub lifetime: Duration,
    /// After how long a link that nobody used is none.
    pub link_lifetime: Duration,
    /// Where browsers reach this: scheme and authority, without a slash at the end.
    pub public_url: String,
}

impl Default for Settings {
    /// As the settings are, unless given.
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(12),
            link_lifetime: Duration::from_mins(5),
            public_url: "http://localhost:9090".into(),
        }
    }
}

impl Settings {
    fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.public_url)
    }
}

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(begin_sign_in))
        .routes(routes!(create))
        .routes(routes!(end))
}

/// What shows who somebody is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = json!({"portal_link": "tw_link_…"}))]
pub enum NewSession {
    /// The token of a link that `POST /portal-links` made: good once.
    #[schema(value_type = String)]
    PortalLink(SecretString),
    /// What the provider sent somebody back with.
    Oidc(Returned),
}

/// A session that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "key": "tw_live_4f0f6a3a_…", "id": "0199b0c2-d1f4-7b20-9c3d-6f7a8b9c0d1e", "role": "subscriber",
    "owner": "acme", "scopes": ["read", "write"], "expires_at": "2026-11-24T09:00:00Z"
}))]
pub struct Session {
    /// Its key: this answer is the only one that has it.
    key: String,
    id: Uuid,
    role: Role,
    owner: Option<String>,
    scopes: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
}

/// A sign-in that has begun.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "authorization_url": "https://login.example.com/authorize?response_type=code&…",
    "attempt": "azE.n3VjN…"
}))]
pub struct SignIn {
    /// Where a browser has to go.
    authorization_url: String,
    /// To be shown with what it comes back with; whoever else has it can sign in as this person.
    attempt: String,
}

/// Begin signing in by the OIDC provider
///
/// A browser goes to `authorization_url`, and comes back to `{PUBLIC_URL}/console/sign-in/callback`
/// with what `POST /sessions` takes, within ten minutes.
#[utoipa::path(post, path = "/sign-ins", tag = "access", security(()), responses(
    (status = 201, body = SignIn, description = "It has begun"),
    refusals::SignIn,
))]
async fn begin_sign_in(
    State(access): State<Access>,
    State(settings): State<Settings>,
    State(keyring): State<Keyring>,
) -> Result<(StatusCode, axum::Json<SignIn>), ApiError> {
    let (url, attempt) = provider(&access)?.begin(&settings.redirect_uri()).await?;
    let attempt = serde_json::to_vec(&attempt).expect("it has text keys only");
    let begun = SignIn {
        authorization_url: url.into(),
        attempt: keyring.seal_for(Purpose::SignIn, &attempt).to_text(),
    };
    Ok((StatusCode::CREATED, axum::Json(begun)))
}

/// Sign in
///
/// By a link or by the OIDC provider. The answer has a key that is good for `CONSOLE_LIFETIME`.
#[utoipa::path(post, path = "/sessions", tag = "access", security(()), responses(
    (status = 201, body = Session, description = "It has begun"),
    refusals::CreateSession,
))]
async fn create(
    State(state): State<AppState>,
    stranger: Stranger,
    Json(new): Json<NewSession>,
) -> Result<(StatusCode, axum::Json<Session>), ApiError> {
    let (row, key) = match new {
        NewSession::PortalLink(token) => by_link(&state, stranger, &token).await?,
        NewSession::Oidc(returned) => by_provider(&state, stranger, &returned).await?,
    };
    let session = Session {
        key: key.expose_secret().to_owned(),
        id: row.id,
        role: row.role,
        owner: row.owner,
        scopes: row.scopes,
        expires_at: row.expires_at,
    };
    Ok((StatusCode::CREATED, axum::Json(session)))
}

/// End the session
///
/// The one whose key this request shows: it is good for nothing from the next request on.
#[utoipa::path(delete, path = "/sessions/current", tag = "access",
    security(("key" = ["read"])), responses(
    (status = 204, description = "It has ended"),
    refusals::EndSession,
))]
async fn end(State(db): State<PgPool>, caller: Caller) -> Result<StatusCode, ApiError> {
    let session = caller.key.filter(|_| caller.in_session);
    let id = session.ok_or(ApiError::NoSession)?;
    let mut transaction = db.begin().await?;
    if api_keys::revoke(&mut transaction, id).await? {
        audit::insert(&mut transaction, &caller, change("end", id, json!({}))).await?;
    }
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn by_link(
    state: &AppState,
    stranger: Stranger,
    token: &SecretString,
) -> Result<(Row, SecretString), ApiError> {
    let mut transaction = state.db.begin().await?;
    let link = portal_links::take(&mut transaction, &hash(token.expose_secret())).await?;
    let link = link.ok_or(NO_LINK)?;
    let caller = stranger.is(Caller {
        role: Role::Subscriber,
        owner: Some(link.owner),
        scopes: Scope::among(&link.scopes),
        ..Caller::admin(&format!("portal-link:{}", link.id))
    });
    let begun = begin(&mut transaction, &caller, state.sessions.lifetime).await?;
    transaction.commit().await?;
    Ok(begun)
}

async fn by_provider(
    state: &AppState,
    stranger: Stranger,
    returned: &Returned,
) -> Result<(Row, SecretString), ApiError> {
    let attempt = opened(&state.keyring, &returned.attempt).ok_or(ApiError::InvalidField {
        pointer: "/oidc/attempt".into(),
        detail: "must be what `POST /sign-ins` gave".into(),
    })?;
    let oidc = provider(&state.access)?;
    let redirect_uri = state.sessions.redirect_uri();
    let signed_in = oidc.finish(&attempt, returned, &redirect_uri).await?;
    let caller = stranger.is(signed_in);
    let mut transaction = state.db.begin().await?;
    let begun = begin(&mut transaction, &caller, state.sessions.lifetime).await?;
    transaction.commit().await?;
    Ok(begun)
}

fn provider(access: &Access) -> Result<&Oidc, ApiError> {
    access.oidc().ok_or(crate::access::NO_PROVIDER)
}

fn opened(keyring: &Keyring, attempt: &str) -> Option<Attempt> {
    let sealed = Sealed::from_text(attempt)?;
    let attempt = keyring.open_for(Purpose::SignIn, &sealed).ok()?;
    serde_json::from_slice(&attempt).ok()
}

/// Begins the session of that caller, named like it.
async fn begin(
    db: &mut PgConnection,
    caller: &Caller,
    lifetime: Duration,
) -> Result<(Row, SecretString), ApiError> {
    let key = NewKey::new();
    let scopes: Vec<_> = caller
        .scopes
        .iter()
        .map(|scope| scope.label().to_owned())
        .collect();
    let new = New {
        name: &caller.who,
        prefix: &key.prefix,
        hash: &hash(key.text.expose_secret()),
        role: caller.role,
        owner: caller.owner(),
        scopes: &scopes,
        expires_at: None,
        created_by: &caller.who,
    };
    api_keys::remove_ended_sessions(db).await?;
    let row = api_keys::insert_session(db, &new, lifetime).await?;
    let changes = json!({
        "prefix": row.prefix, "role": row.role, "owner": row.owner, "scopes": row.scopes,
        "expires_at": row.expires_at,
    });
    audit::insert(db, caller, change("begin", row.id, changes)).await?;
    Ok((row, key.text))
}

/// What the audit keeps of a session.
fn change(action: &'static str, id: Uuid, changes: serde_json::Value) -> Change<'static> {
    Change {
        action,
        kind: "session",
        object_id: id.to_string(),
        changes,
    }
}
