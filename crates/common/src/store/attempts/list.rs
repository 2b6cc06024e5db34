//! Rows in the order of time, newest first, each read from an index that has that order.
//!
//! Which index it is depends on what is given; what no index knows is for the caller to look at, so
//! that a query never reads more than it was asked for.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::Outcome;

/// A row, without what was said in it.
#[derive(Clone, Debug)]
pub struct Row {
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

/// From where on rows are read: from before this one. The order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Its time.
    pub attempted_at: DateTime<Utc>,
    /// Whose it is.
    pub subscription_id: Uuid,
    /// The event's offset.
    pub event_offset: i64,
    /// Attempts made by then.
    pub number: i32,
}

impl Edge {
    /// Before which all rows are that are older than `until`.
    #[must_use]
    pub fn at(until: DateTime<Utc>) -> Self {
        Self {
            attempted_at: until,
            subscription_id: Uuid::nil(),
            event_offset: 0,
            number: 0,
        }
    }
}

impl From<&Row> for Edge {
    fn from(row: &Row) -> Self {
        Self {
            attempted_at: row.attempted_at,
            subscription_id: row.subscription_id,
            event_offset: row.event_offset,
            number: row.number,
        }
    }
}

/// Which rows, in which stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Not before then.
    pub since: DateTime<Utc>,
    /// From before this row on.
    pub before: Edge,
    /// How many at most.
    pub limit: i64,
}

