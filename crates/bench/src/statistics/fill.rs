//! A database after days of deliveries: attempts, their statistics, and what waits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chrono::Days;
use common::statistics::Histogram;
use common::store::attempts::days;
use processor::statistics::{Folder, Settings};
use sqlx::{PgConnection, PgPool, Row};

/// Shapes of histograms that the cells take in turn.
const SHAPES: u64 = 8;

/// How many rows are made by one statement.
const CHUNK: i64 = 1_000_000;

/// Over how many days the attempts were made.
const DAYS: u64 = 14;

/// How much there is of everything.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Size {
    /// Rows in the record of attempts
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..=100_000_000))]
    pub attempts: i64,
    /// Subscriptions, a hundred an owner
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1_000..=10_000))]
    pub subscriptions: i64,
    /// Cities
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..=1_000))]
    pub cities: i64,
    /// Minutes of statistics
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(i64).range(60..=2_880))]
    pub minutes: i64,
    /// Hours of statistics
    #[arg(long, default_value_t = 36, value_parser = clap::value_parser!(i64).range(24..=1_440))]
    pub hours: i64,
    /// Days of statistics
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=400))]
    pub days: i64,
    /// Pending deliveries, and half as many dead letters
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(i64).range(0..=10_000_000))]
    pub pending: i64,
}

/// Fills an empty database.
///
/// # Errors
/// That Postgres refuses.
pub async fn fill(db: &PgPool, size: Size, topic: &str) -> anyhow::Result<()> {
    let folder = Folder {
        db: db.clone(),
        settings: Settings {
            kept: common::statistics::StatisticsArgs::default(),
            max_cities: 1_000,
        },
    };
    folder.tidy().await?;
    subscriptions(db, size).await?;
    attempts(db, size.attempts).await?;
    for (step_seconds, steps) in [(60, size.minutes), (3600, size.hours), (86_400, size.days)] {
        cells(db, size, step_seconds, steps).await?;
    }
    waiting(db, size, topic).await?;
    for table in [
        "subscriptions",
        "attempts",
        "statistics",
        "pending_deliveries",
        "dead_letters",
    ] {
        let sql = sqlx::AssertSqlSafe(format!("VACUUM ANALYZE {table}"));
        sqlx::query(sql).execute(db).await.context(table)?;
    }
    Ok(())
}

async fn subscriptions(db: &PgPool, size: Size) -> anyhow::Result<()> {
    let sql = "INSERT INTO subscriptions (id, name, url, owner)
               SELECT gen_random_uuid(), 'subscription-' || n, 'http://localhost:9099/' || n,
                      'owner-' || n / 100
               FROM generate_series(0, $1 - 1) AS n";
    let made = sqlx::query(sql).bind(size.subscriptions).execute(db).await;
    made.context("subscriptions")?;
    // Numbered, so that the rest finds them by number.
    let sql = "CREATE TABLE bench_subscriptions AS
               SELECT row_number() OVER (ORDER BY id) - 1 AS number, id, owner FROM subscriptions";
    sqlx::query(sql).execute(db).await.context("numbers")?;
    let index = "CREATE UNIQUE INDEX ON bench_subscriptions (number) INCLUDE (id, owner)";
    sqlx::query(index)
        .execute(db)
        .await
        .map(drop)
        .context("an index")
}

