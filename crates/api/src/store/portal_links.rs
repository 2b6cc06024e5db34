//! The table `portal_links`: links that sign in one owner's people, once.
//!
//! One that was used, or whose time is over, is removed: no row is a link any more that is not good.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// A link to be made.
#[derive(Debug)]
pub struct New<'a> {
    pub id: Uuid,
    pub hash: &'a [u8],
    pub owner: &'a str,
    pub scopes: &'a [String],
    pub lifetime: Duration,
}

/// What a link is for.
#[derive(Debug)]
pub struct Row {
    pub id: Uuid,
    pub owner: String,
    pub scopes: Vec<String>,
}

/// Adds a link; says until when it is good.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, new: &New<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(
        "INSERT INTO portal_links (id, hash, owner, scopes, expires_at)
         VALUES ($1, $2, $3, $4, now() + make_interval(secs => $5)) RETURNING expires_at",
        new.id,
        new.hash,
        new.owner,
        new.scopes,
        new.lifetime.as_secs_f64(),
    )
    .fetch_one(db)
    .await
}

/// Takes the link of that hash away and says what it was for, if it is good: of two who use it at
/// once, one gets it.
///
/// # Errors
/// The database's.
pub async fn take(db: &mut PgConnection, hash: &[u8]) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        "DELETE FROM portal_links WHERE hash = $1 AND expires_at > now()
         RETURNING id, owner, scopes",
        hash,
    )
    .fetch_optional(db)
    .await
}

/// Removes those whose time is over.
///
/// # Errors
/// The database's.
pub async fn remove_expired(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM portal_links WHERE expires_at <= now()")
        .execute(db)
        .await
        .map(drop)
}
