//! The table `subscriptions`: who wants events, and where.
//!
//! Every change notifies the channel `subscription_changed` with the id (a trigger does), and
//! processors read that row again.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, PgConnection, PgExecutor, Postgres, Type};
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
    /// It does not, until somebody resumes it: what happens meanwhile is delivered then.
    Paused,
    /// It does not: `disabled_reason` says why. Pending deliveries wait.
    Disabled,
}

/// In which order a subscription's deliveries go out.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema, sqlx::Type,
)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Any: a retry comes after later events.
    #[default]
    None,
    /// Each city's in the order of the log: one that fails holds back that city, no other.
    PerKey,
}

/// What of a city's readings is delivered when a subscription is behind.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema, sqlx::Type,
)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Coalesce {
    /// Each of them.
    #[default]
    None,
    /// The newest; the others count as superseded.
    LatestPerKey,
}

/// The longest [`AuthKey`], in bytes.
pub const MAX_AUTH_KEY_BYTES: usize = 1024;

/// The bearer token of the POSTs to one subscription: visible ASCII, so that it fits in a
/// header. Prints as redacted.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "SecretString")]
pub struct AuthKey(SecretString);

impl TryFrom<SecretString> for AuthKey {
    type Error = &'static str;

    fn try_from(key: SecretString) -> Result<Self, Self::Error> {
        let bytes = key.expose_secret().as_bytes();
        if !(1..=MAX_AUTH_KEY_BYTES).contains(&bytes.len()) {
            return Err("must have 1 to 1024 characters");
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err("must be visible ASCII without spaces");
        }
        Ok(Self(key))
    }
}

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
    /// The waits between attempts, in milliseconds; here and below `None` means the processor's
    /// default.
    pub retry_schedule_ms: Option<Vec<i64>>,
    /// How old an event may be to be delivered, in milliseconds.
    pub max_age_ms: Option<i64>,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: Option<i64>,
    /// Deliveries a second, over all replicas.
    pub rate_limit: Option<f64>,
    /// Requests in flight at once.
    pub max_in_flight: Option<i32>,
    /// In which order deliveries go out.
    pub ordering: Ordering,
    /// What of a city's readings is delivered when it is behind.
    pub coalesce: Coalesce,
    /// A CEL expression over the event, which is delivered where it is true.
    pub filter: Option<String>,
    /// After how long of nothing but failures it is disabled, in milliseconds.
    pub disable_after_ms: Option<i64>,
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

/// What becomes of one column: in JSON an absent field keeps it and `null` clears it.
#[derive(Clone, Copy, Debug, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes NULL.
    Clear,
    /// It becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// The same change, of what `f` makes of the value.
    pub fn map_ref<'a, U>(&'a self, f: impl FnOnce(&'a T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Clear => Change::Clear,
            Self::Set(value) => Change::Set(f(value)),
        }
    }

    /// Whether the column changes, and to what: two parameters of the statement.
    fn into_parameters(self) -> (bool, Option<T>) {
        match self {
            Self::Keep => (false, None),
            Self::Clear => (true, None),
            Self::Set(value) => (true, Some(value)),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

/// What an update takes: what is not named stays.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// See [`Row::name`].
    pub name: Option<&'a str>,
    /// See [`Row::description`].
    pub description: Change<&'a str>,
    /// See [`Row::url`].
    pub url: Option<&'a str>,
    /// See [`Row::auth_key`].
    pub auth_key: Change<&'a AuthKey>,
    /// See [`Row::event_types`].
    pub event_types: Change<&'a [String]>,
    /// See [`Row::cities`].
    pub cities: Change<&'a [String]>,
}

/// A statement that gives rows of the table, whole: each column is named once, here.
macro_rules! rows {
    ($before:tt, $after:tt $(, $parameter:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            $before
                + r#" id, name, description, url, auth_key AS "auth_key: _", event_types, cities,
                      state AS "state: State", disabled_reason, disabled_at, retry_schedule_ms,
                      max_age_ms, timeout_ms, rate_limit, max_in_flight,
                      ordering AS "ordering: Ordering", coalesce AS "coalesce: Coalesce", filter,
                      disable_after_ms, created_at, updated_at "#
                + $after
            $(, $parameter)*
        )
    };
}

/// Adds a subscription, active.
///
/// # Errors
/// The constraint `subscriptions_name_key` when the name is taken.
pub async fn insert(db: impl PgExecutor<'_>, new: &New<'_>) -> sqlx::Result<Row> {
    rows!(
        "INSERT INTO subscriptions (id, name, description, url, auth_key, event_types, cities)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING",
        "",
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
    rows!("SELECT", "FROM subscriptions WHERE id = $1", id,)
        .fetch_optional(db)
        .await
}

/// Those of the ids that exist.
///
/// # Errors
/// The database's.
pub async fn get_all(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    rows!("SELECT", "FROM subscriptions WHERE id = ANY($1)", ids,)
        .fetch_all(db)
        .await
}

/// A page of all, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(db: impl PgExecutor<'_>, skip: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    rows!(
        "SELECT",
        "FROM subscriptions ORDER BY id OFFSET $1 LIMIT $2",
        skip,
        limit,
    )
    .fetch_all(db)
    .await
}

