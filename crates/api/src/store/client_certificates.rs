//! The table `client_certificates`: what may be told of the certificates that deliveries show.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    pub subscription_id: Uuid,
    pub subject: String,
    pub serial: String,
    pub fingerprint: String,
    pub not_after: DateTime<Utc>,
}

/// Writes that of a subscription, in the place of the one it may have.
///
/// # Errors
/// The database's.
pub async fn put(db: impl PgExecutor<'_>, row: &Row) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO client_certificates (subscription_id, subject, serial, fingerprint, not_after)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (subscription_id) DO UPDATE SET (subject, serial, fingerprint, not_after)
            = (EXCLUDED.subject, EXCLUDED.serial, EXCLUDED.fingerprint, EXCLUDED.not_after)
        "#,
        row.subscription_id,
        row.subject,
        row.serial,
        row.fingerprint,
        row.not_after,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes that of a subscription, if it has one.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, subscription_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM client_certificates WHERE subscription_id = $1",
        subscription_id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Those of the subscriptions that have one.
///
/// # Errors
/// The database's.
pub async fn of_all(db: impl PgExecutor<'_>, subscription_ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT subscription_id, subject, serial, fingerprint, not_after FROM client_certificates
        WHERE subscription_id = ANY($1)
        "#,
        subscription_ids,
    )
    .fetch_all(db)
    .await
}
