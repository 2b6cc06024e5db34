//! The table `pending_deliveries`: deliveries that wait for their time, each with all it needs.
//!
//! A claim takes a lease by pushing `due_at` ahead; only the holder of the lease ends or
//! reschedules the row. All times are the database's.

pub mod one;
mod sweep;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

pub use sweep::{end_replay, sweep_orphans};

/// A batch of rows to add, column by column, all of one topic.
#[derive(Debug, Default)]
pub struct Columns {
    /// What is to be delivered, and to whom.
    pub deliveries: Deliveries,
    /// What each is ordered and coalesced by.
    pub event_keys: Vec<Option<String>>,
    /// How long each waits from now, in seconds.
    pub delays_seconds: Vec<f64>,
}

/// What a delivery needs to be sent, column by column: pending and dead ones keep the same.
#[derive(Debug, Default)]
pub struct Deliveries {
    /// Where each is in the topic, and for whom.
    pub keys: Keys,
    /// The events' bytes.
    pub payloads: Vec<Vec<u8>>,
    /// The events' content types.
    pub content_types: Vec<Option<String>>,
    /// W3C Trace Context.
    pub traceparents: Vec<Option<String>>,
    /// Attempts made so far.
    pub attempts: Vec<i32>,
    /// The records' times.
    pub published_at: Vec<Option<DateTime<Utc>>>,
    /// The replays that asked for them.
    pub replay_ids: Vec<Option<Uuid>>,
}

/// Deliveries that were made of subscriptions that want the newest of each key only.
#[derive(Debug, Default)]
pub struct Newest {
    /// Where each is in the topic, and for whom.
    pub keys: Keys,
    /// Of which key each is the newest.
    pub event_keys: Vec<String>,
}

/// The keys of a batch of rows, column by column.
#[derive(Debug, Default)]
pub struct Keys {
    /// Whose delivery.
    pub subscription_ids: Vec<Uuid>,
    /// In which partition the event is.
    pub partitions: Vec<i32>,
    /// At which offset.
    pub event_offsets: Vec<i64>,
    /// The event's id.
    pub event_ids: Vec<String>,
}

impl Keys {
    /// Adds one.
    pub fn push(&mut self, subscription_id: Uuid, partition: i32, offset: i64, event_id: &str) {
        self.subscription_ids.push(subscription_id);
        self.partitions.push(partition);
        self.event_offsets.push(offset);
        self.event_ids.push(event_id.to_owned());
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.subscription_ids.is_empty()
    }
}

/// A claimed row.
#[derive(Debug)]
pub struct Claimed {
    /// Whose delivery.
    pub subscription_id: Uuid,
    /// In which partition the event was.
    pub partition: i32,
    /// At which offset.
    pub event_offset: i64,
    /// The event's id.
    pub event_id: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// Its content type.
    pub content_type: Option<String>,
    /// W3C Trace Context.
    pub traceparent: Option<String>,
    /// Attempts made so far.
    pub attempts: i32,
    /// What it is ordered and coalesced by.
    pub event_key: Option<String>,
    /// The record's time.
    pub published_at: Option<DateTime<Utc>>,
    /// The replay that asked for it.
    pub replay_id: Option<Uuid>,
}

/// Adds a batch. One that waits already stays as it is; a cancelled replay's is left out.
///
/// # Errors
/// The database's.
pub async fn insert_all(db: impl PgExecutor<'_>, topic: &str, batch: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO pending_deliveries (topic, subscription_id, partition, event_offset, event_id,
                                        payload, content_type, traceparent, attempts,
                                        published_at, replay_id, event_key, due_at)
        SELECT $1, subscription_id, partition, event_offset, event_id, payload, content_type,
               traceparent, attempts, published_at, replay_id, event_key,
               now() + make_interval(secs => delay)
        FROM UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::text[], $6::bytea[], $7::text[],
                    $8::text[], $9::int[], $10::float8[], $11::timestamptz[], $12::uuid[],
                    $13::text[])
            AS added (subscription_id, partition, event_offset, event_id, payload, content_type,
                      traceparent, attempts, delay, published_at, replay_id, event_key)
        WHERE replay_id IS NULL OR EXISTS (
            SELECT FROM replays WHERE id = replay_id AND state <> 'cancelled')
        ON CONFLICT DO NOTHING
        "#,
        topic,
        &batch.deliveries.keys.subscription_ids,
        &batch.deliveries.keys.partitions,
        &batch.deliveries.keys.event_offsets,
        &batch.deliveries.keys.event_ids,
        &batch.deliveries.payloads,
        &batch.deliveries.content_types as &[Option<String>],
        &batch.deliveries.traceparents as &[Option<String>],
        &batch.deliveries.attempts,
        &batch.delays_seconds,
        &batch.deliveries.published_at as &[Option<DateTime<Utc>>],
        &batch.deliveries.replay_ids as &[Option<Uuid>],
        &batch.event_keys as &[Option<String>],
    )
    .execute(db)
    .await
    .map(drop)
}

