//! The days of the table `statistics_minutes`, a partition each: retention drops whole days. The
//! default partition takes what has no day of its own.

use chrono::{Days, NaiveDate};
use sqlx::{AssertSqlSafe, PgExecutor};

/// The days that have a partition of their own.
pub async fn days(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<NaiveDate>> {
    let names = sqlx::query_scalar!(
        r#"
        SELECT child.relname AS "name!" FROM pg_inherits
        JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'statistics_minutes'::regclass
          AND child.relname ~ '^statistics_minutes_[0-9]{8}$'
        "#,
    )
    .fetch_all(db)
    .await?;
    let day = |name: &String| NaiveDate::parse_from_str(name, "statistics_minutes_%Y%m%d").ok();
    Ok(names.iter().filter_map(day).collect())
}

/// Makes the partition of a day (UTC). Fails while the default partition holds rows of that day.
pub async fn add_day(db: impl PgExecutor<'_>, day: NaiveDate) -> sqlx::Result<()> {
    let next = day + Days::new(1);
    // Minutes that are written again and again, as long as they last, find room beside them; what is
    // dead of them is cleared away as it is of the hours and days.
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS statistics_minutes_{} PARTITION OF statistics_minutes \
         FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next} 00:00:00+00') \
         WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)",
        day.format("%Y%m%d"),
    );
    // A name cannot be a parameter; this one is made of a date.
    sqlx::query(AssertSqlSafe(sql)).execute(db).await.map(drop)
}

/// Drops a day and all its minutes.
pub async fn drop_day(db: impl PgExecutor<'_>, day: NaiveDate) -> sqlx::Result<()> {
    let sql = format!(
        "DROP TABLE IF EXISTS statistics_minutes_{}",
        day.format("%Y%m%d")
    );
    sqlx::query(AssertSqlSafe(sql)).execute(db).await.map(drop)
}
