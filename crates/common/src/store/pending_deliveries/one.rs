//! Pending deliveries one by one: what the API shows of them, and asks of them.

use sqlx::PgExecutor;

use crate::store::attempts::Key;

/// A pending delivery, as the API sees it.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// When it is due; while it is attempted, when its lease ends.
    pub due_at: chrono::DateTime<chrono::Utc>,
    /// Attempts made so far.
    pub attempts: i32,
    /// The city, or of whom an operational event tells.
    pub event_key: Option<String>,
    /// When it became pending.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// The event's record's time.
    pub published_at: Option<chrono::DateTime<chrono::Utc>>,
}

/// The pending delivery, if it is one.
///
/// # Errors
/// The database's.
pub async fn get(db: impl PgExecutor<'_>, key: &Key) -> sqlx::Result<Option<Waiting>> {
    sqlx::query_as!(
        Waiting,
        r#"
        SELECT due_at, attempts, event_key, created_at, published_at FROM pending_deliveries
        WHERE subscription_id = $1 AND topic = $2 AND partition = $3 AND event_offset = $4
          AND event_id = $5 AND replay_id IS NOT DISTINCT FROM $6
        "#,
        key.subscription_id,
        key.topic,
        key.partition,
        key.event_offset,
        key.event_id,
        key.replay_id,
    )
    .fetch_optional(db)
    .await
}

/// The event of a pending delivery.
///
/// # Errors
/// The database's.
pub async fn payload(db: impl PgExecutor<'_>, key: &Key) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        r#"
        SELECT payload FROM pending_deliveries
        WHERE subscription_id = $1 AND topic = $2 AND partition = $3 AND event_offset = $4
          AND event_id = $5 AND replay_id IS NOT DISTINCT FROM $6
        "#,
        key.subscription_id,
        key.topic,
        key.partition,
        key.event_offset,
        key.event_id,
        key.replay_id,
    )
    .fetch_optional(db)
    .await
}

/// Lets it be due at once; one that is in flight stays so. Whether it is pending.
///
/// # Errors
/// The database's.
pub async fn hurry(db: impl PgExecutor<'_>, key: &Key) -> sqlx::Result<bool> {
    let pending = sqlx::query!(
        r#"
        UPDATE pending_deliveries
        SET due_at = CASE WHEN lease IS NULL THEN LEAST(due_at, now()) ELSE due_at END
        WHERE subscription_id = $1 AND topic = $2 AND partition = $3 AND event_offset = $4
          AND event_id = $5 AND replay_id IS NOT DISTINCT FROM $6
        "#,
        key.subscription_id,
        key.topic,
        key.partition,
        key.event_offset,
        key.event_id,
        key.replay_id,
    )
    .execute(db)
    .await?;
    Ok(pending.rows_affected() > 0)
}
