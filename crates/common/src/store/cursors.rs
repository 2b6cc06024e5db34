//! The table `cursors`: stretches of the log that a subscription has yet to get, one a partition.
//!
//! While `end_offset` is NULL it is detached from the log there.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

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
