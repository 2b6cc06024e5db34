//! Which subscriptions are an owner's.

use sqlx::PgExecutor;
use uuid::Uuid;

/// Those of an owner; only the one of that id, if one is given and is the owner's.
///
/// # Errors
/// The database's.
pub async fn ids(
    db: impl PgExecutor<'_>,
    owner: &str,
    id: Option<Uuid>,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "SELECT id FROM subscriptions WHERE owner = $1 AND ($2::uuid IS NULL OR id = $2)",
        owner,
        id,
    )
    .fetch_all(db)
    .await
}
