//! The table `api_keys`: who may use the API.
//!
//! A key is revoked, never removed: the audit names it. A session is removed some time after its end,
//! since each sign-in makes one; the audit says whose it was.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Caller, Role, Scope};

/// What a key was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// For whom somebody gave it to.
    Key,
    /// For somebody who signed in, for some hours.
    Session,
}

/// One row, without the hash.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Uuid,
    pub kind: Kind,
    pub name: String,
    pub prefix: String,
    pub role: Role,
    pub owner: Option<String>,
    pub scopes: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl From<Row> for Caller {
    fn from(row: Row) -> Self {
        let scopes = Scope::among(&row.scopes);
        let who = match row.kind {
            Kind::Key => format!("key:{}", row.id),
            Kind::Session => format!("session:{}", row.id),
        };
        Self {
            role: row.role,
            owner: row.owner,
            scopes,
            who,
            key: Some(row.id),
            in_session: row.kind == Kind::Session,
            address: None,
            request_id: String::new(),
        }
    }
}

/// A key to be made.
#[derive(Debug)]
pub struct New<'a> {
    pub name: &'a str,
    pub prefix: &'a str,
    pub hash: &'a [u8],
    pub role: Role,
    pub owner: Option<&'a str>,
    pub scopes: &'a [String],
    pub expires_at: Option<DateTime<Utc>>,
    pub created_by: &'a str,
}

macro_rules! rows {
    ($before:tt, $after:tt $(, $parameter:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            $before
                + r#" id, kind AS "kind: Kind", name, prefix, role AS "role: Role", owner, scopes, expires_at,
                      last_used_at, created_at, created_by, revoked_at "#
                + $after
            $(, $parameter)*
        )
    };
}

/// Adds a key.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, new: &New<'_>) -> sqlx::Result<Row> {
    rows!(
        "INSERT INTO api_keys
            (id, name, prefix, hash, role, owner, scopes, expires_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING",
        "",
        Uuid::now_v7(),
        new.name,
        new.prefix,
        new.hash,
        new.role as Role,
        new.owner,
        new.scopes,
        new.expires_at,
        new.created_by,
    )
    .fetch_one(db)
    .await
}

/// Adds a session that lasts so long from now.
///
/// # Errors
/// The database's.
pub async fn insert_session(
    db: &mut PgConnection,
    new: &New<'_>,
    lifetime: Duration,
) -> sqlx::Result<Row> {
    rows!(
        "INSERT INTO api_keys
            (id, kind, name, prefix, hash, role, owner, scopes, expires_at, created_by)
         VALUES ($1, 'session', $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8), $9) RETURNING",
        "",
        Uuid::now_v7(),
        new.name,
        new.prefix,
        new.hash,
        new.role as Role,
        new.owner,
        new.scopes,
        lifetime.as_secs_f64(),
        new.created_by,
    )
    .fetch_one(db)
    .await
}

/// Removes the sessions that ended more than a day ago.
///
/// # Errors
/// The database's.
pub async fn remove_ended_sessions(db: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM api_keys WHERE kind = 'session' AND expires_at < now() - interval '1 day'"
    )
    .execute(db)
    .await
    .map(drop)
}

/// The key of that hash, if it is in force.
///
/// # Errors
/// The database's.
pub async fn by_hash(db: impl PgExecutor<'_>, hash: &[u8]) -> sqlx::Result<Option<Row>> {
    rows!(
        "SELECT",
        "FROM api_keys
         WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        hash,
    )
    .fetch_optional(db)
    .await
}

/// Whether the key of that id is in force.
///
/// # Errors
/// The database's.
pub async fn is_in_force(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT EXISTS (
            SELECT FROM api_keys
            WHERE id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        ) AS "in_force!"
        "#,
        id,
    )
    .fetch_one(db)
    .await
}

/// Notes that it was used, once a minute at most.
///
/// # Errors
/// The database's.
pub async fn note_use(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE api_keys SET last_used_at = now()
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')",
        id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// A page of all, or of one kind, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    kind: Option<Kind>,
    (skip, limit): (i64, i64),
) -> sqlx::Result<Vec<Row>> {
    rows!(
        "SELECT",
        "FROM api_keys WHERE kind = $3 OR $3 IS NULL ORDER BY id OFFSET $1 LIMIT $2",
        skip,
        limit,
        kind as Option<Kind>,
    )
    .fetch_all(db)
    .await
}

/// Revokes it; says whether it was in force.
///
/// # Errors
/// The database's.
pub async fn revoke(db: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query!(
        "UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL",
        id,
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_its_kind_a_key_is_looked_up_again_by_its_id() {
        for kind in [Kind::Key, Kind::Session] {
            let row = Row {
                id: Uuid::now_v7(),
                kind,
                name: String::new(),
                prefix: String::new(),
                role: Role::Subscriber,
                owner: Some("acme".into()),
                scopes: vec!["read".into()],
                expires_at: None,
                last_used_at: None,
                created_at: DateTime::UNIX_EPOCH,
                created_by: String::new(),
                revoked_at: None,
            };
            let id = row.id;
            let caller = Caller::from(row);
            assert_eq!(caller.key, Some(id));
            assert_eq!(caller.in_session, kind == Kind::Session);
        }
    }
}
