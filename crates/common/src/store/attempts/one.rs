//! What is known of deliveries one by one: their attempts, and what they are now.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Key, Outcome, list};

/// How many rows of one delivery are shown: its newest.
pub const MAX_SHOWN: i64 = 200;

/// A row, whole.
#[derive(Clone, Debug)]
pub struct Row {
    /// When the attempt began, or when it became what `outcome` says.
    pub attempted_at: DateTime<Utc>,
    /// Attempts made by then.
    pub number: i32,
    /// What had become of the delivery.
    pub outcome: Outcome,
    /// The city, or of whom an operational event tells.
    pub event_key: Option<String>,
    /// The HTTP status, where one was read.
    pub status: Option<i32>,
    /// The class of the failure.
    pub failure: Option<String>,
    /// In microseconds; `None`: there was no POST.
    pub total_us: Option<i32>,
    /// Resolving the host's name.
    pub dns_us: Option<i32>,
    /// Connecting by TCP.
    pub connect_us: Option<i32>,
    /// The TLS handshake.
    pub tls_us: Option<i32>,
    /// From the beginning of sending to the end of the response's head.
    pub first_byte_us: Option<i32>,
    /// Where the connection led.
    pub remote_address: Option<String>,
    /// Whether it was there before.
    pub reused: Option<bool>,
    /// As `TLS 1.3`.
    pub tls_version: Option<String>,
    /// For how many days more the receiver's certificate was valid.
    pub certificate_days: Option<i32>,
    /// As a JSON object, without secrets.
    pub request_headers: Option<String>,
    /// The same.
    pub response_headers: Option<String>,
    /// The beginning of the response's body.
    pub response: Option<String>,
}

/// The rows of a delivery, oldest first; of more than [`MAX_SHOWN`] the newest.
///
/// # Errors
/// The database's.
pub async fn rows(db: impl PgExecutor<'_>, key: &Key) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT attempted_at, number, outcome::text AS "outcome!: Outcome", event_key, status,
               failure, total_us, dns_us, connect_us, tls_us, first_byte_us, remote_address, reused,
               tls_version, certificate_days, request_headers, response_headers, response
        FROM attempts
        WHERE event_id = $1 AND subscription_id = $2 AND topic = $3 AND partition = $4
          AND event_offset = $5 AND replay_id IS NOT DISTINCT FROM $6
        ORDER BY attempted_at DESC, number DESC LIMIT $7
        "#,
        key.event_id,
        key.subscription_id,
        key.topic,
        key.partition,
        key.event_offset,
        key.replay_id,
        MAX_SHOWN,
    )
    .fetch_all(db);
    let mut rows = rows.await?;
    rows.reverse();
    Ok(rows)
}

/// Erases what was said in a delivery's attempts; whether it has any.
///
/// # Errors
/// The database's.
pub async fn erase(db: impl PgExecutor<'_>, key: &Key) -> sqlx::Result<bool> {
    let erased = sqlx::query!(
        r#"
        UPDATE attempts SET request_headers = NULL, response_headers = NULL, response = NULL
        WHERE event_id = $1 AND subscription_id = $2 AND topic = $3 AND partition = $4
          AND event_offset = $5 AND replay_id IS NOT DISTINCT FROM $6
        "#,
        key.event_id,
        key.subscription_id,
        key.topic,
        key.partition,
        key.event_offset,
        key.replay_id,
    )
    .execute(db)
    .await?;
    Ok(erased.rows_affected() > 0)
}

/// What a delivery is beside one of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Whether a later row says more.
    pub is_past: bool,
    /// When it is due, if it is pending.
    pub due_at: Option<DateTime<Utc>>,
    /// What an earlier row says, where this one says that it is pending and it is not. That it was dead
    /// counts no more once it was sent again.
    pub settled: Option<Outcome>,
}

/// What deliveries are beside those rows of them, in their order.
///
/// # Errors
/// The database's.
pub async fn beside(db: impl PgExecutor<'_>, rows: &[list::Row]) -> sqlx::Result<Vec<Beside>> {
    let columns = Columns::of(rows);
    sqlx::query_as!(
        Beside,
        r#"
        SELECT EXISTS (
                   SELECT FROM attempts AS later
                   WHERE later.event_id = listed.event_id
                     AND later.subscription_id = listed.subscription_id
                     AND later.topic = listed.topic AND later.partition = listed.partition
                     AND later.event_offset = listed.event_offset
                     AND later.replay_id IS NOT DISTINCT FROM listed.replay_id
                     AND later.attempted_at > listed.attempted_at) AS "is_past!",
               held.due_at AS "due_at?",
               CASE WHEN held.due_at IS NULL AND listed.outcome = 'pending' THEN (
                   SELECT outcome::text FROM attempts AS settled
                   WHERE settled.event_id = listed.event_id
                     AND settled.subscription_id = listed.subscription_id
                     AND settled.topic = listed.topic AND settled.partition = listed.partition
                     AND settled.event_offset = listed.event_offset
                     AND settled.replay_id IS NOT DISTINCT FROM listed.replay_id
                     AND settled.outcome <> 'pending'
                     AND (settled.outcome <> 'dead' OR NOT EXISTS (
                         SELECT FROM attempts AS again
                         WHERE again.event_id = listed.event_id
                           AND again.subscription_id = listed.subscription_id
                           AND again.topic = listed.topic AND again.partition = listed.partition
                           AND again.event_offset = listed.event_offset
                           AND again.replay_id IS NOT DISTINCT FROM listed.replay_id
                           AND again.outcome = 'pending' AND again.number = 0
                           AND again.attempted_at > settled.attempted_at))
                   ORDER BY settled.attempted_at DESC LIMIT 1) END AS "settled: Outcome"
        FROM UNNEST($1::text[], $2::uuid[], $3::text[], $4::int[], $5::bigint[], $6::uuid[],
                    $7::timestamptz[], $8::text[]) WITH ORDINALITY
            AS listed (event_id, subscription_id, topic, partition, event_offset, replay_id,
                       attempted_at, outcome, at)
        LEFT JOIN pending_deliveries AS held
          ON held.subscription_id = listed.subscription_id AND held.topic = listed.topic
         AND held.partition = listed.partition AND held.event_offset = listed.event_offset
         AND held.event_id = listed.event_id
         AND held.replay_id IS NOT DISTINCT FROM listed.replay_id
        ORDER BY listed.at
        "#,
        &columns.event_ids,
        &columns.subscription_ids,
        &columns.topics,
        &columns.partitions,
        &columns.event_offsets,
        &columns.replay_ids as &[Option<Uuid>],
        &columns.times,
        &columns.outcomes as &[Outcome],
    )
    .fetch_all(db)
    .await
}

/// Of rows what tells their deliveries, column by column.
#[derive(Default)]
struct Columns {
    event_ids: Vec<String>,
    subscription_ids: Vec<Uuid>,
    topics: Vec<String>,
    partitions: Vec<i32>,
    event_offsets: Vec<i64>,
    replay_ids: Vec<Option<Uuid>>,
    times: Vec<DateTime<Utc>>,
    outcomes: Vec<Outcome>,
}

impl Columns {
    fn of(rows: &[list::Row]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.event_ids.push(row.event_id.clone());
            columns.subscription_ids.push(row.subscription_id);
            columns.topics.push(row.topic.clone());
            columns.partitions.push(row.partition);
            columns.event_offsets.push(row.event_offset);
            columns.replay_ids.push(row.replay_id);
            columns.times.push(row.attempted_at);
            columns.outcomes.push(row.outcome);
        }
        columns
    }
}
