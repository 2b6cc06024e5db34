//! The tables `replays` and `replay_ranges`: stretches of the log that somebody asked to be sent
//! to a subscription again, each a row, and its part of each partition.
//!
//! `api` makes and cancels them, the processor says how far they are.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use uuid::Uuid;

use super::cursors::Columns;

/// The channel on which a replay that was made or cancelled is told, with its id.
pub const CHANGED: &str = "replay_changed";

/// Whether a replay goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplayState)]
pub enum State {
    /// It does.
    Running,
    /// Everything was sent again, or given up as any delivery is.
    Completed,
    /// Somebody cancelled it, or its subscription was removed.
    Cancelled,
}

/// One replay, with the sums over its partitions.
#[derive(Clone, Debug)]
pub struct Row {
    /// `UUIDv7`.
    pub id: Uuid,
    /// To whom.
    pub subscription_id: Uuid,
    /// From when on.
    pub since: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// Deliveries a second at most.
    pub rate: Option<f64>,
    /// Whether it goes on.
    pub state: State,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was completed or cancelled.
    pub ended_at: Option<DateTime<Utc>>,
    /// How many offsets it spans.
    pub span: i64,
    /// How many of them it has passed.
    pub passed: i64,
    /// How many deliveries of it are settled.
    pub settled: i64,
}

/// A replay to be made.
#[derive(Debug)]
pub struct New<'a> {
    /// To whom.
    pub subscription_id: Uuid,
    /// From when on.
    pub since: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// Deliveries a second at most.
    pub rate: Option<f64>,
    /// Of which topic.
    pub topic: &'a str,
    /// What of each partition.
    pub ranges: &'a [Extent],
}

/// A stretch of one partition, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Which partition.
    pub partition: i32,
    /// Its first offset.
    pub start: i64,
    /// The offset after its last.
    pub end: i64,
}

impl Extent {
    /// How many offsets it spans.
    #[must_use]
    pub fn span(&self) -> i64 {
        (self.end - self.start).max(0)
    }
}

/// What is left of a running replay in one partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Which replay.
    pub replay_id: Uuid,
    /// To whom.
    pub subscription_id: Uuid,
    /// Deliveries a second at most.
    pub rate: Option<f64>,
    /// In which partition.
    pub partition: i32,
    /// From where on it is not settled.
    pub next_offset: i64,
    /// The offset after its last.
    pub end_offset: i64,
}

/// A statement that gives replays, each with the sums over its partitions.
macro_rules! rows {
    ($from:tt $(, $parameter:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id, subscription_id, since, until, rate, state AS "state: State", created_at,
                      ended_at, span AS "span!", passed AS "passed!", settled AS "settled!"
               FROM replays CROSS JOIN LATERAL (
                   SELECT COALESCE(sum(end_offset - first_offset), 0)::bigint AS span,
                          COALESCE(sum(next_offset - first_offset), 0)::bigint AS passed,
                          COALESCE(sum(settled), 0)::bigint AS settled
                   FROM replay_ranges WHERE replay_id = replays.id
               ) AS sums "#
                + $from
            $(, $parameter)*
        )
    };
}

/// Adds a replay, and says under which id. One that spans nothing is completed at once.
///
/// # Errors
/// The database's.
pub async fn insert(db: &mut PgConnection, new: &New<'_>) -> sqlx::Result<Uuid> {
    let id = Uuid::now_v7();
    let spans = new.ranges.iter().any(|range| range.span() > 0);
    // Before the replay, whose notification tells processors to look for them.
    insert_ranges(db, id, new).await?;
    sqlx::query!(
        r#"
        INSERT INTO replays (id, subscription_id, since, until, rate, state, ended_at)
        VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN 'running' ELSE 'completed' END,
                CASE WHEN NOT $6 THEN now() END)
        "#,
        id,
        new.subscription_id,
        new.since,
        new.until,
        new.rate,
        spans,
    )
    .execute(db)
    .await?;
    Ok(id)
}

