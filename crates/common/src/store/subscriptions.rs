//! The table `subscriptions`: who wants events, and where.
//!
//! Every change notifies the channel `subscription_changed` with the id (a trigger does), and
//! processors read that row again.

mod columns;
pub mod owned;
mod owners;
mod sealing;
mod secrets;
mod states;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

pub use columns::{AuthKey, AuthKind, Coalesce, MAX_AUTH_KEY_BYTES, Ordering, State};
pub use owners::{ids, owners};
pub use sealing::{reseal_all, seal_all};
pub use secrets::{
    Auth, ClientCertificate, Header, MAX_SIGNING_KEYS, Secrets, SigningSecret, TooManyKeys,
    Unopened,
};
pub use states::{disable_all, enable, pause, resume};

use crate::secrets::Sealed;

/// The channel on which a change of any row is told, with the row's id.
pub const CHANGED: &str = "subscription_changed";

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `UUIDv7`.
    pub id: Uuid,
    /// Whose it is; `None`: nobody's but the admins'.
    pub owner: Option<String>,
    /// Unique among its owner's.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// The endpoint: an absolute http or https URL.
    pub url: String,
    /// What is secret of it, sealed: see [`Row::secrets`].
    pub secrets: Option<Vec<u8>>,
    /// The id of the key that opens it.
    pub secrets_key_id: Option<String>,
    /// How each POST authenticates.
    pub auth_kind: AuthKind,
    /// The names of the headers that each POST carries besides.
    pub header_names: Vec<String>,
    /// As whom its receiver has permitted deliveries (`WebHook-Request-Origin`).
    pub permitted_origin: Option<String>,
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

/// What a client sets of a subscription: every column of [`Row`] that can be changed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// See [`Row::owner`].
    pub owner: Option<String>,
    /// See [`Row::name`].
    pub name: String,
    /// See [`Row::description`].
    pub description: Option<String>,
    /// See [`Row::url`].
    pub url: String,
    /// See [`Row::secrets`].
    pub secrets: Sealed,
    /// See [`Row::auth_kind`].
    pub auth_kind: AuthKind,
    /// See [`Row::header_names`].
    pub header_names: Vec<String>,
    /// See [`Row::permitted_origin`].
    pub permitted_origin: Option<String>,
    /// See [`Row::event_types`].
    pub event_types: Option<Vec<String>>,
    /// See [`Row::cities`].
    pub cities: Option<Vec<String>>,
    /// See [`Row::retry_schedule_ms`].
    pub retry_schedule_ms: Option<Vec<i64>>,
    /// See [`Row::max_age_ms`].
    pub max_age_ms: Option<i64>,
    /// See [`Row::timeout_ms`].
    pub timeout_ms: Option<i64>,
    /// See [`Row::rate_limit`].
    pub rate_limit: Option<f64>,
    /// See [`Row::max_in_flight`].
    pub max_in_flight: Option<i32>,
    /// See [`Row::ordering`].
    pub ordering: Ordering,
    /// See [`Row::coalesce`].
    pub coalesce: Coalesce,
    /// See [`Row::filter`].
    pub filter: Option<String>,
    /// See [`Row::disable_after_ms`].
    pub disable_after_ms: Option<i64>,
}

impl Settings {
    /// Those of a row, with what is secret of it.
    pub fn of(row: Row, secrets: Sealed) -> Self {
        Self {
            owner: row.owner,
            name: row.name,
            description: row.description,
            url: row.url,
            secrets,
            auth_kind: row.auth_kind,
            header_names: row.header_names,
            permitted_origin: row.permitted_origin,
            event_types: row.event_types,
            cities: row.cities,
            retry_schedule_ms: row.retry_schedule_ms,
            max_age_ms: row.max_age_ms,
            timeout_ms: row.timeout_ms,
            rate_limit: row.rate_limit,
            max_in_flight: row.max_in_flight,
            ordering: row.ordering,
            coalesce: row.coalesce,
            filter: row.filter,
            disable_after_ms: row.disable_after_ms,
        }
    }
}

