//! What waits, over the tables that hold it: questions of the statistics, none of which reads a
//! table that may be long to its end.
//!
//! Rows are counted up to a limit; beyond it the answer for everybody is Postgres's own estimate,
//! which autovacuum keeps, and for an owner or a subscription the limit. Oldest rows are one look
//! into an index a subscription.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// Up to how many rows are counted.
pub const COUNT_LIMIT: i64 = 10_000;

/// How many failing subscriptions are named.
const TOP: i64 = 10;

/// Whose rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whose<'a> {
    /// Of this owner's subscriptions; `None`: of everybody's.
    pub owner: Option<&'a str>,
    /// Of this subscription.
    pub subscription_id: Option<Uuid>,
}

/// A table that is counted.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    Pending,
    Dead,
}

/// How many rows a table has, up to one more than [`COUNT_LIMIT`]; and about how many, as Postgres
/// estimates.
pub async fn count_all(db: impl PgExecutor<'_>, table: Table) -> sqlx::Result<(i64, i64)> {
    let row = match table {
        Table::Pending => {
            let counted = sqlx::query!(
                r#"
                SELECT (SELECT count(*) FROM (SELECT FROM pending_deliveries LIMIT $1) AS counted) AS "rows!",
                       (SELECT reltuples::bigint FROM pg_class WHERE oid = 'pending_deliveries'::regclass)
                           AS "estimate!"
                "#,
                COUNT_LIMIT + 1,
            );
            let row = counted.fetch_one(db).await?;
            (row.rows, row.estimate)
        }
        Table::Dead => {
            let counted = sqlx::query!(
                r#"
                SELECT (SELECT count(*) FROM (SELECT FROM dead_letters LIMIT $1) AS counted) AS "rows!",
                       (SELECT reltuples::bigint FROM pg_class WHERE oid = 'dead_letters'::regclass)
                           AS "estimate!"
                "#,
                COUNT_LIMIT + 1,
            );
            let row = counted.fetch_one(db).await?;
            (row.rows, row.estimate)
        }
    };
    Ok(row)
}

/// How many rows of some subscriptions a table has, up to one more than [`COUNT_LIMIT`].
pub async fn count_of(
    db: impl PgExecutor<'_>,
    table: Table,
    whose: Whose<'_>,
) -> sqlx::Result<i64> {
    match table {
        Table::Pending => {
            sqlx::query_scalar!(
                r#"
                SELECT count(*) AS "rows!" FROM (
                    SELECT FROM subscriptions CROSS JOIN LATERAL (
                        SELECT FROM pending_deliveries
                        WHERE subscription_id = subscriptions.id LIMIT $1) AS held
                    WHERE ($2::text IS NULL OR owner = $2) AND ($3::uuid IS NULL OR id = $3)
                    LIMIT $1) AS counted
                "#,
                COUNT_LIMIT + 1,
                whose.owner,
                whose.subscription_id,
            )
            .fetch_one(db)
            .await
        }
        Table::Dead => {
            sqlx::query_scalar!(
                r#"
                SELECT count(*) AS "rows!" FROM (
                    SELECT FROM subscriptions CROSS JOIN LATERAL (
                        SELECT FROM dead_letters
                        WHERE subscription_id = subscriptions.id LIMIT $1) AS held
                    WHERE ($2::text IS NULL OR owner = $2) AND ($3::uuid IS NULL OR id = $3)
                    LIMIT $1) AS counted
                "#,
                COUNT_LIMIT + 1,
                whose.owner,
                whose.subscription_id,
            )
            .fetch_one(db)
            .await
        }
    }
}

/// Since when the oldest pending delivery waits.
pub async fn oldest_pending(
    db: impl PgExecutor<'_>,
    whose: Whose<'_>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    // Not one look for each of many subscriptions.
    if whose.owner.is_none() && whose.subscription_id.is_none() {
        return sqlx::query_scalar!("SELECT min(created_at) FROM pending_deliveries")
            .fetch_one(db)
            .await;
    }
    sqlx::query_scalar!(
        r#"
        SELECT min(oldest.created_at) FROM subscriptions CROSS JOIN LATERAL (
            SELECT created_at FROM pending_deliveries WHERE subscription_id = subscriptions.id
            ORDER BY created_at LIMIT 1) AS oldest
        WHERE ($1::text IS NULL OR owner = $1) AND ($2::uuid IS NULL OR id = $2)
        "#,
        whose.owner,
        whose.subscription_id,
    )
    .fetch_one(db)
    .await
}

/// How many subscriptions are off the log, and since when the first of them.
#[derive(Clone, Copy, Debug)]
pub struct HeldBack {
    pub count: i64,
    pub since: Option<DateTime<Utc>>,
}

/// Those that are held back.
pub async fn held_back(db: impl PgExecutor<'_>, whose: Whose<'_>) -> sqlx::Result<HeldBack> {
    sqlx::query_as!(
        HeldBack,
        r#"
        SELECT count(*) AS "count!", min(since) AS since
        FROM (SELECT subscription_id, min(created_at) AS since FROM cursors
              WHERE end_offset IS NULL GROUP BY subscription_id) AS held
        JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE ($1::text IS NULL OR owner = $1) AND ($2::uuid IS NULL OR id = $2)
        "#,
        whose.owner,
        whose.subscription_id,
    )
    .fetch_one(db)
    .await
}

/// How many circuits are not closed.
pub async fn open_circuits(db: impl PgExecutor<'_>, owner: Option<&str>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) AS "count!"
        FROM circuits JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE circuits.state <> 'closed' AND ($1::text IS NULL OR owner = $1)
        "#,
        owner,
    )
    .fetch_one(db)
    .await
}

/// A subscription that does nothing but fail.
#[derive(Debug)]
pub struct Failing {
    pub subscription_id: Uuid,
    pub name: String,
    pub failure: Option<String>,
    pub since: DateTime<Utc>,
}

/// Those that have failed longest, up to [`TOP`].
pub async fn top_failing(
    db: impl PgExecutor<'_>,
    owner: Option<&str>,
) -> sqlx::Result<Vec<Failing>> {
    sqlx::query_as!(
        Failing,
        r#"
        SELECT subscription_id, name, last_failure AS failure, failing_since AS "since!"
        FROM circuits JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE failing_since IS NOT NULL AND ($1::text IS NULL OR owner = $1)
        ORDER BY failing_since, subscription_id LIMIT $2
        "#,
        owner,
        TOP,
    )
    .fetch_all(db)
    .await
}

/// How far the partitions of a topic are settled; without those of which nobody has begun.
pub async fn settled(db: impl PgExecutor<'_>, topic: &str) -> sqlx::Result<Vec<(i32, i64)>> {
    let rows = sqlx::query!(
        r#"
        SELECT partition, next_offset AS "next_offset!" FROM progress
        WHERE topic = $1 AND next_offset IS NOT NULL
        "#,
        topic,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|row| (row.partition, row.next_offset)).collect())
}

/// Where a subscription that is held back stands in the partitions of a topic.
pub async fn cursors(
    db: impl PgExecutor<'_>,
    topic: &str,
    subscription_id: Uuid,
) -> sqlx::Result<Vec<(i32, i64)>> {
    let rows = sqlx::query!(
        r#"
        SELECT partition, next_offset FROM cursors
        WHERE topic = $1 AND subscription_id = $2 AND end_offset IS NULL
        "#,
        topic,
        subscription_id,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|row| (row.partition, row.next_offset)).collect())
}
