//! The table `undelivered`: what was not delivered by a subscription's policy, counted.

use sqlx::PgExecutor;
use uuid::Uuid;

/// How much of a subscription was not delivered, and is no dead letter either.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Whose it was.
    pub subscription_id: Uuid,
    /// Events that were older than its `max_age`.
    pub expired: i64,
    /// Readings in whose place a newer one of their city went.
    pub superseded: i64,
}

/// Counts to add, column by column; each subscription and outcome once.
#[derive(Debug, Default)]
pub struct Columns {
    /// Whose they were.
    pub subscription_ids: Vec<Uuid>,
    /// `expired` or `superseded`.
    pub outcomes: Vec<&'static str>,
    /// How many.
    pub counts: Vec<i64>,
}

/// Adds them.
///
/// # Errors
/// The database's.
pub async fn add_all(db: impl PgExecutor<'_>, batch: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO undelivered (subscription_id, outcome, count)
        SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::bigint[])
        ON CONFLICT (subscription_id, outcome) DO UPDATE
        SET count = undelivered.count + excluded.count
        "#,
        &batch.subscription_ids,
        &batch.outcomes as &[&str],
        &batch.counts,
    )
    .execute(db)
    .await
    .map(drop)
}

/// The counts of those subscriptions that have some.
///
/// # Errors
/// The database's.
pub async fn counts(
    db: impl PgExecutor<'_>,
    subscription_ids: &[Uuid],
) -> sqlx::Result<Vec<Counts>> {
    sqlx::query_as!(
        Counts,
        r#"
        SELECT subscription_id,
               COALESCE(sum(count) FILTER (WHERE outcome = 'expired'), 0)::bigint AS "expired!",
               COALESCE(sum(count) FILTER (WHERE outcome = 'superseded'), 0)::bigint AS "superseded!"
        FROM undelivered WHERE subscription_id = ANY($1)
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
        "DELETE FROM undelivered WHERE subscription_id = $1",
        subscription_id
    )
    .execute(db)
    .await
    .map(drop)
}
