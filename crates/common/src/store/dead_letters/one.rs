//! The dead letters of one delivery.

use sqlx::PgExecutor;

use crate::store::attempts::Key;

/// A dead letter of a delivery: what is needed to send it again, or to show its event.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The dead letter's.
    pub id: i64,
    /// The event.
    pub payload: Vec<u8>,
}

/// The dead letters of a delivery, oldest first: one, unless a replica was killed between two.
///
/// # Errors
/// The database's.
pub async fn of(db: impl PgExecutor<'_>, key: &Key) -> sqlx::Result<Vec<Letter>> {
    sqlx::query_as!(
        Letter,
        r#"
        SELECT id, payload FROM dead_letters
        WHERE event_id = $1 AND subscription_id = $2 AND topic = $3 AND partition = $4
          AND event_offset = $5 AND replay_id IS NOT DISTINCT FROM $6
        ORDER BY id
        "#,
        key.event_id,
        key.subscription_id,
        key.topic,
        key.partition,
        key.event_offset,
        key.replay_id,
    )
    .fetch_all(db)
    .await
}
