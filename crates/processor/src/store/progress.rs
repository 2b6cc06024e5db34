//! The table `progress`: how far each partition is settled, and who may say so.
//!
//! Each new owner of a partition raises its epoch; a write under an older one changes nothing. Where it
//! moves, what it passes of `settled_ahead` goes in the same statement: every flush does both.

use sqlx::PgExecutor;
use uuid::Uuid;

use super::SHARD;

/// A partition as its new owner finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    pub partition: i32,
    pub epoch: i64,
    /// The lowest offset not settled; `None` when nobody has begun.
    pub next_offset: Option<i64>,
}

/// Makes `owner` the owner of the partitions, each under a new epoch.
pub async fn claim(
    db: impl PgExecutor<'_>,
    topic: &str,
    partitions: &[i32],
    owner: &str,
) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"
        INSERT INTO progress (shard, topic, partition, epoch, owner)
        SELECT $1, $2, partition, 1, $4 FROM UNNEST($3::int[]) AS partition ORDER BY partition
        ON CONFLICT (shard, topic, partition) DO UPDATE
        SET epoch = progress.epoch + 1, owner = excluded.owner, updated_at = now()
        RETURNING partition, epoch, next_offset
        "#,
        SHARD,
        topic,
        partitions,
        owner,
    )
    .fetch_all(db)
    .await
}

/// Moves the progress of the partitions (the n-th epoch and offset are the n-th partition's), and
/// removes what was settled ahead that it passes. Returns those that were moved: the others have a new
/// owner.
pub async fn advance(
    db: impl PgExecutor<'_>,
    topic: &str,
    (partitions, epochs, next_offsets): (&[i32], &[i64], &[i64]),
    flush_id: Uuid,
) -> sqlx::Result<Vec<i32>> {
    sqlx::query_scalar!(
        r#"
        WITH moved AS (
            UPDATE progress SET next_offset = flushed.next_offset, flush_id = $6, updated_at = now()
            FROM UNNEST($3::int[], $4::bigint[], $5::bigint[])
                AS flushed (partition, epoch, next_offset)
            WHERE progress.shard = $1 AND progress.topic = $2
              AND progress.partition = flushed.partition AND progress.epoch = flushed.epoch
            RETURNING progress.partition, progress.next_offset
        ), passed AS (
            DELETE FROM settled_ahead USING moved
            WHERE settled_ahead.shard = $1 AND settled_ahead.topic = $2
              AND settled_ahead.partition = moved.partition
              AND settled_ahead.highest_offset < moved.next_offset
        )
        SELECT partition FROM moved
        "#,
        SHARD,
        topic,
        partitions,
        epochs,
        next_offsets,
        flush_id,
    )
    .fetch_all(db)
    .await
}

/// Whether the flush of that id was committed, while nobody else has moved the partition since.
pub async fn was_flushed(
    db: impl PgExecutor<'_>,
    topic: &str,
    partition: i32,
    flush_id: Uuid,
) -> sqlx::Result<bool> {
    let found = sqlx::query_scalar!(
        "SELECT flush_id FROM progress WHERE shard = $1 AND topic = $2 AND partition = $3",
        SHARD,
        topic,
        partition,
    )
    .fetch_optional(db)
    .await?;
    Ok(found.flatten() == Some(flush_id))
}
