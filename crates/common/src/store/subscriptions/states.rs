//! Whether a subscription gets events: the columns `state`, `disabled_reason` and `disabled_at`.

use sqlx::PgExecutor;
use uuid::Uuid;

/// Disables those that are active, and says why. In the order of their ids, so that two at once
/// do not wait for each other for ever.
///
/// # Errors
/// The database's.
pub async fn disable_all(db: impl PgExecutor<'_>, ids: &[Uuid], reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH wanted AS MATERIALIZED (
            SELECT id FROM subscriptions WHERE id = ANY($1) AND state = 'active'
            ORDER BY id FOR NO KEY UPDATE
        )
        UPDATE subscriptions SET state = 'disabled', disabled_reason = $2, disabled_at = now(),
               updated_at = now()
        FROM wanted WHERE subscriptions.id = wanted.id
        "#,
        ids,
        reason,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Pauses one that is active.
///
/// # Errors
/// The database's.
pub async fn pause(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE subscriptions SET state = 'paused', updated_at = now()
         WHERE id = $1 AND state = 'active'",
        id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Makes one that is paused active again.
///
/// # Errors
/// The database's.
pub async fn resume(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE subscriptions SET state = 'active', updated_at = now()
         WHERE id = $1 AND state = 'paused'",
        id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Makes one that is disabled active again; says whether it was disabled.
///
/// # Errors
/// The database's.
pub async fn enable(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query!(
        r#"
        UPDATE subscriptions
        SET state = 'active', disabled_reason = NULL, disabled_at = NULL, updated_at = now()
        WHERE id = $1 AND state = 'disabled'
        "#,
        id,
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
}
