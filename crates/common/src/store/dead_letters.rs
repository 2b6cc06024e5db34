//! The table `dead_letters`: what could not be delivered, until somebody reprocesses it.
//!
//! Rows are only ever added and removed, never changed. Reprocessing moves a row to
//! `pending_deliveries` in one statement, so that a delivery is always in exactly one of the two. `one`
//! has those of one delivery, `groups` what they have in common.

pub mod groups;
pub mod one;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

use super::pending_deliveries::Deliveries;

/// How much is kept of why a record is no event, which may repeat a part of it.
pub const MAX_ERROR_CHARS: usize = 300;

/// Why a delivery ended here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The last attempt of the retry schedule failed.
    Exhausted,
    /// The receiver answered 410, which also disabled the subscription.
    Gone,
    /// The record on the topic is no event, and so belongs to no subscription.
    Malformed,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Ascending in the order of arrival.
    pub id: i64,
    /// Whose delivery failed; `None` when the record is malformed.
    pub subscription_id: Option<Uuid>,
    /// See `webhook-id`.
    pub event_id: String,
    /// The Kafka topic the event came from.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub event_offset: i64,
    /// The size of the payload, in bytes.
    pub payload_bytes: i32,
    /// The event, byte for byte; `None` when larger than was asked for.
    pub payload: Option<Vec<u8>>,
    /// Why it is here.
    pub reason: Reason,
    /// How many attempts were made.
    pub attempts: i32,
    /// The HTTP status of the last, where one was read.
    pub last_status: Option<i32>,
    /// The class of the last failure.
    pub last_error: Option<String>,
    /// When it came here.
    pub created_at: DateTime<Utc>,
}

/// Which rows a list shows: those that match everything that is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Of this owner's subscriptions only; here and below `None` means of everybody's.
    pub owner: Option<&'a str>,
    /// Of this subscription only.
    pub subscription_id: Option<Uuid>,
    /// Of this reason only.
    pub reason: Option<Reason>,
    /// Those whose last failure was of this class only; of the empty one: those without one.
    pub last_error: Option<&'a str>,
    /// Those behind this id only.
    pub after: Option<i64>,
}

/// A page of those that match, oldest first, with payloads up to `max_payload_bytes`.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter<'_>,
    skip: i64,
    limit: i64,
    max_payload_bytes: i32,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT id, subscription_id, event_id, topic, partition, event_offset,
               octet_length(payload) AS "payload_bytes!",
               CASE WHEN octet_length(payload) <= $5 THEN payload END AS payload,
               reason AS "reason: Reason", attempts, last_status, last_error, created_at
        FROM dead_letters
        WHERE ($1::uuid IS NULL OR subscription_id = $1) AND ($2::text IS NULL OR reason = $2)
          AND ($6::text IS NULL
               OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $6))
          AND ($7::text IS NULL OR last_error = $7 OR ($7 = '' AND last_error IS NULL))
          AND ($8::bigint IS NULL OR id > $8)
        ORDER BY id OFFSET $3 LIMIT $4
        "#,
        filter.subscription_id,
        filter.reason as Option<Reason>,
        skip,
        limit,
        max_payload_bytes,
        filter.owner,
        filter.last_error,
        filter.after,
    )
    .fetch_all(db)
    .await
}

/// The dead letter of that id, with its payload, if it is of the owner.
///
/// # Errors
/// The database's.
pub async fn get(
    db: impl PgExecutor<'_>,
    owner: Option<&str>,
    id: i64,
) -> sqlx::Result<Option<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT id, subscription_id, event_id, topic, partition, event_offset,
               octet_length(payload) AS "payload_bytes!", payload AS "payload?",
               reason AS "reason: Reason", attempts, last_status, last_error, created_at
        FROM dead_letters
        WHERE id = $1 AND ($2::text IS NULL
              OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $2))
        "#,
        id,
        owner,
    )
    .fetch_optional(db)
    .await
}

/// Removes it, if it is of the owner; says whether it was there.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, owner: Option<&str>, id: i64) -> sqlx::Result<bool> {
    sqlx::query!(
        r#"
        DELETE FROM dead_letters
        WHERE id = $1 AND ($2::text IS NULL
              OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $2))
        "#,
        id,
        owner,
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// What reprocessing did to one dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Fate {
    /// It is a pending delivery now, due at once.
    Requeued,
    /// It stays: the record is no event, so there is nobody to send it to.
    Malformed,
    /// It stays: its subscription was deleted.
    SubscriptionDeleted,
}

/// A dead letter that was found, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Requeue {
    /// The dead letter's.
    pub id: i64,
    /// What became of it.
    pub fate: Fate,
    /// When: the transaction's time, which the record has of those that were requeued.
    pub at: DateTime<Utc>,
}

