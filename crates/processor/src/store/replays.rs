//! The tables `replays` and `replay_ranges`, as the processor works on them: `api` makes and
//! cancels replays.

use sqlx::PgExecutor;
use uuid::Uuid;

use super::cursors::Columns;

/// The channel on which a replay that was made or cancelled is told, with its id.
pub const CHANGED: &str = "replay_changed";

/// What is left of a running replay in one partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub replay_id: Uuid,
    pub subscription_id: Uuid,
    /// Deliveries a second at most.
    pub rate: Option<f64>,
    pub partition: i32,
    pub next_offset: i64,
    pub end_offset: i64,
}

/// The ranges of all running replays.
pub async fn running(db: impl PgExecutor<'_>, topic: &str) -> sqlx::Result<Vec<Range>> {
    sqlx::query_as!(
        Range,
        r#"
        SELECT replay_id, subscription_id, rate, partition, next_offset, end_offset
        FROM replay_ranges JOIN replays ON replays.id = replay_id
        WHERE topic = $1 AND next_offset < end_offset AND state = 'running'
        "#,
        topic,
    )
    .fetch_all(db)
    .await
}

/// Writes where each stands, as the owner of its partition.
pub async fn advance_all(
    db: impl PgExecutor<'_>,
    topic: &str,
    batch: &Columns,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE replay_ranges
        SET next_offset = moved.next_offset, settled = replay_ranges.settled + moved.settled
        FROM UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::bigint[])
            AS moved (replay_id, partition, next_offset, settled)
        WHERE replay_ranges.topic = $1 AND replay_ranges.replay_id = moved.replay_id
          AND replay_ranges.partition = moved.partition
        "#,
        topic,
        &batch.ids,
        &batch.partitions,
        &batch.next_offsets,
        &batch.settled,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Completes those of the replays of which nothing is left.
pub async fn complete(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE replays SET state = 'completed', ended_at = now()
        WHERE id = ANY($1) AND state = 'running' AND NOT EXISTS (
            SELECT FROM replay_ranges WHERE replay_id = replays.id AND next_offset < end_offset)
        "#,
        ids,
    )
    .execute(db)
    .await
    .map(drop)
}
