//! The table `operations`, which the processor writes: what happened to subscriptions.

use sqlx::PgExecutor;
use uuid::Uuid;

/// The latest operational events about a subscription, newest first, as JSON. They are kept for a day.
///
/// # Errors
/// The database's.
pub async fn latest(
    db: impl PgExecutor<'_>,
    subscription_id: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        r#"
        SELECT body FROM operations WHERE subscription_id = $1
        ORDER BY created_at DESC, id DESC LIMIT $2
        "#,
        subscription_id,
        limit,
    )
    .fetch_all(db)
    .await
}
