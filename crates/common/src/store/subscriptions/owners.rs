//! Whose subscriptions are.

use std::collections::HashMap;

use sqlx::PgExecutor;
use uuid::Uuid;

/// The owner of each subscription that has one, by its id as text.
///
/// # Errors
/// The database's.
pub async fn owners(db: impl PgExecutor<'_>) -> sqlx::Result<HashMap<String, String>> {
    let rows = sqlx::query!(
        r#"SELECT id::text AS "id!", owner AS "owner!" FROM subscriptions WHERE owner IS NOT NULL"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.owner)).collect())
}

/// The subscriptions of an owner; everybody's, where none is named.
///
/// # Errors
/// The database's.
pub async fn ids(db: impl PgExecutor<'_>, owner: Option<&str>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM subscriptions WHERE $1::text IS NULL OR owner = $1",
        owner
    )
    .fetch_all(db)
    .await
}
