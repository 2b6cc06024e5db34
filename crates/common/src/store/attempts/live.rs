//! What was recorded lately, in the order in which it became final.
//!
//! Transactions end in another order than they begin, so that no time and no number of a sequence
//! says what is new without leaving something out. The ids of transactions do: all below the oldest
//! that runs have ended, and what they wrote does not change. Ranges end there.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Outcome;

/// A row, at its place in the record.
#[derive(Clone, Debug)]
pub struct Row {
    /// The transaction that wrote it.
    pub recorded_in: i64,
    /// Which of that transaction's rows it is, from 1.
    pub place: i64,
    /// Whose the subscription is; `None`: nobody's, or it was deleted.
    pub owner: Option<String>,
    /// When the attempt began, or when it became what `outcome` says.
    pub attempted_at: DateTime<Utc>,
    /// Whose delivery.
    pub subscription_id: Uuid,
    /// Of which replay.
    pub replay_id: Option<Uuid>,
    /// Where the event lies.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub event_offset: i64,
    /// The `webhook-id`.
    pub event_id: String,
    /// The city, or of whom an operational event tells.
    pub event_key: Option<String>,
    /// Attempts made by then.
    pub number: i32,
    /// What had become of the delivery.
    pub outcome: Outcome,
    /// The HTTP status, where one was read.
    pub status: Option<i32>,
    /// The class of the failure.
    pub failure: Option<String>,
    /// How long the POST took, in microseconds; `None`: there was none.
    pub total_us: Option<i32>,
}

/// A part of the record: from one transaction on, to before another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: i64,
    /// The one after the last.
    pub to: i64,
}

/// Of which rows one wants to hear.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Of this owner's subscriptions only; here and below `None` means of everybody's.
    pub owner: Option<&'a str>,
    /// Of this subscription only.
    pub subscription_id: Option<Uuid>,
}

/// How much of a range is read.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// How many rows are looked at: the first ones.
    pub scan: i64,
    /// Of those of a transaction each so many-th is given.
    pub every: i64,
}

/// How many rows a range has, of a subscription.
#[derive(Clone, Debug)]
pub struct Count {
    /// Whose they are.
    pub subscription_id: Uuid,
    /// Whose the subscription is.
    pub owner: Option<String>,
    /// How many.
    pub count: i64,
}

/// The oldest transaction that runs: what was written before it is final.
///
/// # Errors
/// The database's.
pub async fn edge(db: impl PgExecutor<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "edge!""#
    )
    .fetch_one(db)
    .await
}

/// How many rows a range has, by subscription.
///
/// # Errors
/// The database's.
pub async fn counts(db: impl PgExecutor<'_>, range: Range) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as!(
        Count,
        r#"
        SELECT recorded.subscription_id AS "subscription_id!", subscriptions.owner AS "owner?",
               count AS "count!"
        FROM (SELECT subscription_id, count(*) FROM attempts
              WHERE recorded_in >= $1::bigint::text::xid8 AND recorded_in < $2::bigint::text::xid8
              GROUP BY subscription_id) AS recorded
        LEFT JOIN subscriptions ON subscriptions.id = recorded.subscription_id
        "#,
        range.from,
        range.to,
    )
    .fetch_all(db)
    .await
}

/// Whether a range has more than so many rows.
///
/// # Errors
/// The database's.
pub async fn exceeds(db: impl PgExecutor<'_>, range: Range, rows: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        SELECT count(*) > $3::bigint AS "exceeds!" FROM (
            SELECT FROM attempts
            WHERE recorded_in >= $1::bigint::text::xid8 AND recorded_in < $2::bigint::text::xid8
            LIMIT $3::bigint + 1) AS first
        "#,
        range.from,
        range.to,
        rows,
    )
    .fetch_one(db)
    .await
}

/// The rows of a range, in their order, as far as they are asked for.
///
/// # Errors
/// The database's.
pub async fn rows(
    db: impl PgExecutor<'_>,
    range: Range,
    filter: Filter<'_>,
    share: Share,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT recorded.recorded_in::text::bigint AS "recorded_in!", place AS "place!",
               subscriptions.owner AS "owner?", attempted_at AS "attempted_at!",
               subscription_id AS "subscription_id!", replay_id, topic AS "topic!",
               partition AS "partition!",
               event_offset AS "event_offset!", event_id AS "event_id!", event_key,
               number AS "number!", outcome::text AS "outcome!: Outcome",
               status, failure, total_us
        FROM (
            SELECT *, row_number() OVER (PARTITION BY recorded_in
                ORDER BY attempted_at, subscription_id, event_offset, number) AS place
            FROM (
                SELECT recorded_in, attempted_at, subscription_id, replay_id, topic, partition,
                       event_offset, event_id, event_key, number, outcome, status, failure, total_us
                FROM attempts
                WHERE recorded_in >= $1::bigint::text::xid8 AND recorded_in < $2::bigint::text::xid8
                ORDER BY recorded_in, attempted_at, subscription_id, event_offset, number LIMIT $5
            ) AS scanned
        ) AS recorded
        LEFT JOIN subscriptions ON subscriptions.id = recorded.subscription_id
        WHERE ($3::text IS NULL OR subscriptions.owner = $3)
          AND ($4::uuid IS NULL OR subscription_id = $4) AND place % $6 = 0
        ORDER BY recorded.recorded_in, place
        "#,
        range.from,
        range.to,
        filter.owner,
        filter.subscription_id,
        share.scan,
        share.every,
    )
    .fetch_all(db)
    .await
}
