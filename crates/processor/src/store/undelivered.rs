//! The table `undelivered`: how many deliveries a policy ended without a dead letter.

use sqlx::PgExecutor;
use uuid::Uuid;

/// Counts to add, column by column; each subscription and outcome once.
#[derive(Debug, Default)]
pub struct Columns {
    pub subscription_ids: Vec<Uuid>,
    pub outcomes: Vec<&'static str>,
    pub counts: Vec<i64>,
}

/// Adds them.
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