/// Sets when claimed rows are tried again, and gives up their leases. Those whose lease is
/// another's by now stay as they are.
///
/// # Errors
/// The database's.
pub async fn reschedule_all(
    db: impl PgExecutor<'_>,
    topic: &str,
    keys: &Keys,
    leases: &[Uuid],
    (attempts, delays_seconds): (&[i32], &[f64]),
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        UPDATE pending_deliveries AS held
        SET attempts = tried.attempts, due_at = now() + make_interval(secs => delay), lease = NULL
        FROM UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::text[], $6::uuid[], $7::int[], $8::float8[])
            AS tried (subscription_id, partition, event_offset, event_id, lease, attempts, delay)
        WHERE held.topic = $1 AND held.subscription_id = tried.subscription_id
          AND held.partition = tried.partition AND held.event_offset = tried.event_offset
          AND held.event_id = tried.event_id AND held.lease = tried.lease
        "#,
        topic,
        &keys.subscription_ids,
        &keys.partitions,
        &keys.event_offsets,
        &keys.event_ids,
        leases,
        attempts,
        delays_seconds,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Ends claimed rows. Those whose lease is another's by now stay.
///
/// # Errors
/// The database's.
pub async fn delete_all(
    db: impl PgExecutor<'_>,
    topic: &str,
    keys: &Keys,
    leases: &[Uuid],
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        DELETE FROM pending_deliveries AS held
        USING UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::text[], $6::uuid[])
            AS ended (subscription_id, partition, event_offset, event_id, lease)
        WHERE held.topic = $1 AND held.subscription_id = ended.subscription_id
          AND held.partition = ended.partition AND held.event_offset = ended.event_offset
          AND held.event_id = ended.event_id AND held.lease = ended.lease
        "#,
        topic,
        &keys.subscription_ids,
        &keys.partitions,
        &keys.event_offsets,
        &keys.event_ids,
        leases,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Ends, counts and records the rows that a delivery of their key supersedes; one in flight stays.
///
/// # Errors
/// The database's.
pub async fn supersede_all(
    db: impl PgExecutor<'_>,
    topic: &str,
    newest: &Newest,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH ended AS (
            DELETE FROM pending_deliveries AS older
            USING UNNEST($2::uuid[], $3::int[], $4::bigint[], $5::text[])
                AS newest (subscription_id, partition, event_offset, event_key)
            WHERE older.topic = $1 AND older.subscription_id = newest.subscription_id
              AND older.partition = newest.partition AND older.event_key = newest.event_key
              AND older.event_offset < newest.event_offset AND older.lease IS NULL
              AND older.replay_id IS NULL
            RETURNING older.subscription_id, older.partition, older.event_offset, older.event_id,
                      older.event_key, older.attempts
        ), recorded AS (
            INSERT INTO attempts (topic, attempted_at, subscription_id, partition, event_offset,
                                  event_id, event_key, number, outcome)
            SELECT $1, now(), subscription_id, partition, event_offset, event_id, event_key,
                   attempts, 'superseded' FROM ended
        )
        INSERT INTO undelivered (subscription_id, outcome, count)
        SELECT subscription_id, 'superseded', count(*) FROM ended
        GROUP BY subscription_id ORDER BY subscription_id
        ON CONFLICT (subscription_id, outcome) DO UPDATE
        SET count = undelivered.count + excluded.count
        "#,
        topic,
        &newest.keys.subscription_ids,
        &newest.keys.partitions,
        &newest.keys.event_offsets,
        &newest.event_keys,
    )
    .execute(db)
    .await
    .map(drop)
}

