//! What the tables hold, counted for those who watch over them.

use sqlx::PgExecutor;

/// The counts of one look.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    pub pending: i64,
    /// How long the oldest of them has been waiting, in seconds.
    pub oldest_pending_seconds: f64,
    pub dead_letters: i64,
    pub subscriptions: i64,
    pub open: i64,
    pub half_open: i64,
    pub attempts_bytes: i64,
}

/// Counts. It reads all that is pending, and nothing of attempts.
pub async fn count(db: impl PgExecutor<'_>) -> sqlx::Result<Totals> {
    sqlx::query_as!(
        Totals,
        r#"
        WITH pending AS (SELECT count(*) AS rows, min(created_at) AS oldest FROM pending_deliveries),
             circuit AS (SELECT count(*) FILTER (WHERE state = 'open') AS open,
                                count(*) FILTER (WHERE state = 'half_open') AS half_open
                         FROM circuits)
        SELECT pending.rows AS "pending!",
               COALESCE(extract(epoch FROM now() - pending.oldest), 0)::float8
                   AS "oldest_pending_seconds!",
               (SELECT count(*) FROM dead_letters) AS "dead_letters!",
               (SELECT count(*) FROM subscriptions) AS "subscriptions!",
               circuit.open AS "open!", circuit.half_open AS "half_open!",
               (SELECT COALESCE(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
                WHERE inhparent = 'attempts'::regclass) AS "attempts_bytes!"
        FROM pending, circuit
        "#
    )
    .fetch_one(db)
    .await
}
