//! The table `settled_ahead`: deliveries settled beyond a partition's progress.
//!
//! A new owner reads them, and does not attempt those again. A row is spent once progress has
//! passed its highest offset.

use sqlx::PgExecutor;
use uuid::Uuid;

use super::SHARD;

/// What one flush settled ahead in one partition: the n-th offset for the n-th subscription.
#[derive(Debug)]
pub struct Pairs {
    pub offsets: Vec<i64>,
    pub subscription_ids: Vec<Uuid>,
}

/// What one flush settled ahead in all partitions: in the n-th the n-th offset, for the n-th subscription.
#[derive(Debug, Default)]
pub struct Columns {
    pub partitions: Vec<i32>,
    pub offsets: Vec<i64>,
    pub subscription_ids: Vec<Uuid>,
}

/// Adds what one flush settled: a row for each partition.
pub async fn insert_all(
    db: impl PgExecutor<'_>,
    topic: &str,
    columns: &Columns,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO settled_ahead (shard, topic, partition, highest_offset, offsets, subscription_ids)
        SELECT $1, $2, partition, max(event_offset), array_agg(event_offset), array_agg(subscription_id)
        FROM UNNEST($3::int[], $4::bigint[], $5::uuid[])
            AS settled (partition, event_offset, subscription_id)
        GROUP BY partition
        "#,
        SHARD,
        topic,
        &columns.partitions,
        &columns.offsets,
        &columns.subscription_ids,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes all of a partition, whose offsets mean something else now.
pub async fn clear(db: impl PgExecutor<'_>, topic: &str, partition: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM settled_ahead WHERE shard = $1 AND topic = $2 AND partition = $3",
        SHARD,
        topic,
        partition,
    )
    .execute(db)
    .await
    .map(drop)
}

/// All that is settled ahead in a partition.
pub async fn load(
    db: impl PgExecutor<'_>,
    topic: &str,
    partition: i32,
) -> sqlx::Result<Vec<Pairs>> {
    sqlx::query_as!(
        Pairs,
        r#"
        SELECT offsets, subscription_ids FROM settled_ahead
        WHERE shard = $1 AND topic = $2 AND partition = $3
        "#,
        SHARD,
        topic,
        partition,
    )
    .fetch_all(db)
    .await
}
