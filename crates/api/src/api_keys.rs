//! `/api-keys`: who may use the API. For admins.
//!
//! A key is shown once, in the answer that makes it. Those of sessions are listed and revoked here too.

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::keys::{NewKey, hash};
use crate::access::{Caller, Role, Scope};
use crate::error::ApiError;
use crate::extract::{Json, Path, Query};
use crate::fields::{Name, Owner, Time};
use crate::list::{Limit, Page, Skip};
use crate::refusals;
use crate::state::AppState;
use crate::store::api_keys::{self, Kind, New, Row};
use crate::store::audit::{self, Change};

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(create, list))
        .routes(routes!(revoke))
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "acme's", "role": "subscriber", "owner": "acme", "scopes": ["read", "write"],
    "expires_at": "2027-11-23T21:00:00Z"
}))]
pub struct NewApiKey {
    name: Name,
    role: Role,
    /// Whose subscriptions it is for: a subscriber's key has one, an admin's has none.
    owner: Option<Owner>,
    /// Both, unless given.
    #[schema(min_items = 1, max_items = 2)]
    scopes: Option<Vec<Scope>>,
    /// Never, unless given.
    expires_at: Option<Time>,
}

impl NewApiKey {
    /// One with both scopes that never expires.
    ///
    /// # Errors
    /// Which of the fields is wrong.
    pub(crate) fn of(name: &str, role: Role, owner: Option<&str>) -> Result<Self, String> {
        let owner = owner.map(|owner| Owner::try_from(owner.to_owned()));
        Ok(Self {
            name: Name::try_from(name.to_owned()).map_err(|wrong| format!("--name {wrong}"))?,
            role,
            owner: owner
                .transpose()
                .map_err(|wrong| format!("--owner {wrong}"))?,
            scopes: None,
            expires_at: None,
        })
    }

    fn check(&self) -> Result<(), ApiError> {
        let wrong = |pointer: &str, detail: &str| {
            Err(ApiError::InvalidField {
                pointer: pointer.into(),
                detail: detail.into(),
            })
        };
        let repeats = |scopes: &[Scope]| matches!(scopes, [one, other] if one == other);
        let wrong_scopes = |scopes: &[Scope]| !(1..=2).contains(&scopes.len()) || repeats(scopes);
        if self.scopes.as_deref().is_some_and(wrong_scopes) {
            return wrong("/scopes", "must have one or both, each once");
        }
        match (self.role, &self.owner) {
            (Role::Subscriber, None) => wrong("/owner", "a subscriber's key has an owner"),
            (Role::Admin, Some(_)) => wrong("/owner", "an admin's key has no owner"),
            _ => Ok(()),
        }
    }

    fn scopes(&self) -> Vec<String> {
        let given = self.scopes.as_deref();
        let wanted = |scope: &Scope| given.is_none_or(|given| given.contains(scope));
        let scopes = [Scope::Read, Scope::Write].into_iter().filter(wanted);
        scopes.map(|scope| scope.label().to_owned()).collect()
    }
}

/// A key, without itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-d1f4-7b20-9c3d-6f7a8b9c0d1e", "kind": "key", "name": "acme's", "prefix": "tw_live_4f0f6a3a",
    "role": "subscriber", "owner": "acme", "scopes": ["read", "write"], "expires_at": null,
    "last_used_at": null, "created_at": "2026-11-23T21:00:00Z", "created_by": "admin-key",
    "revoked_at": null
}))]
pub struct ApiKey {
    id: Uuid,
    kind: Kind,
    name: String,
    /// How it begins.
    prefix: String,
    role: Role,
    owner: Option<String>,
    scopes: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
    /// To the minute.
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// As the audit names it.
    created_by: String,
    /// Since when it is good for nothing.
    revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            name: row.name,
            prefix: row.prefix,
            role: row.role,
            owner: row.owner,
            scopes: row.scopes,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            created_at: row.created_at,
            created_by: row.created_by,
            revoked_at: row.revoked_at,
        }
    }
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "key": "tw_live_4f0f6a3a_…", "id": "0199b0c2-d1f4-7b20-9c3d-6f7a8b9c0d1e", "kind": "key",
    "name": "acme's", "prefix": "tw_live_4f0f6a3a", "role": "subscriber", "owner": "acme",
    "scopes": ["read", "write"], "expires_at": null, "last_used_at": null,
    "created_at": "2026-11-23T21:00:00Z", "created_by": "admin-key", "revoked_at": null
}))]
pub struct MadeApiKey {
    /// The key itself: this answer is the only one that has it.
    key: String,
    #[serde(flatten)]
    about: ApiKey,
}

