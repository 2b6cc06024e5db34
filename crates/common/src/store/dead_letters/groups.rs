//! Dead letters by what they have in common: whose they are, and how they failed.
//!
//! A group is counted, and found by age, from an index that has nothing else in it. What is no event
//! belongs to nobody and is told apart by a text: it is found by its reason.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Reason;

/// What failed in the same way for the same subscription.
#[derive(Clone, Debug)]
pub struct Row {
    /// Whose deliveries; `None` where the records are no events.
    pub subscription_id: Option<Uuid>,
    /// Why they are here.
    pub reason: Reason,
    /// The class of their last failure.
    pub last_error: Option<String>,
    /// How many there are.
    pub count: i64,
    /// When the first of them came here.
    pub oldest_at: DateTime<Utc>,
    /// When the last did.
    pub newest_at: DateTime<Utc>,
}

/// Which groups a list shows: those that match everything that is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Of this reason only; here and below `None` means any.
    pub reason: Option<Reason>,
    /// Of this class of failure only; of the empty one: of none.
    pub last_error: Option<&'a str>,
}

/// A page of everybody's, largest first.
///
/// # Errors
/// The database's.
pub async fn of_all(
    db: impl PgExecutor<'_>,
    filter: Filter<'_>,
    skip: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT subscription_id, reason AS "reason!: Reason", last_error, count AS "count!",
               oldest_at AS "oldest_at!", newest_at AS "newest_at!"
        FROM (
            SELECT subscription_id, reason, last_error, count(*), min(created_at) AS oldest_at,
                   max(created_at) AS newest_at
            FROM dead_letters
            WHERE subscription_id IS NOT NULL AND ($1::text IS NULL OR reason = $1)
              AND ($2::text IS NULL OR last_error = $2 OR ($2 = '' AND last_error IS NULL))
            GROUP BY subscription_id, reason, last_error
            UNION ALL
            SELECT NULL, reason, last_error, count(*), min(created_at), max(created_at)
            FROM dead_letters
            WHERE reason = 'malformed' AND ($1::text IS NULL OR reason = $1)
              AND ($2::text IS NULL OR last_error = $2 OR ($2 = '' AND last_error IS NULL))
            GROUP BY reason, last_error
        ) AS groups
        ORDER BY count DESC, subscription_id, reason, last_error OFFSET $3 LIMIT $4
        "#,
        filter.reason as Option<Reason>,
        filter.last_error,
        skip,
        limit,
    )
    .fetch_all(db)
    .await
}

/// A page of those of some subscriptions, largest first.
///
/// # Errors
/// The database's.
pub async fn of_some(
    db: impl PgExecutor<'_>,
    subscription_ids: &[Uuid],
    filter: Filter<'_>,
    skip: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT subscription_id, reason AS "reason: Reason", last_error, count(*) AS "count!",
               min(created_at) AS "oldest_at!", max(created_at) AS "newest_at!"
        FROM dead_letters
        WHERE subscription_id = ANY($1) AND ($2::text IS NULL OR reason = $2)
          AND ($3::text IS NULL OR last_error = $3 OR ($3 = '' AND last_error IS NULL))
        GROUP BY subscription_id, reason, last_error
        ORDER BY count(*) DESC, subscription_id, reason, last_error OFFSET $4 LIMIT $5
        "#,
        subscription_ids,
        filter.reason as Option<Reason>,
        filter.last_error,
        skip,
        limit,
    )
    .fetch_all(db)
    .await
}

/// One group, as far as it is that old.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Whose.
    pub subscription_id: Uuid,
    /// Why they are here.
    pub reason: Reason,
    /// The class of their last failure; `None`: those without one.
    pub last_error: Option<&'a str>,
    /// Those that came before then only; `None`: all.
    pub until: Option<DateTime<Utc>>,
}

/// The oldest of a group that nobody else is moving or removing, up to `limit`, locked until the
/// transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock_oldest(
    db: impl PgExecutor<'_>,
    part: Part<'_>,
    limit: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"
        SELECT id FROM dead_letters
        WHERE subscription_id = $1 AND reason = $2
          AND (last_error = $3 OR ($3::text IS NULL AND last_error IS NULL))
          AND ($4::timestamptz IS NULL OR created_at < $4)
        ORDER BY created_at, id LIMIT $5 FOR UPDATE SKIP LOCKED
        "#,
        part.subscription_id,
        part.reason as Reason,
        part.last_error,
        part.until,
        limit,
    )
    .fetch_all(db)
    .await
}

/// How many a group has.
///
/// # Errors
/// The database's.
pub async fn count(db: impl PgExecutor<'_>, part: Part<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!" FROM dead_letters
        WHERE subscription_id = $1 AND reason = $2
          AND (last_error = $3 OR ($3::text IS NULL AND last_error IS NULL))
          AND ($4::timestamptz IS NULL OR created_at < $4)
        "#,
        part.subscription_id,
        part.reason as Reason,
        part.last_error,
        part.until,
    )
    .fetch_one(db)
    .await
}
