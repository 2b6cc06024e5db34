//! `/portal-links`: links that sign an owner's people in to the console, once. For admins.
//!
//! A provider asks for one when somebody of its customers wants to look at their webhooks, and sends
//! their browser there. Nobody needs a key for that, and none lies around: the link is good once, for
//! `PORTAL_LINK_LIFETIME`, and what it begins is a session (`sessions`).

use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::keys::{hash, random};
use crate::access::{Caller, Scope};
use crate::error::ApiError;
use crate::extract::Json;
use crate::fields::Owner;
use crate::refusals;
use crate::sessions::Settings;
use crate::state::AppState;
use crate::store::audit::{self, Change};
use crate::store::portal_links::{self, New};

/// How every token of a link begins, so that scanners find one that was published by mistake.
const BEGINNING: &str = "tw_link_";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(create))
}

/// A link to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"owner": "acme", "scopes": ["read", "write"]}))]
pub struct NewPortalLink {
    /// Whose subscriptions are seen by it.
    owner: Owner,
    /// Both, unless given. Without `read` there is nothing to see.
    #[schema(min_items = 1, max_items = 2)]
    scopes: Option<Vec<Scope>>,
}

/// A link that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-d1f4-7b20-9c3d-6f7a8b9c0d1e",
    "url": "https://webhooks.example.com/console/portal?link=tw_link_…",
    "expires_at": "2026-11-23T21:05:00Z"
}))]
pub struct PortalLink {
    /// As the audit names it.
    id: Uuid,
    /// Where to send a browser. This answer is the only one that has it.
    url: String,
    /// Until when it is good, if nobody uses it before.
    expires_at: DateTime<Utc>,
}

impl NewPortalLink {
    fn scopes(&self) -> Result<Vec<String>, ApiError> {
        let wanted = self
            .scopes
            .as_deref()
            .unwrap_or(&[Scope::Read, Scope::Write]);
        let is_right = matches!(
            wanted,
            [Scope::Read] | [Scope::Read, Scope::Write] | [Scope::Write, Scope::Read]
        );
        if !is_right {
            return Err(ApiError::InvalidField {
                pointer: "/scopes".into(),
                detail: "must have read, or read and write".into(),
            });
        }
        Ok(wanted
            .iter()
            .map(|scope| scope.label().to_owned())
            .collect())
    }
}

/// Make a link that signs in once
///
/// Whoever opens it first, within `PORTAL_LINK_LIFETIME`, sees what is the owner's in the console, for
/// `CONSOLE_LIFETIME`.
#[utoipa::path(post, path = "/portal-links", tag = "access",
    security(("key" = ["admin"])), responses(
    (status = 201, body = PortalLink, description = "It is made"),
    refusals::CreateKey,
))]
async fn create(
    State(db): State<PgPool>,
    State(settings): State<Settings>,
    caller: Caller,
    Json(new): Json<NewPortalLink>,
) -> Result<(StatusCode, axum::Json<PortalLink>), ApiError> {
    let scopes = new.scopes()?;
    let owner = String::from(new.owner);
    let token = format!(
        "{BEGINNING}{}",
        BASE64_URL_SAFE_NO_PAD.encode(random::<32>())
    );
    let new = New {
        id: Uuid::now_v7(),
        hash: &hash(&token),
        owner: &owner,
        scopes: &scopes,
        lifetime: settings.link_lifetime,
    };
    let mut transaction = db.begin().await?;
    portal_links::remove_expired(&mut *transaction).await?;
    let expires_at = portal_links::insert(&mut transaction, &new).await?;
    let change = Change {
        action: "create",
        kind: "portal_link",
        object_id: new.id.to_string(),
        changes: json!({"owner": owner, "scopes": scopes, "expires_at": expires_at}),
    };
    audit::insert(&mut transaction, &caller, change).await?;
    transaction.commit().await?;
    let made = PortalLink {
        id: new.id,
        url: format!("{}/console/portal?link={token}", settings.public_url),
        expires_at,
    };
    Ok((StatusCode::CREATED, axum::Json(made)))
}
