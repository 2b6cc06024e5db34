//! The table `cursors`: stretches of the log that a subscription has yet to get, one a partition.
//!
//! While `end_offset` is NULL it is detached from the log there.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// The cursors of a batch that belong to detached subscriptions, or to replays, column by column.
#[derive(Debug, Default)]
pub struct Columns {
    /// Subscriptions, or replays.
    pub ids: Vec<Uuid>,
    /// In which partitions.
    pub partitions: Vec<i32>,
    /// From where on each is not settled.
    pub next_offsets: Vec<i64>,
    /// Where each ends; not yet, while detached.
    pub end_offsets: Vec<Option<i64>>,
    /// Deliveries settled since the last commit.
    pub settled: Vec<i64>,
}

/// A row, without its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Whose it is.
    pub subscription_id: Uuid,
    /// In which partition.
    pub partition: i32,
    /// From where on it is not settled.
    pub next_offset: i64,
    /// Where it ends; not yet, while detached.
    pub end_offset: Option<i64>,
}

/// What is held back for a subscription that is detached.
#[derive(Clone, Debug)]
pub struct HeldBack {
    /// Whose it is.
    pub subscription_id: Uuid,
    /// Since when.
    pub since: DateTime<Utc>,
    /// In how many partitions.
    pub partitions: i64,
    /// How near retention has come to the first of it, 0 to 1.
    pub retention_used: f32,
}

/// Writes where each stands, as the owner of its partition.
///
/// # Errors
/// The database's.
pub async fn upsert_all(db: impl PgExecutor<'_>, topic: &str, batch: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO cursors (topic, subscription_id, partition, next_offset, end_offset)
        SELECT $1, * FROM UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::bigint[])
        ON CONFLICT (subscription_id, topic, partition) DO UPDATE
        SET next_offset = excluded.next_offset, end_offset = excluded.end_offset
        "#,
        topic,
        &batch.ids,
        &batch.partitions,
        &batch.next_offsets,
        &batch.end_offsets as &[Option<i64>],
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes those of the subscriptions that are settled to their end; whose they were.
///
/// # Errors
/// The database's.
pub async fn delete_done(
    db: impl PgExecutor<'_>,
    topic: &str,
    subscription_ids: &[Uuid],
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        DELETE FROM cursors
        WHERE subscription_id = ANY($2) AND topic = $1 AND next_offset >= end_offset
        RETURNING subscription_id
        "#,
        topic,
        subscription_ids,
    )
    .fetch_all(db)
    .await
}

/// Removes all of a partition, whose offsets mean something else now.
///
/// # Errors
/// The database's.
pub async fn clear(db: impl PgExecutor<'_>, topic: &str, partition: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM cursors WHERE topic = $1 AND partition = $2",
        topic,
        partition
    )
    .execute(db)
    .await
    .map(drop)
}

/// All of a partition.
///
/// # Errors
/// The database's.
pub async fn load(
    db: impl PgExecutor<'_>,
    topic: &str,
    partition: i32,
) -> sqlx::Result<Vec<Cursor>> {
    sqlx::query_as!(
        Cursor,
        r#"
        SELECT subscription_id, partition, next_offset, end_offset FROM cursors
        WHERE topic = $1 AND partition = $2
        "#,
        topic,
        partition,
    )
    .fetch_all(db)
    .await
}

/// Notes for those of a partition that stand before an offset how much of the retention is used.
///
/// # Errors
/// The database's.
pub async fn note_retention(
    db: impl PgExecutor<'_>,
    topic: &str,
    partition: i32,
    (before, used): (&[i64], &[f32]),
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE cursors SET retention_used = noted.used
        FROM (SELECT subscription_id AS id,
                     COALESCE((SELECT max(used) FROM UNNEST($3::bigint[], $4::real[]) AS mark (before, used)
                               WHERE next_offset < mark.before), 0) AS used
              FROM cursors WHERE topic = $1 AND partition = $2) AS noted
        WHERE cursors.topic = $1 AND cursors.partition = $2
          AND cursors.subscription_id = noted.id AND cursors.retention_used <> noted.used
        "#,
        topic,
        partition,
        before,
        used,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Of the partitions, those with a subscription that is detached.
///
/// # Errors
/// The database's.
pub async fn open_partitions(
    db: impl PgExecutor<'_>,
    topic: &str,
    partitions: &[i32],
) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        "SELECT DISTINCT partition FROM cursors WHERE topic = $1 AND partition = ANY($2)",
        topic,
        partitions,
    )
    .fetch_all(db)
    .await
}

/// How much of the retention the cursor has used that has used the most.
///
/// # Errors
/// The database's.
pub async fn most_used(db: impl PgExecutor<'_>, topic: &str) -> sqlx::Result<f32> {
    sqlx::query_scalar!(
        r#"SELECT COALESCE(max(retention_used), 0) AS "used!" FROM cursors WHERE topic = $1"#,
        topic
    )
    .fetch_one(db)
    .await
}

/// Removes those whose subscription is gone.
///
/// # Errors
/// The database's.
pub async fn sweep_orphans(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        DELETE FROM cursors
        WHERE NOT EXISTS (SELECT FROM subscriptions WHERE id = cursors.subscription_id)
        "#
    )
    .execute(db)
    .await
    .map(drop)
}

/// What is held back for those of the subscriptions that are detached.
///
/// # Errors
/// The database's.
pub async fn held_back(
    db: impl PgExecutor<'_>,
    subscription_ids: &[Uuid],
) -> sqlx::Result<Vec<HeldBack>> {
    sqlx::query_as!(
        HeldBack,
        r#"
        SELECT subscription_id, min(created_at) AS "since!", count(*) AS "partitions!",
               max(retention_used) AS "retention_used!"
        FROM cursors WHERE subscription_id = ANY($1) AND end_offset IS NULL
        GROUP BY subscription_id
        "#,
        subscription_ids,
    )
    .fetch_all(db)
    .await
}

/// Removes those of a subscription that was deleted.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, subscription_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM cursors WHERE subscription_id = $1",
        subscription_id
    )
    .execute(db)
    .await
    .map(drop)
}
