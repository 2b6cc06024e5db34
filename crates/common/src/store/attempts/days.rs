//! The partitions of `attempts`: one a day (UTC), made ahead, dropped when all of it is too old.
//!
//! No row is deleted for its age. A missing day holds nothing up, since the default partition takes
//! its rows; they move to the day when that is made. Both need a lock that waits for whoever reads
//! the table, and behind which those queue who write it: it is given up soon, and tried again later.

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgExecutor};

/// The database's time.
///
/// # Errors
/// The database's.
pub async fn now(db: impl PgExecutor<'_>) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar!(r#"SELECT now() AS "now!""#)
        .fetch_one(db)
        .await
}

/// The days that have a partition of their own.
///
/// # Errors
/// The database's.
pub async fn made(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<NaiveDate>> {
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

/// The days that have rows in the default partition.
///
/// # Errors
/// The database's.
pub async fn without_partition(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<NaiveDate>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT (attempted_at AT TIME ZONE 'UTC')::date AS "day!" FROM attempts_default"#
    )
    .fetch_all(db)
    .await
}

/// Makes the partition of a day, unless it is there, with the rows that it has already.
///
/// # Errors
/// The database's, among them that the table was in use for too long.
pub async fn add(db: &mut PgConnection, day: NaiveDate) -> sqlx::Result<()> {
    let (name, next) = (name(day), day + Days::new(1));
    let (from, to) = (format!("{day} 00:00:00+00"), format!("{next} 00:00:00+00"));
    let mut transaction = locked(db).await?;
    if made(&mut *transaction).await?.contains(&day) {
        return Ok(());
    }
    // A row that came between moving and attaching would belong to the day, and forbid it. Who
    // writes waits here, before it has chosen a partition for its rows.
    sqlx::query("LOCK TABLE ONLY attempts IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    for sql in [
        format!("CREATE TABLE {name} (LIKE attempts INCLUDING DEFAULTS)"),
        format!(
            "WITH moved AS (DELETE FROM attempts_default \
             WHERE attempted_at >= '{from}' AND attempted_at < '{to}' RETURNING *) \
             INSERT INTO {name} SELECT * FROM moved"
        ),
        format!(
            "ALTER TABLE attempts ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')"
        ),
    ] {
        // A name cannot be a parameter; this one is made of a date.
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// Drops a day and all its rows.
///
/// # Errors
/// The database's, among them that the table was in use for too long.
pub async fn remove(db: &mut PgConnection, day: NaiveDate) -> sqlx::Result<()> {
    let mut transaction = locked(db).await?;
    let sql = format!("DROP TABLE IF EXISTS {}", name(day));
    sqlx::query(AssertSqlSafe(sql))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

fn name(day: NaiveDate) -> String {
    format!("attempts_{}", day.format("%Y%m%d"))
}

/// A transaction in which nobody else changes the partitions, and that waits for no reader long.
async fn locked(db: &mut PgConnection) -> sqlx::Result<sqlx::PgTransaction<'_>> {
    let mut transaction = db.begin().await?;
    sqlx::query!("SET LOCAL lock_timeout = '1s'")
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtext('attempts'))")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}