/// Everybody's.
///
/// # Errors
/// The database's.
pub async fn of_all(db: impl PgExecutor<'_>, stretch: Stretch) -> sqlx::Result<Vec<Row>> {
    let Stretch {
        since,
        before,
        limit,
    } = stretch;
    sqlx::query_as!(
        Row,
        r#"
        SELECT attempted_at, subscription_id, replay_id, topic, partition, event_offset, event_id,
               event_key, number, outcome::text AS "outcome!: Outcome", status, failure, total_us
        FROM attempts
        WHERE attempted_at >= $1 AND attempted_at <= $2
          AND (attempted_at, subscription_id, event_offset, number) < ($2, $3, $4, $5)
        ORDER BY attempted_at DESC, subscription_id DESC, event_offset DESC, number DESC
        LIMIT $6
        "#,
        since,
        before.attempted_at,
        before.subscription_id,
        before.event_offset,
        before.number,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Everybody's, of what was not delivered.
///
/// # Errors
/// The database's.
pub async fn of_all_failed(db: impl PgExecutor<'_>, stretch: Stretch) -> sqlx::Result<Vec<Row>> {
    let Stretch {
        since,
        before,
        limit,
    } = stretch;
    sqlx::query_as!(
        Row,
        r#"
        SELECT attempted_at, subscription_id, replay_id, topic, partition, event_offset, event_id,
               event_key, number, outcome::text AS "outcome!: Outcome", status, failure, total_us
        FROM attempts
        WHERE outcome <> 'delivered' AND attempted_at >= $1 AND attempted_at <= $2
          AND (attempted_at, subscription_id, event_offset, number) < ($2, $3, $4, $5)
        ORDER BY attempted_at DESC, subscription_id DESC, event_offset DESC, number DESC
        LIMIT $6
        "#,
        since,
        before.attempted_at,
        before.subscription_id,
        before.event_offset,
        before.number,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Those of some subscriptions.
///
/// Where their newest few of the last day are enough for `limit`, the oldest that can be among the
/// answer is known, and no day before it is opened: with a hundred subscriptions over two weeks that
/// would be 1,500 looks into an index.
///
/// # Errors
/// The database's.
pub async fn of_some(
    db: impl PgExecutor<'_>,
    subscription_ids: &[Uuid],
    stretch: Stretch,
) -> sqlx::Result<Vec<Row>> {
    let Stretch {
        since,
        before,
        limit,
    } = stretch;
    sqlx::query_as!(
        Row,
        r#"
        WITH enough AS MATERIALIZED (
            SELECT few.attempted_at FROM UNNEST($7::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
                SELECT attempted_at FROM attempts
                WHERE subscription_id = wanted.id AND attempted_at <= $2
                  AND attempted_at >= GREATEST($1, LEAST($2, now()) - interval '1 day')
                  AND (attempted_at, subscription_id, event_offset, number) < ($2, $3, $4, $5)
                ORDER BY attempted_at DESC
                LIMIT 1 + $6::bigint / GREATEST(cardinality($7), 1)
            ) AS few
            ORDER BY attempted_at DESC OFFSET $6::bigint - 1 LIMIT 1
        )
        SELECT newest.* FROM UNNEST($7::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
            SELECT attempted_at, subscription_id, replay_id, topic, partition, event_offset,
                   event_id, event_key, number, outcome::text AS "outcome!: Outcome", status,
                   failure, total_us
            FROM attempts
            WHERE subscription_id = wanted.id AND attempted_at >= $1 AND attempted_at <= $2
              AND attempted_at >= COALESCE((SELECT attempted_at FROM enough), $1)
              AND (attempted_at, subscription_id, event_offset, number) < ($2, $3, $4, $5)
            ORDER BY attempted_at DESC, subscription_id DESC, event_offset DESC, number DESC
            LIMIT $6
        ) AS newest
        ORDER BY attempted_at DESC, subscription_id DESC, event_offset DESC, number DESC
        LIMIT $6
        "#,
        since,
        before.attempted_at,
        before.subscription_id,
        before.event_offset,
        before.number,
        limit,
        subscription_ids,
    )
    .fetch_all(db)
    .await
}

/// Those of some subscriptions, of what was not delivered.
///
/// # Errors
/// The database's.
pub async fn of_some_failed(
    db: impl PgExecutor<'_>,
    subscription_ids: &[Uuid],
    stretch: Stretch,
) -> sqlx::Result<Vec<Row>> {
    let Stretch {
        since,
        before,
        limit,
    } = stretch;
    sqlx::query_as!(
        Row,
        r#"
        SELECT newest.* FROM UNNEST($7::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
            SELECT attempted_at, subscription_id, replay_id, topic, partition, event_offset,
                   event_id, event_key, number, outcome::text AS "outcome!: Outcome", status,
                   failure, total_us
            FROM attempts
            WHERE outcome <> 'delivered'
              AND subscription_id = wanted.id AND attempted_at >= $1 AND attempted_at <= $2
              AND (attempted_at, subscription_id, event_offset, number) < ($2, $3, $4, $5)
            ORDER BY attempted_at DESC, subscription_id DESC, event_offset DESC, number DESC
            LIMIT $6
        ) AS newest
        ORDER BY attempted_at DESC, subscription_id DESC, event_offset DESC, number DESC
        LIMIT $6
        "#,
        since,
        before.attempted_at,
        before.subscription_id,
        before.event_offset,
        before.number,
        limit,
        subscription_ids,
    )
    .fetch_all(db)
    .await
}

/// Those of an event: as many as it had attempts, whoever's. Of an owner's subscriptions, unless
/// that is `None`.
///
/// # Errors
/// The database's.
pub async fn of_event(
    db: impl PgExecutor<'_>,
    (event_id, owner): (&str, Option<&str>),
    stretch: Stretch,
) -> sqlx::Result<Vec<Row>> {
    let Stretch {
        since,
        before,
        limit,
    } = stretch;
    sqlx::query_as!(
        Row,
        r#"
        SELECT attempted_at, subscription_id, replay_id, topic, partition, event_offset, event_id,
               event_key, number, outcome::text AS "outcome!: Outcome", status, failure, total_us
        FROM attempts
        WHERE event_id = $7 AND attempted_at >= $1 AND attempted_at <= $2
          AND (attempted_at, subscription_id, event_offset, number) < ($2, $3, $4, $5)
          AND ($8::text IS NULL
               OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $8))
        ORDER BY attempted_at DESC, subscription_id DESC, event_offset DESC, number DESC
        LIMIT $6
        "#,
        since,
        before.attempted_at,
        before.subscription_id,
        before.event_offset,
        before.number,
        limit,
        event_id,
        owner,
    )
    .fetch_all(db)
    .await
}
