//! What deliveries are by now that were sent again at one moment.

use chrono::{DateTime, Utc};
use common::store::attempts::{one, requeued};
use sqlx::PgPool;

use super::shown::Delivery;

/// Those that the owner may see, up to `limit`, whose last attempt was the latest first.
///
/// # Errors
/// The database's.
pub async fn requeued_at(
    db: &PgPool,
    owner: Option<&str>,
    at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Delivery>> {
    let rows = requeued::latest(db, owner, at, limit).await?;
    let beside = one::beside(db, &rows).await?;
    let known = rows.into_iter().zip(&beside);
    Ok(known.map(|(row, it)| Delivery::of(row, it)).collect())
}
