//! The table `settled_ahead`: deliveries settled beyond a partition's progress.
//!
//! A new owner reads them, and does not attempt those again. A row is spent once progress has
//! passed its highest offset.

use sqlx::PgExecutor;
use uuid::Uuid;

use super::SHARD;

/// What one flush settled ahead in one partition: the n-th offset for the n-th subscription.
#[derive(Debug, Default)]
pub struct Pairs {
    pub offsets: Vec<i64>,
    pub subscription_ids: Vec<Uuid>,
}

/// Adds what one flush settled in one partition. `pairs` is not empty.
pub async fn insert(
    db: impl PgExecutor<'_>,
    topic: &str,
    partition: i32,
    pairs: &Pairs,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO settled_ahead (shard, topic, partition, highest_offset, offsets, subscription_ids)
        VALUES ($1, $2, $3, (SELECT max(o) FROM UNNEST($4::bigint[]) AS o), $4, $5)
        "#,
        SHARD,
        topic,
        partition,
        &pairs.offsets,
        &pairs.subscription_ids,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes the rows that progress has passed (the n-th offset is the n-th partition's).
pub async fn delete_passed(
    db: impl PgExecutor<'_>,
    topic: &str,
    partitions: &[i32],
    next_offsets: &[i64],
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        DELETE FROM settled_ahead USING UNNEST($3::int[], $4::bigint[]) AS moved (partition, next_offset)
        WHERE settled_ahead.shard = $1 AND settled_ahead.topic = $2
          AND settled_ahead.partition = moved.partition
          AND settled_ahead.highest_offset < moved.next_offset
        "#,
        SHARD,
        topic,
        partitions,
        next_offsets,
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
