//! The table `attempts`: the record of what was done for each delivery, and what became of it.
//!
//! One row a POST, and one for what became of a delivery without one: parked, expired, superseded,
//! sent again on request. Rows are added in batches and not changed, except that what a receiver
//! sent can be erased. A delivery's latest row says what it is; `days` makes and drops the
//! partitions, `list`, `one` and `requeued` look deliveries up, `live` tells what came since.

pub mod days;
pub mod list;
pub mod live;
pub mod one;
pub mod requeued;

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

use super::pending_deliveries::Keys;

/// What becomes of a delivery, as its rows say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A receiver answered 2xx.
    Delivered,
    /// It waits for its time.
    Pending,
    /// It failed for good.
    Dead,
    /// It was older than its subscription wants.
    Expired,
    /// A newer reading of its city took its place.
    Superseded,
}

/// What a delivery is known by: one event for one subscription, or the same by a replay.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose it is.
    pub subscription_id: Uuid,
    /// The replay that asked for it.
    pub replay_id: Option<Uuid>,
    /// In which topic the event lies,
    pub topic: String,
    /// in which partition,
    pub partition: i32,
    /// and at which offset.
    pub event_offset: i64,
    /// The event's id: the `webhook-id`.
    pub event_id: String,
}

/// A batch of rows, column by column, all of one topic.
#[derive(Debug, Default)]
pub struct Columns {
    /// Of which delivery each is.
    pub keys: Keys,
    /// Of which replay.
    pub replay_ids: Vec<Option<Uuid>>,
    /// The city, or of whom an operational event tells.
    pub event_keys: Vec<Option<String>>,
    /// How long ago each was made, in seconds: the database's clock turns it into a time.
    pub ages_seconds: Vec<f64>,
    /// Attempts made by then.
    pub numbers: Vec<i32>,
    /// What became of the delivery.
    pub outcomes: Vec<Outcome>,
    /// How each POST went; of what was no POST there is nothing in it.
    pub posts: Posts,
}

/// How POSTs went, column by column.
#[derive(Debug, Default)]
pub struct Posts {
    /// How long each took, in microseconds, as are the steps below that were taken.
    pub total_us: Vec<Option<i32>>,
    /// Resolving the host's name.
    pub dns_us: Vec<Option<i32>>,
    /// Connecting by TCP.
    pub connect_us: Vec<Option<i32>>,
    /// The TLS handshake.
    pub tls_us: Vec<Option<i32>>,
    /// From the beginning of sending to the end of the response's head.
    pub first_byte_us: Vec<Option<i32>>,
    /// The HTTP statuses.
    pub statuses: Vec<Option<i32>>,
    /// The classes of the failures.
    pub failures: Vec<Option<&'static str>>,
    /// For how many days more each receiver's certificate was valid.
    pub certificate_days: Vec<Option<i32>>,
    /// Whether each connection was there before.
    pub reused: Vec<Option<bool>>,
    /// Where each connection led.
    pub remote_addresses: Vec<Option<String>>,
    /// As `TLS 1.3`.
    pub tls_versions: Vec<Option<&'static str>>,
    /// Of failures, as JSON objects without secrets.
    pub request_headers: Vec<Option<String>>,
    /// The same of their responses.
    pub response_headers: Vec<Option<String>>,
    /// The beginnings of the responses' bodies.
    pub responses: Vec<Option<String>>,
}

/// Records a batch.
///
/// # Errors
/// The database's.
pub async fn insert_all(db: impl PgExecutor<'_>, topic: &str, batch: &Columns) -> sqlx::Result<()> {
    let Columns { keys, posts, .. } = batch;
    sqlx::query!(
        r#"
        INSERT INTO attempts
            (topic, attempted_at, subscription_id, partition, event_offset, event_id, replay_id,
             event_key, number, outcome, total_us, dns_us, connect_us, tls_us, first_byte_us, status,
             failure, certificate_days, reused, remote_address, tls_version, request_headers,
             response_headers, response)
        SELECT $1, now() - make_interval(secs => age), subscription_id, partition, event_offset,
               event_id, replay_id, event_key, number, made.outcome::outcome, total_us, dns_us,
               connect_us, tls_us, first_byte_us, status, failure, certificate_days, reused,
               remote_address, tls_version, request_headers, response_headers, response
        FROM UNNEST($2::float8[], $3::uuid[], $4::int[], $5::bigint[], $6::text[], $7::uuid[],
                    $8::text[], $9::int[], $10::text[], $11::int[], $12::int[], $13::int[],
                    $14::int[], $15::int[], $16::int[], $17::text[], $18::int[], $19::bool[],
                    $20::text[], $21::text[], $22::text[], $23::text[], $24::text[])
            AS made (age, subscription_id, partition, event_offset, event_id, replay_id, event_key,
                     number, outcome, total_us, dns_us, connect_us, tls_us, first_byte_us, status,
                     failure, certificate_days, reused, remote_address, tls_version,
                     request_headers, response_headers, response)
        "#,
        topic,
        &batch.ages_seconds,
        &keys.subscription_ids,
        &keys.partitions,
        &keys.event_offsets,
        &keys.event_ids,
        &batch.replay_ids as &[Option<Uuid>],
        &batch.event_keys as &[Option<String>],
        &batch.numbers,
        &batch.outcomes as &[Outcome],
        &posts.total_us as &[Option<i32>],
        &posts.dns_us as &[Option<i32>],
        &posts.connect_us as &[Option<i32>],
        &posts.tls_us as &[Option<i32>],
        &posts.first_byte_us as &[Option<i32>],
        &posts.statuses as &[Option<i32>],
        &posts.failures as &[Option<&'static str>],
        &posts.certificate_days as &[Option<i32>],
        &posts.reused as &[Option<bool>],
        &posts.remote_addresses as &[Option<String>],
        &posts.tls_versions as &[Option<&'static str>],
        &posts.request_headers as &[Option<String>],
        &posts.response_headers as &[Option<String>],
        &posts.responses as &[Option<String>],
    )
    .execute(db)
    .await
    .map(drop)
}
