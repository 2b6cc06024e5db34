//! The tables `statistics` and `statistics_state`: counts by the minute, the hour and the day, and
//! how far the counting is.
//!
//! What is counted in an hour's cell is counted in its day's too, and still in its minutes', until
//! those are too old. Minutes from `rolled_until` on are in neither yet: who reads hours or days
//! adds them, in one snapshot with the state.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::statistics::{Cell, Family, Granularity, Histogram, Key, Timing};

/// How far the counting is.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// What was recorded by then is counted.
    pub folded_at: DateTime<Utc>,
    /// Minutes before this are counted in their hours and days.
    pub rolled_until: DateTime<Utc>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

/// Cells of one length, those that begin at `since` or later and before `until`.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// How long each is.
    pub granularity: Granularity,
    /// Where the first begins.
    pub since: DateTime<Utc>,
    /// Before which the last begins.
    pub until: DateTime<Utc>,
}

/// One cell.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where it begins.
    pub at: DateTime<Utc>,
    /// What it counts.
    pub key: Key,
    /// How many, and how long they took.
    pub cell: Cell,
}

/// As the table has it.
struct Stored {
    at: DateTime<Utc>,
    family: Family,
    key: String,
    outcome: String,
    failure: String,
    count: i64,
    attempts: i64,
    latency_us: i64,
    latency: Vec<u8>,
    delay_us: i64,
    delay: Vec<u8>,
}

impl TryFrom<Stored> for Row {
    type Error = sqlx::Error;

    fn try_from(stored: Stored) -> Result<Self, sqlx::Error> {
        let timing = |sum_us: i64, bytes: &[u8]| {
            let histogram = Histogram::from_bytes(bytes);
            histogram
                .map(|histogram| Timing {
                    sum_us: sum_us.unsigned_abs(),
                    histogram,
                })
                .ok_or_else(|| sqlx::Error::Decode("a histogram is broken".into()))
        };
        Ok(Self {
            at: stored.at,
            cell: Cell {
                count: stored.count.unsigned_abs(),
                attempts: stored.attempts.unsigned_abs(),
                latency: timing(stored.latency_us, &stored.latency)?,
                delay: timing(stored.delay_us, &stored.delay)?,
            },
            key: Key {
                family: stored.family,
                key: stored.key,
                outcome: stored.outcome,
                failure: stored.failure,
            },
        })
    }
}

fn rows(stored: Vec<Stored>) -> sqlx::Result<Vec<Row>> {
    stored.into_iter().map(Row::try_from).collect()
}

/// How far the counting is.
///
/// # Errors
/// The database's.
pub async fn state(db: impl PgExecutor<'_>) -> sqlx::Result<State> {
    sqlx::query_as!(
        State,
        r#"SELECT folded_at, rolled_until, now() AS "now!" FROM statistics_state"#
    )
    .fetch_one(db)
    .await
}

/// The same, for who goes on counting: until the transaction ends nobody else gets it. `None` while
/// somebody has it.
///
/// # Errors
/// The database's.
pub async fn lock(db: impl PgExecutor<'_>) -> sqlx::Result<Option<State>> {
    sqlx::query_as!(
        State,
        r#"
        SELECT folded_at, rolled_until, now() AS "now!" FROM statistics_state
        FOR UPDATE SKIP LOCKED
        "#
    )
    .fetch_optional(db)
    .await
}

/// Says that what was recorded before this transaction began is counted.
///
/// # Errors
/// The database's.
pub async fn folded(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE statistics_state SET folded_at = now()")
        .execute(db)
        .await
        .map(drop)
}

/// Says which minutes are counted in their hours and days.
///
/// # Errors
/// The database's.
pub async fn rolled(db: impl PgExecutor<'_>, until: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("UPDATE statistics_state SET rolled_until = $1", until)
        .execute(db)
        .await
        .map(drop)
}

/// When the first minute begins that has a cell, from a time on.
///
/// # Errors
/// The database's.
pub async fn first_minute(
    db: impl PgExecutor<'_>,
    since: DateTime<Utc>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar!(
        "SELECT at FROM statistics WHERE step_seconds = 60 AND at >= $1 ORDER BY at LIMIT 1",
        since
    )
    .fetch_optional(db)
    .await
}

/// All cells of a span.
///
/// # Errors
/// The database's; that a histogram is broken.
pub async fn all(db: impl PgExecutor<'_>, span: Span) -> sqlx::Result<Vec<Row>> {
    let stored = sqlx::query_as!(
        Stored,
        r#"
        SELECT at, family AS "family: Family", key, outcome, failure,
               count, attempts, latency_us, latency, delay_us, delay
        FROM statistics WHERE step_seconds = $1 AND at >= $2 AND at < $3
        "#,
        span.granularity.seconds(),
        span.since,
        span.until,
    )
    .fetch_all(db)
    .await?;
    rows(stored)
}