async fn insert_ranges(db: &mut PgConnection, id: Uuid, new: &New<'_>) -> sqlx::Result<()> {
    let ranges = new.ranges.iter().filter(|range| range.span() > 0);
    let partitions: Vec<i32> = ranges.clone().map(|range| range.partition).collect();
    let starts: Vec<i64> = ranges.clone().map(|range| range.start).collect();
    let ends: Vec<i64> = ranges.map(|range| range.end).collect();
    sqlx::query!(
        r#"
        INSERT INTO replay_ranges (replay_id, topic, partition, first_offset, next_offset, end_offset)
        SELECT $1, $2, partition, start, start, "end"
        FROM UNNEST($3::int[], $4::bigint[], $5::bigint[]) AS range (partition, start, "end")
        "#,
        id,
        new.topic,
        &partitions,
        &starts,
        &ends,
    )
    .execute(db)
    .await
    .map(drop)
}

/// The replay of that id, if it is of the owner; `None`: whoever's.
///
/// # Errors
/// The database's.
pub async fn get(
    db: impl PgExecutor<'_>,
    owner: Option<&str>,
    id: Uuid,
) -> sqlx::Result<Option<Row>> {
    rows!(
        "WHERE id = $1 AND ($2::text IS NULL
               OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $2))",
        id,
        owner,
    )
    .fetch_optional(db)
    .await
}

/// A page of all, or of one owner's or subscription's, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    owner: Option<&str>,
    subscription_id: Option<Uuid>,
    skip: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    rows!(
        "WHERE ($1::uuid IS NULL OR subscription_id = $1)
           AND ($4::text IS NULL
                OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $4))
         ORDER BY id OFFSET $2 LIMIT $3",
        subscription_id,
        skip,
        limit,
        owner,
    )
    .fetch_all(db)
    .await
}

/// Cancels one that runs.
///
/// # Errors
/// The database's.
pub async fn cancel(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE replays SET state = 'cancelled', ended_at = now()
         WHERE id = $1 AND state = 'running'",
        id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Cancels those of a subscription that was deleted.
///
/// # Errors
/// The database's.
pub async fn cancel_all(db: impl PgExecutor<'_>, subscription_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE replays SET state = 'cancelled', ended_at = now()
         WHERE subscription_id = $1 AND state = 'running'",
        subscription_id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// The ranges of all running replays.
///
/// # Errors
/// The database's.
pub async fn running(db: impl PgExecutor<'_>, topic: &str) -> sqlx::Result<Vec<Range>> {
    sqlx::query_as!(
        Range,
        r#"
        SELECT replay_id, subscription_id, rate, partition, next_offset, end_offset
        FROM replay_ranges JOIN replays ON replays.id = replay_id
        WHERE topic = $1 AND next_offset < end_offset AND state = 'running'
        "#,
        topic,
    )
    .fetch_all(db)
    .await
}

/// Writes where each stands, as the owner of its partition.
///
/// # Errors
/// The database's.
pub async fn advance_all(
    db: impl PgExecutor<'_>,
    topic: &str,
    batch: &Columns,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE replay_ranges
        SET next_offset = moved.next_offset, settled = replay_ranges.settled + moved.settled
        FROM UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::bigint[])
            AS moved (replay_id, partition, next_offset, settled)
        WHERE replay_ranges.topic = $1 AND replay_ranges.replay_id = moved.replay_id
          AND replay_ranges.partition = moved.partition
        "#,
        topic,
        &batch.ids,
        &batch.partitions,
        &batch.next_offsets,
        &batch.settled,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Ends the ranges of a partition whose log was made anew: what they meant is not there any more.
///
/// # Errors
/// The database's.
pub async fn end_ranges(db: impl PgExecutor<'_>, topic: &str, partition: i32) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH ended AS (
            UPDATE replay_ranges SET next_offset = end_offset
            WHERE topic = $1 AND partition = $2 AND next_offset < end_offset
            RETURNING replay_id
        )
        UPDATE replays SET state = 'completed', ended_at = now()
        WHERE id IN (SELECT replay_id FROM ended) AND state = 'running' AND NOT EXISTS (
            SELECT FROM replay_ranges AS other
            WHERE other.replay_id = replays.id AND other.next_offset < other.end_offset
              AND NOT (other.topic = $1 AND other.partition = $2))
        "#,
        topic,
        partition,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Completes those of the replays of which nothing is left.
///
/// # Errors
/// The database's.
pub async fn complete(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE replays SET state = 'completed', ended_at = now()
        WHERE id = ANY($1) AND state = 'running' AND NOT EXISTS (
            SELECT FROM replay_ranges WHERE replay_id = replays.id AND next_offset < end_offset)
        "#,
        ids,
    )
    .execute(db)
    .await
    .map(drop)
}
