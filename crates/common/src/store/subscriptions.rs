//! The table `subscriptions`: who wants events, and where.
//!
//! Every change notifies the channel `subscription_changed` with the id (a trigger does), and
//! processors read that row again.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, PgExecutor, Postgres, Type};
use utoipa::ToSchema;
use uuid::Uuid;

/// The channel on which a change of any row is told, with the row's id.
pub const CHANGED: &str = "subscription_changed";

/// Whether a subscription gets events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Active,
    /// It does not: `disabled_reason` says why. Pending deliveries wait.
    Disabled,
}

/// The bearer token of the POSTs to one subscription. Prints as redacted.
#[derive(Clone, Debug, Deserialize)]
pub struct AuthKey(SecretString);

impl AuthKey {
    /// The token itself, for the header and the database only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Type<Postgres> for AuthKey {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for AuthKey {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(<String as Decode<Postgres>>::decode(value)?.into()))
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// `UUIDv7`.
    pub id: Uuid,
    /// Unique among all.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The endpoint: an absolute http or https URL.
    pub url: String,
    /// The bearer token of each POST.
    pub auth_key: Option<AuthKey>,
    /// Types it wants, exact or ending in `.*`; `None` means every one.
    pub event_types: Option<Vec<String>>,
    /// Cities it wants; `None` means every one.
    pub cities: Option<Vec<String>>,
    /// Whether it gets events.
    pub state: State,
    /// Why it is disabled.
    pub disabled_reason: Option<String>,
    /// Since when it is.
    pub disabled_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an insert takes.
#[derive(Debug)]
pub struct New<'a> {
    /// See [`Row::name`].
    pub name: &'a str,
    /// See [`Row::description`].
    pub description: Option<&'a str>,
    /// See [`Row::url`].
    pub url: &'a str,
    /// See [`Row::auth_key`].
    pub auth_key: Option<&'a AuthKey>,
    /// See [`Row::event_types`].
    pub event_types: Option<&'a [String]>,
    /// See [`Row::cities`].
    pub cities: Option<&'a [String]>,
}

/// Adds a subscription, active.
///
/// # Errors
/// The constraint `subscriptions_name_key` when the name is taken.
pub async fn insert(db: impl PgExecutor<'_>, new: &New<'_>) -> sqlx::Result<Row> {
    sqlx::query_as!(
        Row,
        r#"
        INSERT INTO subscriptions (id, name, description, url, auth_key, event_types, cities)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        RETURNING id, name, description, url, auth_key AS "auth_key: _", event_types, cities,
                  state AS "state: State", disabled_reason, disabled_at, created_at, updated_at
        "#,
        Uuid::now_v7(),
        new.name,
        new.description,
        new.url,
        new.auth_key.map(AuthKey::expose),
        new.event_types,
        new.cities,
    )
    .fetch_one(db)
    .await
}

/// The subscription of that id.
///
/// # Errors
/// The database's.
pub async fn get(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT id, name, description, url, auth_key AS "auth_key: _", event_types, cities,
               state AS "state: State", disabled_reason, disabled_at, created_at, updated_at
        FROM subscriptions WHERE id = $1
        "#,
        id,
    )
    .fetch_optional(db)
    .await
}

/// Those of the ids that exist.
///
/// # Errors
/// The database's.
pub async fn get_all(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT id, name, description, url, auth_key AS "auth_key: _", event_types, cities,
               state AS "state: State", disabled_reason, disabled_at, created_at, updated_at
        FROM subscriptions WHERE id = ANY($1)
        "#,
        ids,
    )
    .fetch_all(db)
    .await
}

/// A page of all, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(db: impl PgExecutor<'_>, skip: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT id, name, description, url, auth_key AS "auth_key: _", event_types, cities,
               state AS "state: State", disabled_reason, disabled_at, created_at, updated_at
        FROM subscriptions ORDER BY id OFFSET $1 LIMIT $2
        "#,
        skip,
        limit,
    )
    .fetch_all(db)
    .await
}