/// A statement that gives rows of the table, whole: each column is named once, here.
macro_rules! rows {
    ($before:tt, $after:tt $(, $parameter:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            $before
                + r#" id, name, description, url, secrets, secrets_key_id,
                      auth_kind AS "auth_kind: AuthKind", header_names, permitted_origin,
                      event_types, cities,
                      state AS "state: State", disabled_reason, disabled_at, retry_schedule_ms,
                      max_age_ms, timeout_ms, rate_limit, max_in_flight,
                      ordering AS "ordering: Ordering", coalesce AS "coalesce: Coalesce", filter,
                      disable_after_ms, owner, created_at, updated_at "#
                + $after
            $(, $parameter)*
        )
    };
}

/// The statement, with the settings as its parameters after the id.
macro_rules! write_settings {
    ($statement:tt, $id:expr, $settings:expr) => {
        rows!(
            $statement,
            "",
            $id,
            $settings.name,
            $settings.description.as_deref(),
            $settings.url,
            $settings.secrets.bytes,
            $settings.secrets.key_id,
            $settings.auth_kind as AuthKind,
            $settings.event_types.as_deref(),
            $settings.cities.as_deref(),
            $settings.retry_schedule_ms.as_deref(),
            $settings.max_age_ms,
            $settings.timeout_ms,
            $settings.rate_limit,
            $settings.max_in_flight,
            $settings.ordering as Ordering,
            $settings.coalesce as Coalesce,
            $settings.filter.as_deref(),
            $settings.disable_after_ms,
            $settings.owner.as_deref(),
            &$settings.header_names,
            $settings.permitted_origin.as_deref(),
        )
    };
}

mod list;

pub use list::{Health, Wanted, list};

/// Adds a subscription, active, with an id for which its secrets were sealed.
///
/// # Errors
/// The constraint `subscriptions_name_key` when the name is taken.
pub async fn insert(db: impl PgExecutor<'_>, id: Uuid, settings: &Settings) -> sqlx::Result<Row> {
    write_settings!(
        "INSERT INTO subscriptions
            (id, name, description, url, secrets, secrets_key_id, auth_kind, event_types, cities,
             retry_schedule_ms, max_age_ms, timeout_ms, rate_limit, max_in_flight, ordering,
             coalesce, filter, disable_after_ms, owner, header_names,
             permitted_origin)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
                 $19, $20, $21)
         RETURNING",
        id,
        settings
    )
    .fetch_one(db)
    .await
}

/// Writes the settings, and gives the row as it is then.
///
/// Runs in the transaction that read them with [`lock`].
///
/// # Errors
/// The constraint `subscriptions_name_key` when the name is taken.
pub async fn update(db: &mut PgConnection, id: Uuid, settings: &Settings) -> sqlx::Result<Row> {
    write_settings!(
        "UPDATE subscriptions
         SET (name, description, url, secrets, secrets_key_id, auth_kind, event_types, cities,
              retry_schedule_ms, max_age_ms, timeout_ms, rate_limit, max_in_flight, ordering,
              coalesce, filter, disable_after_ms, owner, header_names,
              permitted_origin, updated_at)
           = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
              $20, $21, now())
         WHERE id = $1 RETURNING",
        id,
        settings
    )
    .fetch_one(db)
    .await
}

/// The subscription of that id, which nobody else changes until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock(db: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Row>> {
    rows!(
        "SELECT",
        "FROM subscriptions WHERE id = $1 FOR NO KEY UPDATE",
        id,
    )
    .fetch_optional(db)
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

/// A row as it was at some time: another version after each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// The subscription's.
    pub id: Uuid,
    /// The transaction that wrote it.
    pub written_in: i64,
}

/// The versions of all there are; of those that are nobody's but the admins' where that is `unowned`.
///
/// # Errors
/// The database's.
pub async fn versions(db: impl PgExecutor<'_>, unowned: bool) -> sqlx::Result<Vec<Version>> {
    sqlx::query_as!(
        Version,
        r#"
        SELECT id, xmin::text::bigint AS "written_in!" FROM subscriptions
        WHERE owner IS NULL OR NOT $1
        "#,
        unowned
    )
    .fetch_all(db)
    .await
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