/// The subscriptions that have something due in a partition: one probe of the index for each.
///
/// # Errors
/// The database's.
pub async fn due(db: impl PgExecutor<'_>, topic: &str, partition: i32) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        WITH RECURSIVE lane AS (
            (SELECT subscription_id FROM pending_deliveries
             WHERE topic = $1 AND partition = $2 ORDER BY subscription_id LIMIT 1)
            UNION ALL
            SELECT (SELECT next.subscription_id FROM pending_deliveries AS next
                    WHERE next.topic = $1 AND next.partition = $2
                      AND next.subscription_id > lane.subscription_id
                    ORDER BY next.subscription_id LIMIT 1)
            FROM lane WHERE lane.subscription_id IS NOT NULL
        )
        SELECT subscription_id AS "subscription_id!" FROM lane
        WHERE subscription_id IS NOT NULL AND EXISTS (
            SELECT FROM pending_deliveries AS due
            WHERE due.topic = $1 AND due.partition = $2
              AND due.subscription_id = lane.subscription_id AND due.due_at <= now())
        "#,
        topic,
        partition,
    )
    .fetch_all(db)
    .await
}

/// Claims what is due in a partition, for each subscription no more than its room (the n-th room
/// is the n-th subscription's), and holds it under `lease` for that many seconds. Of an ordered
/// one only what no earlier delivery of its key stands before.
///
/// # Errors
/// The database's.
pub async fn claim(
    db: impl PgExecutor<'_>,
    (topic, partition): (&str, i32),
    (subscription_ids, rooms, ordered): (&[Uuid], &[i64], &[bool]),
    lease: Uuid,
    lease_seconds: f64,
) -> sqlx::Result<Vec<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"
        WITH picked AS MATERIALIZED (
            SELECT due.subscription_id, due.event_offset, due.event_id, due.replay_id
            FROM UNNEST($3::uuid[], $4::bigint[], $7::bool[])
                AS wanted (subscription_id, room, ordered)
            CROSS JOIN LATERAL (
                SELECT subscription_id, event_offset, event_id, replay_id
                FROM pending_deliveries AS row
                WHERE topic = $1 AND partition = $2
                  AND subscription_id = wanted.subscription_id AND due_at <= now()
                  AND NOT (wanted.ordered AND event_key IS NOT NULL AND EXISTS (
                      SELECT FROM pending_deliveries AS earlier
                      WHERE earlier.subscription_id = row.subscription_id
                        AND earlier.topic = $1 AND earlier.partition = $2
                        AND earlier.event_offset < row.event_offset
                        AND earlier.event_key = row.event_key))
                ORDER BY due_at LIMIT wanted.room FOR UPDATE SKIP LOCKED
            ) AS due
        )
        UPDATE pending_deliveries AS held
        SET lease = $5, due_at = now() + make_interval(secs => $6)
        FROM picked
        WHERE held.topic = $1 AND held.partition = $2
          AND held.subscription_id = picked.subscription_id
          AND held.event_offset = picked.event_offset AND held.event_id = picked.event_id
          AND held.replay_id IS NOT DISTINCT FROM picked.replay_id
        RETURNING held.subscription_id, held.partition, held.event_offset, held.event_id,
                  held.payload, held.content_type, held.traceparent, held.attempts,
                  held.event_key, held.published_at, held.replay_id
        "#,
        topic,
        partition,
        subscription_ids,
        rooms,
        lease,
        lease_seconds,
        ordered,
    )
    .fetch_all(db)
    .await
}

/// What later deliveries of ordered subscriptions wait for in a partition: subscription, key and
/// offset.
///
/// # Errors
/// The database's.
pub async fn ordered(
    db: impl PgExecutor<'_>,
    topic: &str,
    partition: i32,
) -> sqlx::Result<Vec<(Uuid, String, i64)>> {
    let rows = sqlx::query!(
        r#"
        SELECT subscription_id, event_key AS "event_key!", event_offset
        FROM pending_deliveries JOIN subscriptions ON subscriptions.id = subscription_id
        WHERE ordering = 'per_key' AND event_key IS NOT NULL AND topic = $1 AND partition = $2
        "#,
        topic,
        partition,
    )
    .fetch_all(db)
    .await?
    .into_iter();
    Ok(rows
        .map(|row| (row.subscription_id, row.event_key, row.event_offset))
        .collect())
}