/// Moves dead letters to `pending_deliveries`, for the subscription that failed only, with their
/// attempts counted anew. Ids without a row, or of another owner, are absent from the answer.
///
/// Of two calls at once for one id, the first to lock the row moves it and the other does not
/// find it. The lock on the subscription keeps it from being deleted meanwhile. A delivery that
/// is already pending stays as it is, and the dead letter goes: it would only be sent twice.
///
/// # Errors
/// The database's.
pub async fn requeue(
    db: impl PgExecutor<'_>,
    owner: Option<&str>,
    ids: &[i64],
) -> sqlx::Result<Vec<Requeue>> {
    sqlx::query_as!(
        Requeue,
        r#"
        WITH found AS MATERIALIZED (
            SELECT id, subscription_id FROM dead_letters
            WHERE id = ANY($1) AND ($2::text IS NULL
                  OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $2))
            ORDER BY id FOR UPDATE
        ), wanted AS MATERIALIZED (
            SELECT id FROM subscriptions WHERE id IN (SELECT subscription_id FROM found)
            ORDER BY id FOR KEY SHARE
        ), moved AS (
            DELETE FROM dead_letters AS dead USING found
            WHERE dead.id = found.id AND found.subscription_id IN (SELECT id FROM wanted)
            RETURNING dead.*
        ), requeued AS (
            INSERT INTO pending_deliveries
                (subscription_id, topic, partition, event_offset, event_id, payload,
                 content_type, traceparent, replay_id, attempts, due_at)
            SELECT subscription_id, topic, partition, event_offset, event_id, payload,
                   content_type, traceparent, replay_id, 0, now()
            FROM moved ORDER BY id
            ON CONFLICT DO NOTHING
        ), recorded AS (
            INSERT INTO attempts (topic, attempted_at, subscription_id, partition, event_offset,
                                  event_id, replay_id, number, outcome)
            SELECT topic, now(), subscription_id, partition, event_offset, event_id, replay_id, 0,
                   'pending' FROM moved
        )
        SELECT found.id,
               CASE WHEN found.subscription_id IS NULL THEN 'malformed'
                    WHEN moved.id IS NULL THEN 'subscription_deleted'
                    ELSE 'requeued' END AS "fate!: Fate",
               now() AS "at!"
        FROM found LEFT JOIN moved ON moved.id = found.id
        ORDER BY found.id
        "#,
        ids,
        owner,
    )
    .fetch_all(db)
    .await
}

/// A batch of rows to add, column by column, all of one topic.
#[derive(Debug, Default)]
pub struct Columns {
    /// What could not be delivered, and to whom.
    pub deliveries: Deliveries,
    /// Why each is dead.
    pub reasons: Vec<Reason>,
    /// The HTTP status of the last.
    pub last_statuses: Vec<Option<i32>>,
    /// The class of the last failure.
    pub last_errors: Vec<Option<String>>,
    /// Under which lease the delivery was pending; `None` when it was not.
    pub leases: Vec<Option<Uuid>>,
}

/// Adds a batch. One that was pending is left out unless its row is there under that lease: it is
/// another's by now, who will say what becomes of it.
///
/// # Errors
/// The database's.
pub async fn insert_all(db: impl PgExecutor<'_>, topic: &str, batch: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO dead_letters (topic, subscription_id, partition, event_offset, event_id, payload,
                                  content_type, traceparent, reason, attempts, last_status, last_error,
                                  replay_id)
        SELECT $1, subscription_id, partition, event_offset, event_id, payload, content_type,
               traceparent, reason, attempts, last_status, last_error, replay_id
        FROM UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::text[], $6::bytea[], $7::text[],
                    $8::text[], $9::text[], $10::int[], $11::int[], $12::text[], $13::uuid[],
                    $14::uuid[])
            AS dead (subscription_id, partition, event_offset, event_id, payload, content_type,
                     traceparent, reason, attempts, last_status, last_error, lease, replay_id)
        WHERE lease IS NULL OR EXISTS (
            SELECT FROM pending_deliveries AS held
            WHERE held.topic = $1 AND held.subscription_id = dead.subscription_id
              AND held.partition = dead.partition AND held.event_offset = dead.event_offset
              AND held.event_id = dead.event_id AND held.lease = dead.lease)
        "#,
        topic,
        &batch.deliveries.keys.subscription_ids,
        &batch.deliveries.keys.partitions,
        &batch.deliveries.keys.event_offsets,
        &batch.deliveries.keys.event_ids,
        &batch.deliveries.payloads,
        &batch.deliveries.content_types as &[Option<String>],
        &batch.deliveries.traceparents as &[Option<String>],
        &batch.reasons as &[Reason],
        &batch.deliveries.attempts,
        &batch.last_statuses as &[Option<i32>],
        &batch.last_errors as &[Option<String>],
        &batch.leases as &[Option<Uuid>],
        &batch.deliveries.replay_ids as &[Option<Uuid>],
    )
    .execute(db)
    .await
    .map(drop)
}

/// A record that is no event.
#[derive(Debug)]
pub struct Malformed<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// The id derived from its place.
    pub event_id: &'a str,
    /// Its value, as it is.
    pub payload: &'a [u8],
    /// Its content type.
    pub content_type: Option<&'a str>,
    /// W3C Trace Context.
    pub traceparent: Option<&'a str>,
    /// Why it is no event.
    pub error: &'a str,
}

/// Adds a record that is no event, once however often it is read.
///
/// # Errors
/// The database's.
pub async fn insert_malformed(
    db: impl PgExecutor<'_>,
    topic: &str,
    record: &Malformed<'_>,
) -> sqlx::Result<()> {
    let error: String = record.error.chars().take(MAX_ERROR_CHARS).collect();
    sqlx::query!(
        r#"
        INSERT INTO dead_letters (topic, partition, event_offset, event_id, payload, content_type,
                                  traceparent, reason, attempts, last_error)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 'malformed', 0, $8)
        ON CONFLICT (topic, partition, event_offset, event_id) WHERE subscription_id IS NULL
        DO NOTHING
        "#,
        topic,
        record.partition,
        record.offset,
        record.event_id,
        record.payload,
        record.content_type,
        record.traceparent,
        error,
    )
    .execute(db)
    .await
    .map(drop)
}