/// All of them.
///
/// # Errors
/// The database's.
pub async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Row>> {
    rows!("SELECT", "FROM subscriptions").fetch_all(db).await
}

/// Disables those that are active, and says why. In the order of their ids, so that two at once
/// do not wait for each other for ever.
///
/// # Errors
/// The database's.
pub async fn disable_all(db: impl PgExecutor<'_>, ids: &[Uuid], reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH wanted AS MATERIALIZED (
            SELECT id FROM subscriptions WHERE id = ANY($1) AND state = 'active'
            ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE subscriptions SET state = 'disabled', disabled_reason = $2, disabled_at = now(),
               updated_at = now()
        FROM wanted WHERE subscriptions.id = wanted.id
        "#,
        ids,
        reason,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Changes what is named, and gives the row as it is then.
///
/// # Errors
/// The constraint `subscriptions_name_key` when the name is taken.
pub async fn update(
    db: impl PgExecutor<'_>,
    id: Uuid,
    changes: Changes<'_>,
) -> sqlx::Result<Option<Row>> {
    let (describes, description) = changes.description.into_parameters();
    let (rekeys, auth_key) = changes.auth_key.into_parameters();
    let (retypes, event_types) = changes.event_types.into_parameters();
    let (moves, cities) = changes.cities.into_parameters();
    rows!(
        "UPDATE subscriptions SET
            name        = COALESCE($2, name),
            url         = COALESCE($3, url),
            description = CASE WHEN $4 THEN $5 ELSE description END,
            auth_key    = CASE WHEN $6 THEN $7 ELSE auth_key END,
            event_types = CASE WHEN $8 THEN $9 ELSE event_types END,
            cities      = CASE WHEN $10 THEN $11 ELSE cities END,
            updated_at  = now()
        WHERE id = $1 RETURNING",
        "",
        id,
        changes.name,
        changes.url,
        describes,
        description,
        rekeys,
        auth_key.map(AuthKey::expose),
        retypes,
        event_types,
        moves,
        cities,
    )
    .fetch_optional(db)
    .await
}

/// Makes it active again. One that is active stays as it is, and nobody is notified.
///
/// # Errors
/// The database's.
pub async fn enable(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE subscriptions
        SET state = 'active', disabled_reason = NULL, disabled_at = NULL, updated_at = now()
        WHERE id = $1 AND state <> 'active'
        "#,
        id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes it; says whether it was there.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query!("DELETE FROM subscriptions WHERE id = $1", id)
        .execute(db)
        .await
        .map(|done| done.rows_affected() > 0)
}

/// Ends the pending deliveries of a subscription that was deleted.
///
/// Runs in the transaction of [`delete`], after it: by then every requeue that saw the
/// subscription has been committed, and so is seen here.
///
/// # Errors
/// The database's.
pub async fn end_pending_deliveries(db: &mut PgConnection, id: Uuid) -> sqlx::Result<u64> {
    sqlx::query!(
        "DELETE FROM pending_deliveries WHERE subscription_id = $1",
        id
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected())
}
