//! The table `statistics_deltas`: what replicas counted, one row a flush, until it is folded.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// What one replica counted between two of its flushes.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// Who did.
    pub replica: Uuid,
    /// Its how manyeth.
    pub number: i64,
    /// As `statistics::packed` writes it.
    pub tally: &'a [u8],
}

/// The same, as it is found.
#[derive(Debug)]
pub struct Row {
    pub replica: Uuid,
    pub number: i64,
    pub tally: Vec<u8>,
    /// When its transaction began.
    pub created_at: DateTime<Utc>,
}

/// Adds one; where it is there already, that was its transaction, whose end was not seen.
pub async fn insert(db: impl PgExecutor<'_>, delta: Delta<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO statistics_deltas (replica, number, tally) VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
        "#,
        delta.replica,
        delta.number,
        delta.tally,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes the oldest whose first byte is `version`, up to `limit` of them, and returns them.
pub async fn take(db: impl PgExecutor<'_>, version: u8, limit: i64) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        WITH oldest AS MATERIALIZED (
            SELECT replica, number FROM statistics_deltas
            WHERE get_byte(tally, 0) = $1 ORDER BY created_at LIMIT $2
        )
        DELETE FROM statistics_deltas AS delta USING oldest
        WHERE delta.replica = oldest.replica AND delta.number = oldest.number
        RETURNING delta.replica, delta.number, delta.tally, delta.created_at
        "#,
        i32::from(version),
        limit,
    )
    .fetch_all(db)
    .await
}
