//! The table `attempts`: one row a POST, in one partition a day.
//!
//! Retention drops whole days and never deletes rows. The default partition takes what has no day
//! of its own, so that a missing day never holds up a delivery.

use chrono::{Days, NaiveDate};
use sqlx::{AssertSqlSafe, PgExecutor};
use uuid::Uuid;

/// A batch of rows, column by column.
#[derive(Debug, Default)]
pub struct Columns {
    /// How long ago each was made, in seconds: the database's clock turns it into a time.
    pub ages_seconds: Vec<f64>,
    pub subscription_ids: Vec<Uuid>,
    pub event_ids: Vec<String>,
    pub numbers: Vec<i32>,
    pub latencies_ms: Vec<i32>,
    pub statuses: Vec<Option<i32>>,
    pub failures: Vec<Option<&'static str>>,
    pub responses: Vec<Option<String>>,
}

/// Records a batch of attempts.
pub async fn insert_all(db: impl PgExecutor<'_>, batch: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO attempts
            (attempted_at, subscription_id, event_id, number, latency_ms, status, failure, response)
        SELECT now() - make_interval(secs => age), subscription_id, event_id, number, latency_ms,
               status, failure, response
        FROM UNNEST($1::float8[], $2::uuid[], $3::text[], $4::int[], $5::int[], $6::int[],
                    $7::text[], $8::text[])
            AS made (age, subscription_id, event_id, number, latency_ms, status, failure, response)
        "#,
        &batch.ages_seconds,
        &batch.subscription_ids,
        &batch.event_ids,
        &batch.numbers,
        &batch.latencies_ms,
        &batch.statuses as &[Option<i32>],
        &batch.failures as &[Option<&'static str>],
        &batch.responses as &[Option<String>],
    )
    .execute(db)
    .await
    .map(drop)
}

/// The database's date.
pub async fn today(db: impl PgExecutor<'_>) -> sqlx::Result<NaiveDate> {
    sqlx::query_scalar!(r#"SELECT (now() AT TIME ZONE 'UTC')::date AS "today!""#)
        .fetch_one(db)
        .await
}

/// The days that have a partition of their own.
pub async fn days(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<NaiveDate>> {
    let names = sqlx::query_scalar!(
        r#"
        SELECT child.relname AS "name!" FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'attempts'::regclass AND child.relname ~ '^attempts_[0-9]{8}$'
        "#,
    )
    .fetch_all(db)
    .await?;
    let day = |name: &String| NaiveDate::parse_from_str(name, "attempts_%Y%m%d").ok();
    Ok(names.iter().filter_map(day).collect())
}

/// Makes the partition of a day (UTC). Fails while the default partition holds rows of that day.
pub async fn add_day(db: impl PgExecutor<'_>, day: NaiveDate) -> sqlx::Result<()> {
    let next = day + Days::new(1);
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS attempts_{} PARTITION OF attempts \
         FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00')",
        day.format("%Y%m%d"),
    );
    // A name cannot be a parameter; this one is made of a date.
    sqlx::query(AssertSqlSafe(sql)).execute(db).await.map(drop)
}

/// Drops a day and all its attempts.
pub async fn drop_day(db: impl PgExecutor<'_>, day: NaiveDate) -> sqlx::Result<()> {
    let sql = format!("DROP TABLE IF EXISTS attempts_{}", day.format("%Y%m%d"));
    sqlx::query(AssertSqlSafe(sql)).execute(db).await.map(drop)
}