/// The cells of a span that belong to some keys of a family; up to `limit` of them. One look into
/// the index a key, however many other keys there are.
///
/// # Errors
/// The database's; that a histogram is broken.
pub async fn of_keys(
    db: impl PgExecutor<'_>,
    span: Span,
    family: Family,
    keys: &[String],
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let stored = sqlx::query!(
        r#"
        SELECT place AS "place!", at AS "at!", outcome AS "outcome!", failure AS "failure!",
               count AS "count!", attempts AS "attempts!", latency_us AS "latency_us!",
               latency AS "latency!", delay_us AS "delay_us!", delay AS "delay!"
        FROM UNNEST($5::text[]) WITH ORDINALITY AS wanted (key, place) CROSS JOIN LATERAL (
            SELECT * FROM statistics
            WHERE step_seconds = $1 AND at >= $2 AND at < $3 AND family = $4 AND key = wanted.key
            OFFSET 0
        ) AS cell
        LIMIT $6
        "#,
        span.granularity.seconds(),
        span.since,
        span.until,
        family as Family,
        keys,
        limit,
    );
    let stored = stored.map(|cell| Stored {
        // What was asked for need not come back with each of thousands of cells.
        family,
        key: key_at(keys, cell.place),
        at: cell.at,
        outcome: cell.outcome,
        failure: cell.failure,
        count: cell.count,
        attempts: cell.attempts,
        latency_us: cell.latency_us,
        latency: cell.latency,
        delay_us: cell.delay_us,
        delay: cell.delay,
    });
    rows(stored.fetch_all(db).await?)
}

/// The key at a place, the first being 1.
fn key_at(keys: &[String], place: i64) -> String {
    let before = usize::try_from(place - 1).ok();
    let key = before.and_then(|before| keys.get(before));
    key.expect("a place is among those that were given").clone()
}

/// The cells of a span that belong to any key of some families; up to `limit` of them.
///
/// # Errors
/// The database's; that a histogram is broken.
pub async fn of_families(
    db: impl PgExecutor<'_>,
    span: Span,
    families: &[Family],
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    let stored = sqlx::query_as!(
        Stored,
        r#"
        SELECT cell.at AS "at!", family AS "family!: Family", key AS "key!", outcome AS "outcome!",
               failure AS "failure!", count AS "count!", attempts AS "attempts!",
               latency_us AS "latency_us!", latency AS "latency!", delay_us AS "delay_us!",
               delay AS "delay!"
        FROM generate_series($2::timestamptz, $3::timestamptz - interval '1 microsecond',
                             make_interval(secs => $1::int)) AS slot (begins)
        CROSS JOIN LATERAL (
            SELECT * FROM statistics
            WHERE step_seconds = $1 AND at = slot.begins AND family = ANY($4)
            OFFSET 0
        ) AS cell
        LIMIT $5
        "#,
        span.granularity.seconds(),
        span.since,
        span.until,
        families as &[Family],
        limit,
    )
    .fetch_all(db)
    .await?;
    rows(stored)
}

/// Writes cells of one length as they are now, whatever they were.
///
/// # Errors
/// The database's.
pub async fn put_all(
    db: impl PgExecutor<'_>,
    granularity: Granularity,
    at: DateTime<Utc>,
    cells: &[(Key, Cell)],
) -> sqlx::Result<()> {
    let column = |of: fn(&(Key, Cell)) -> String| cells.iter().map(of).collect::<Vec<_>>();
    let number = |of: fn(&Cell) -> u64| {
        let numbers = cells.iter().map(|(_, cell)| of(cell));
        numbers
            .map(|number| i64::try_from(number).unwrap_or(i64::MAX))
            .collect::<Vec<_>>()
    };
    let histogram = |of: fn(&Cell) -> &Histogram| {
        let histograms = cells.iter().map(|(_, cell)| of(cell).to_bytes());
        histograms.collect::<Vec<_>>()
    };
    let families: Vec<Family> = cells.iter().map(|(key, _)| key.family).collect();
    sqlx::query!(
        r#"
        INSERT INTO statistics (step_seconds, at, family, key, outcome, failure, count, attempts,
                                latency_us, latency, delay_us, delay)
        SELECT $1::int, $2::timestamptz, *
        FROM UNNEST($3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
                    $9::bigint[], $10::bytea[], $11::bigint[], $12::bytea[])
        ON CONFLICT (at, family, key, outcome, failure, step_seconds) DO UPDATE
        SET count = excluded.count, attempts = excluded.attempts,
            latency_us = excluded.latency_us, latency = excluded.latency,
            delay_us = excluded.delay_us, delay = excluded.delay
        "#,
        granularity.seconds(),
        at,
        &families as &[Family],
        &column(|(key, _)| key.key.clone()),
        &column(|(key, _)| key.outcome.clone()),
        &column(|(key, _)| key.failure.clone()),
        &number(|cell| cell.count),
        &number(|cell| cell.attempts),
        &number(|cell| cell.latency.sum_us),
        &histogram(|cell| &cell.latency.histogram),
        &number(|cell| cell.delay.sum_us),
        &histogram(|cell| &cell.delay.histogram),
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes up to `limit` cells that begin before a time; how many.
///
/// # Errors
/// The database's.
pub async fn delete_before(
    db: impl PgExecutor<'_>,
    granularity: Granularity,
    before: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM statistics USING (
            SELECT at, family, key, outcome, failure FROM statistics
            WHERE step_seconds = $1 AND at < $2 LIMIT $3
        ) AS old
        WHERE statistics.step_seconds = $1 AND statistics.at = old.at
          AND statistics.family = old.family AND statistics.key = old.key
          AND statistics.outcome = old.outcome AND statistics.failure = old.failure
        "#,
        granularity.seconds(),
        before,
        limit,
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected())
}