/// Over two weeks, each day with its partition, as they come; one in a hundred is dead.
async fn attempts(db: &PgPool, count: i64) -> anyhow::Result<()> {
    let now = days::now(db).await?;
    let mut connection = db.acquire().await?;
    for ago in 0..=DAYS {
        days::add(&mut connection, (now - Days::new(ago)).date_naive()).await?;
    }
    let sql = "
        INSERT INTO attempts (attempted_at, subscription_id, event_offset, partition, number, outcome,
                              total_us, first_byte_us, status, reused, topic, event_id, event_key,
                              failure, response)
        SELECT $3 - make_interval(secs => ($4 - n) * $5), id, n, n % 12, 1,
               CASE WHEN n % 100 = 99 THEN 'dead' ELSE 'delivered' END::outcome,
               10000, 9000, CASE WHEN n % 100 = 99 THEN 422 ELSE 200 END, true, 'updates',
               'event-' || n, 'city-' || n % 1000,
               CASE WHEN n % 100 = 99 THEN 'http_4xx' END, CASE WHEN n % 100 = 99 THEN 'no' END
        FROM generate_series($1::bigint, $2::bigint) AS n
        JOIN bench_subscriptions ON number = n * 7 % (SELECT count(*) FROM bench_subscriptions)";
    let span = Duration::from_hours(24 * DAYS).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
    let step = span / count as f64;
    let indexes = without_indexes(&mut connection).await?;
    drop(connection);
    let chunks = Mutex::new((0..count).step_by(usize::try_from(CHUNK)?));
    let next = || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let insert = async || {
        while let Some(first) = next() {
            let last = (first + CHUNK).min(count) - 1;
            let row = sqlx::query(sql).bind(first).bind(last).bind(now);
            let made = row.bind(count).bind(step).execute(db).await;
            made.context("attempts")?;
        }
        anyhow::Ok(())
    };
    // One for each processor of a small machine.
    tokio::try_join!(insert(), insert())?;
    let mut connection = db.acquire().await?;
    sqlx::query("SET maintenance_work_mem = '1GB'")
        .execute(&mut *connection)
        .await?;
    for index in indexes {
        let made = sqlx::query(sqlx::AssertSqlSafe(index));
        made.execute(&mut *connection).await.context("an index")?;
    }
    Ok(())
}

/// Drops the indexes, since each row costs far more with them than all do at once; gives what makes
/// them anew.
async fn without_indexes(connection: &mut PgConnection) -> anyhow::Result<Vec<String>> {
    let sql = "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
               WHERE indrelid = 'attempts'::regclass";
    let indexes: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
    for (name, _) in &indexes {
        let sql = sqlx::AssertSqlSafe(format!("DROP INDEX {name}"));
        sqlx::query(sql).execute(&mut *connection).await?;
    }
    // Of a partitioned table it is told as if its partitions were to have none.
    let made = |(_, sql): &(String, String)| sql.replacen(" ON ONLY ", " ON ", 1);
    Ok(indexes.iter().map(made).collect())
}

/// Cells of one length: each subscription's, with failures for one in ten, each city's and owner's,
/// and for all.
async fn cells(db: &PgPool, size: Size, step_seconds: i32, steps: i64) -> anyhow::Result<()> {
    let sql = "
        INSERT INTO statistics (step_seconds, at, family, key, outcome, failure, count, attempts,
                                latency_us, latency, delay_us, delay)
        SELECT $1, date_bin(make_interval(secs => $1), now(), '2000-01-01 00:00:00+00')
                   - make_interval(secs => $1 * step),
               family, key, outcome, failure, 60, 60, 600000, given.shapes[(1 + n % array_length(given.shapes, 1))::int],
               CASE outcome WHEN 'delivered' THEN 1800000 ELSE 0 END,
               CASE outcome WHEN 'delivered' THEN given.shapes[(1 + n % array_length(given.shapes, 1))::int] ELSE '' END
        FROM generate_series(0, $2 - 1) AS step
        CROSS JOIN (
            SELECT 'subscription' AS family, id::text AS key, 'delivered' AS outcome, '' AS failure, number AS n
            FROM bench_subscriptions
            UNION ALL SELECT 'subscription', id::text, 'retry', 'timeout', number
            FROM bench_subscriptions WHERE number % 10 = 0
            UNION ALL SELECT 'city', 'city-' || n, 'delivered', '', n FROM generate_series(1, $3) AS n
            UNION ALL SELECT 'owner', owner, 'delivered', '', 0 FROM bench_subscriptions GROUP BY owner
            UNION ALL VALUES ('all', '', 'delivered', '', 0::bigint), ('all', '', 'retry', 'timeout', 0),
                             ('all', '', 'received', '', 0)
        ) AS keys
        CROSS JOIN (SELECT $4::bytea[] AS shapes) AS given
        ORDER BY step DESC";
    let made = sqlx::query(sql)
        .bind(step_seconds)
        .bind(steps)
        .bind(size.cities)
        .bind(shapes())
        .execute(db)
        .await;
    made.context("cells").map(drop)
}