/// Makes a key, and gives it with what is known of it.
///
/// # Errors
/// Which field is wrong; the database's.
pub async fn make(
    db: &PgPool,
    by: &Caller,
    new: NewApiKey,
) -> Result<(Row, SecretString), ApiError> {
    new.check()?;
    let key = NewKey::new();
    let scopes = new.scopes();
    let (name, owner) = (String::from(new.name), new.owner.map(String::from));
    let new = New {
        name: &name,
        prefix: &key.prefix,
        hash: &hash(key.text.expose_secret()),
        role: new.role,
        owner: owner.as_deref(),
        scopes: &scopes,
        expires_at: new.expires_at.map(Into::into),
        created_by: &by.who,
    };
    let mut transaction = db.begin().await?;
    let row = api_keys::insert(&mut transaction, &new).await?;
    let changes = json!({
        "name": row.name, "prefix": row.prefix, "role": row.role, "owner": row.owner,
        "scopes": row.scopes, "expires_at": row.expires_at,
    });
    audit::insert(&mut transaction, by, change("create", row.id, changes)).await?;
    transaction.commit().await?;
    Ok((row, key.text))
}

/// What the audit keeps of a change of the key.
fn change(action: &'static str, id: Uuid, changes: serde_json::Value) -> Change<'static> {
    Change {
        action,
        kind: "api_key",
        object_id: id.to_string(),
        changes,
    }
}

/// Make a key
///
/// The answer has it; nothing shows it again.
#[utoipa::path(post, path = "/api-keys", tag = "access",
    security(("key" = ["admin"])), responses(
    (status = 201, body = MadeApiKey, description = "It is made"),
    refusals::CreateKey,
))]
async fn create(
    State(db): State<PgPool>,
    caller: Caller,
    Json(new): Json<NewApiKey>,
) -> Result<(StatusCode, axum::Json<MadeApiKey>), ApiError> {
    let (row, key) = make(&db, &caller, new).await?;
    let made = MadeApiKey {
        key: key.expose_secret().to_owned(),
        about: row.into(),
    };
    Ok((StatusCode::CREATED, axum::Json(made)))
}

/// Which keys to show.
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
    /// Of which kind; of both, unless given.
    kind: Option<Kind>,
}

/// List keys, oldest first
///
/// Those that are revoked too; of sessions, those that ended within a day.
#[utoipa::path(get, path = "/api-keys", tag = "access", params(ListQuery),
    security(("key" = ["admin"])), responses(
    (status = 200, body = Page<ApiKey>, description = "A part of the list"),
    refusals::List,
))]
async fn list(
    State(db): State<PgPool>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<ApiKey>>, ApiError> {
    let part = (query.skip.into(), query.limit.into());
    let rows = api_keys::list(&db, query.kind, part).await?;
    Ok(axum::Json(rows.into_iter().map(ApiKey::from).collect()))
}

/// Revoke a key, or end a session
///
/// From the next request on it is good for nothing.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "access",
    security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The key's")), responses(
    (status = 204, description = "It is revoked"),
    refusals::OneKey,
))]
async fn revoke(
    State(db): State<PgPool>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut transaction = db.begin().await?;
    if !api_keys::revoke(&mut transaction, id).await? {
        return Err(ApiError::NotFound("key"));
    }
    audit::insert(&mut transaction, &caller, change("revoke", id, json!({}))).await?;
    transaction.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
