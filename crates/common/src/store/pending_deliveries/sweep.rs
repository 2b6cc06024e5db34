//! Pending deliveries that nobody wants any more.

use sqlx::PgExecutor;
use uuid::Uuid;

/// Ends what a replay that was cancelled has left.
///
/// # Errors
/// The database's.
pub async fn end_replay(
    db: impl PgExecutor<'_>,
    subscription_id: Uuid,
    replay_id: Uuid,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM pending_deliveries WHERE subscription_id = $1 AND replay_id = $2",
        subscription_id,
        replay_id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes up to `limit` rows whose subscription was deleted; how many.
///
/// # Errors
/// The database's.
pub async fn sweep_orphans(db: impl PgExecutor<'_>, limit: i64) -> sqlx::Result<u64> {
    let swept = sqlx::query!(
        r#"
        DELETE FROM pending_deliveries WHERE ctid = ANY (ARRAY(
            SELECT orphan.ctid FROM pending_deliveries AS orphan
            WHERE NOT EXISTS (SELECT FROM subscriptions WHERE id = orphan.subscription_id)
            LIMIT $1 FOR UPDATE SKIP LOCKED))
        "#,
        limit,
    )
    .execute(db)
    .await?;
    Ok(swept.rows_affected())
}
