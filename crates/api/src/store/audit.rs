//! The table `audit`: who changed what, when and from where.
//!
//! A row is written in the transaction of the change, so that there is none without the other.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

use crate::access::Caller;

/// What was done to what.
#[derive(Debug)]
pub struct Change<'a> {
    /// As `create`.
    pub action: &'a str,
    /// As `subscription`.
    pub kind: &'a str,
    /// The id of the object.
    pub object_id: String,
    /// What was set, without secrets.
    pub changes: Value,
}

/// One row.
#[derive(Debug)]
pub struct Row {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub who: String,
    pub role: String,
    pub action: String,
    pub kind: String,
    pub object_id: String,
    pub address: Option<String>,
    pub changes: String,
    pub request_id: String,
}

/// Which rows a list shows: those that match everything that is given.
#[derive(Debug, Default)]
pub struct Filter {
    pub who: Option<String>,
    pub action: Option<String>,
    pub kind: Option<String>,
    pub object_id: Option<String>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// Writes that the caller did it.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, by: &Caller, change: Change<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO audit (who, role, action, kind, object_id, address, changes, request_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8)
        "#,
        by.who,
        by.role.label(),
        change.action,
        change.kind,
        change.object_id,
        by.address,
        change.changes.to_string(),
        by.request_id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Those that match, newest first, from before the row `before` on.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT id, at, who, role, action, kind, object_id, address, changes::text AS "changes!",
               request_id
        FROM audit
        WHERE ($1::text IS NULL OR who = $1) AND ($2::text IS NULL OR action = $2)
          AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR object_id = $4)
          AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
          AND ($7::bigint IS NULL OR id < $7)
        ORDER BY id DESC LIMIT $8
        "#,
        filter.who,
        filter.action,
        filter.kind,
        filter.object_id,
        filter.since,
        filter.until,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Removes up to `limit` rows that are older than so many days; says how many.
///
/// # Errors
/// The database's.
pub async fn delete_old(db: impl PgExecutor<'_>, days: i32, limit: i64) -> sqlx::Result<u64> {
    sqlx::query!(
        r#"
        DELETE FROM audit WHERE id IN (
            SELECT id FROM audit WHERE at < now() - make_interval(days => $1) ORDER BY at LIMIT $2)
        "#,
        days,
        limit,
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected())
}
