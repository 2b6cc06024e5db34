//! The table `public_keys`: what anybody verifies Ed25519 signatures with.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    pub subscription_id: Uuid,
    pub key_set: Uuid,
    pub kid: String,
    pub key: Vec<u8>,
    pub ends_at: Option<DateTime<Utc>>,
}

/// Adds a key of that subscription, to the set of those that it has.
///
/// # Errors
/// The database's.
pub async fn insert(
    db: impl PgExecutor<'_>,
    subscription_id: Uuid,
    kid: &str,
    key: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO public_keys (subscription_id, key_set, kid, key)
        SELECT $1, COALESCE((SELECT key_set FROM public_keys WHERE subscription_id = $1 LIMIT 1),
                            gen_random_uuid()), $2, $3
        "#,
        subscription_id,
        kid,
        key,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Gives all of the subscription's that end: those that would sign longer, then.
///
/// # Errors
/// The database's.
pub async fn end_all(
    db: impl PgExecutor<'_>,
    subscription_id: Uuid,
    until: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE public_keys SET ends_at = LEAST(ends_at, $2) WHERE subscription_id = $1",
        subscription_id,
        until,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes those of the subscription that have ended.
///
/// # Errors
/// The database's.
pub async fn delete_ended(
    db: &mut PgConnection,
    subscription_id: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM public_keys WHERE subscription_id = $1 AND ends_at <= $2",
        subscription_id,
        now,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Those of the subscriptions that sign, the newest first.
///
/// # Errors
/// The database's.
pub async fn of_all(db: impl PgExecutor<'_>, subscription_ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT subscription_id, key_set, kid, key, ends_at FROM public_keys
        WHERE subscription_id = ANY($1) AND (ends_at IS NULL OR ends_at > now())
        ORDER BY id DESC
        "#,
        subscription_ids,
    )
    .fetch_all(db)
    .await
}

/// Those that sign, of that set and that kid where they are given, the newest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    key_set: Option<Uuid>,
    kid: Option<&str>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT subscription_id, key_set, kid, key, ends_at FROM public_keys
        WHERE ($1::uuid IS NULL OR key_set = $1) AND ($2::text IS NULL OR kid = $2)
          AND (ends_at IS NULL OR ends_at > now())
        ORDER BY id DESC LIMIT $3
        "#,
        key_set,
        kid,
        limit,
    )
    .fetch_all(db)
    .await
}