/// Sixty times each, spread over more or fewer buckets.
fn shapes() -> Vec<Vec<u8>> {
    let shape = |spread: u64| {
        let mut histogram = Histogram::default();
        (0..60).for_each(|at| histogram.record(5_000 + at * 200 * spread));
        histogram.to_bytes()
    };
    (1..=SHAPES).map(shape).collect()
}

async fn waiting(db: &PgPool, size: Size, topic: &str) -> anyhow::Result<()> {
    let subscription =
        "JOIN bench_subscriptions ON number = n % (SELECT count(*) FROM bench_subscriptions)";
    for (what, sql, count) in [
        ("pending", format!(
            "INSERT INTO pending_deliveries (subscription_id, topic, partition, event_offset,
                                             event_id, payload, attempts, due_at, created_at)
             SELECT id, $2, n % 12, n, 'event-' || n, 'payload', 1, now() + interval '1 hour',
                    now() - make_interval(secs => n % 3600)
             FROM generate_series(1, $1) AS n {subscription}"), size.pending),
        ("dead letters", format!(
            "INSERT INTO dead_letters (subscription_id, topic, partition, event_offset, event_id,
                                       payload, reason, attempts)
             SELECT id, $2, n % 12, n, 'event-' || n, 'payload', 'exhausted', 9
             FROM generate_series(1, $1) AS n {subscription}"), size.pending / 2),
        ("circuits", format!(
            "INSERT INTO circuits (subscription_id, state, failing_since, last_failure)
             SELECT id, 'open', now() - make_interval(secs => n::bigint), 'timeout'
             FROM generate_series(1, $1) AS n {subscription} WHERE $2::text IS NOT NULL"), 1_000),
        ("cursors", format!(
            "INSERT INTO cursors (subscription_id, topic, partition, next_offset)
             SELECT id, $2, partition, 0
             FROM generate_series(1, $1) AS n {subscription} CROSS JOIN generate_series(0, 11) AS partition"), 1_000),
    ] {
        let made = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(count).bind(topic).execute(db);
        made.await.context(what)?;
    }
    let sql = "INSERT INTO progress (topic, partition, next_offset, epoch, owner)
               SELECT $1, partition, 0, 1, 'bench' FROM generate_series(0, 11) AS partition";
    sqlx::query(sql)
        .bind(topic)
        .execute(db)
        .await
        .context("progress")?;
    let counted = "UPDATE statistics_state SET folded_at = now(), rolled_until =
                   date_bin('5 minutes', now(), '2000-01-01 00:00:00+00')";
    sqlx::query(counted)
        .execute(db)
        .await
        .map(drop)
        .context("the state")
}

/// How much room the statistics take: cells, and bytes a cell with its index.
///
/// # Errors
/// That Postgres refuses.
pub async fn room(db: &PgPool) -> anyhow::Result<(i64, f64)> {
    let sql = "SELECT (SELECT count(*) FROM statistics),
                      (SELECT sum(pg_total_relation_size(relid))::float8
                       FROM pg_partition_tree('statistics') WHERE isleaf)";
    let row = sqlx::query(sql).fetch_one(db).await?;
    let (cells, bytes): (i64, f64) = (row.try_get(0)?, row.try_get(1)?);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    let each = bytes / cells.max(1) as f64;
    Ok((cells, each))
}
