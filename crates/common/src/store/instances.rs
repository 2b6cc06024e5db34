//! The table `instances`: which processes run, and with which settings.
//!
//! All its times are the database's.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// What a process tells of itself.
#[derive(Debug)]
pub struct New<'a> {
    /// Its own, made when it started.
    pub id: Uuid,
    /// As `api`.
    pub service: &'a str,
    /// Of the program.
    pub version: &'a str,
    /// On which machine, or in which container.
    pub host: &'a str,
    /// The number of the process there.
    pub pid: i64,
    /// For how long it runs.
    pub age_seconds: f64,
    /// As a JSON list, without secrets.
    pub settings: &'a str,
}

/// One row.
#[derive(Debug)]
#[expect(missing_docs, reason = "as in `New`")]
pub struct Row {
    pub id: Uuid,
    pub service: String,
    pub version: String,
    pub host: String,
    pub pid: i64,
    pub started_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    /// Whether it was seen lately: it may have missed two refreshes.
    pub running: bool,
    pub settings: String,
}

/// Notes that the process runs.
///
/// # Errors
/// The database's.
pub async fn upsert(db: impl PgExecutor<'_>, new: &New<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO instances (id, service, version, host, pid, started_at, settings)
        VALUES ($1, $2, $3, $4, $5, now() - make_interval(secs => $6), $7::text::jsonb)
        ON CONFLICT (id) DO UPDATE SET seen_at = now()
        "#,
        new.id,
        new.service,
        new.version,
        new.host,
        new.pid,
        new.age_seconds,
        new.settings,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes what nothing was seen of for an hour.
///
/// # Errors
/// The database's.
pub async fn delete_unseen(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM instances WHERE seen_at < now() - interval '1 hour'")
        .execute(db)
        .await
        .map(drop)
}

/// Removes the row of a process that ends.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM instances WHERE id = $1", id)
        .execute(db)
        .await
        .map(drop)
}

/// A page of all, those that started last first.
///
/// # Errors
/// The database's.
pub async fn list(db: impl PgExecutor<'_>, skip: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT id, service, version, host, pid, started_at, seen_at,
               seen_at > now() - interval '90 seconds' AS "running!", settings::text AS "settings!"
        FROM instances ORDER BY started_at DESC, id DESC OFFSET $1 LIMIT $2
        "#,
        skip,
        limit,
    )
    .fetch_all(db)
    .await
}
