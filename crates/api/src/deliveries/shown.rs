//! How deliveries and their attempts are shown.

use chrono::{DateTime, Utc};
use common::store::attempts::one::{Beside, Row};
use common::store::attempts::{Key, list};
use outbound::Failure;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::id::{self, DeliveryId};
use super::select::Status;
use crate::hint;
use crate::phases::{Phases, thousandths};

/// One event for one subscription, and what it is now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "AZmwwnwefVKgpU8PajqbEQAAAAADAAAAAAAAEmcHdXBkYXRlczAxOTliMGMyLTlkMDMtN2E0MQ",
    "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
    "event_id": "0199b0c2-9d03-7a41", "city": "Tokyo", "topic": "updates", "partition": 3,
    "offset": 4711, "replay_id": null, "status": "pending", "attempts_made": 1,
    "at": "2026-11-23T21:00:00.120Z", "last_status": 500, "failure": "http_5xx",
    "latency_ms": 78.112, "next_attempt_at": "2026-11-23T21:00:05.410Z"
}))]
pub struct Delivery {
    id: String,
    subscription_id: Uuid,
    /// The `webhook-id`.
    event_id: String,
    /// Of which city the event tells; of an operational event, of which subscription.
    city: Option<String>,
    /// Where the event lies in Kafka.
    topic: String,
    partition: i32,
    offset: i64,
    /// The replay by which it is sent, if it is sent by one.
    replay_id: Option<Uuid>,
    status: Status,
    /// How many attempts were made; counted anew where it was sent again after it had failed.
    attempts_made: i32,
    /// When the last attempt began, or when it became what it is without one.
    at: DateTime<Utc>,
    /// The HTTP status of that attempt, where one was read.
    last_status: Option<i32>,
    /// The class of its failure.
    failure: Option<String>,
    /// How long it took.
    latency_ms: Option<f64>,
    /// When it is due, while it is pending; while it is attempted, by when that is over.
    next_attempt_at: Option<DateTime<Utc>>,
}

impl Delivery {
    /// As its latest row says.
    pub fn of(row: list::Row, beside: &Beside) -> Self {
        let status = Status::of(row.outcome, beside.due_at.is_some(), beside.settled);
        Self {
            id: DeliveryId::text(&id::key(&row)),
            subscription_id: row.subscription_id,
            event_id: row.event_id,
            city: row.event_key,
            topic: row.topic,
            partition: row.partition,
            offset: row.event_offset,
            replay_id: row.replay_id,
            status,
            attempts_made: row.number,
            at: row.attempted_at,
            last_status: row.status,
            failure: row.failure,
            latency_ms: row.total_us.map(thousandths),
            next_attempt_at: beside.due_at.filter(|_| status == Status::Pending),
        }
    }

    /// What it is.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Of which city it tells.
    pub fn city(&self) -> Option<&str> {
        self.city.as_deref()
    }

    /// What it is known by.
    pub fn key(&self) -> Key {
        Key {
            subscription_id: self.subscription_id,
            replay_id: self.replay_id,
            topic: self.topic.clone(),
            partition: self.partition,
            event_offset: self.offset,
            event_id: self.event_id.clone(),
        }
    }

    /// Whether it is of the same event as `key`.
    pub fn is_of(&self, key: &Key) -> bool {
        (&self.topic, self.partition, self.offset) == (&key.topic, key.partition, key.event_offset)
    }

    /// Whether the event is kept for it.
    pub fn keeps_payload(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Dead)
    }
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "AZmwwnwefVKgpU8PajqbEQAAAAADAAAAAAAAEmcHdXBkYXRlczAxOTliMGMyLTlkMDMtN2E0MQ",
    "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
    "event_id": "0199b0c2-9d03-7a41", "city": "Tokyo", "topic": "updates", "partition": 3,
    "offset": 4711, "replay_id": null, "status": "pending", "attempts_made": 1,
    "at": "2026-11-23T21:00:00.120Z", "last_status": 500, "failure": "http_5xx",
    "latency_ms": 78.112, "next_attempt_at": "2026-11-23T21:00:05.410Z",
    "attempts": [{
        "number": 1, "at": "2026-11-23T21:00:00.120Z", "posted": true, "outcome": "pending",
        "status": 500, "failure": "http_5xx",
        "hint": "it failed by a fault of its own: look in its log",
        "latency_ms": {
            "dns": 1.204, "connect": 11.87, "tls": 24.306, "first_byte": 40.018, "total": 78.112
        },
        "remote_address": "203.0.113.7:443", "reused_connection": false, "tls_version": "TLS 1.3",
        "certificate_expires_in_days": 69,
        "request_headers": {"webhook-id": "0199b0c2-9d03-7a41", "authorization": "[redacted]"},
        "response_headers": {"content-type": "text/plain"}, "response": "no disk space"
    }]
}))]
pub struct WholeDelivery {
    #[serde(flatten)]
    delivery: Delivery,
    /// Oldest first; of more than 200 the newest.
    attempts: Vec<Attempt>,
}

impl WholeDelivery {
    /// With those rows, oldest first.
    pub fn new(delivery: Delivery, rows: Vec<Row>) -> Self {
        Self {
            delivery,
            attempts: rows.into_iter().map(Attempt::from).collect(),
        }
    }
}

/// One POST, or what became of the delivery without one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "number": 1, "at": "2026-11-23T21:00:00.120Z", "posted": true, "outcome": "pending",
    "status": 500, "failure": "http_5xx", "hint": "it failed by a fault of its own: look in its log",
    "latency_ms": {
        "dns": 1.204, "connect": 11.87, "tls": 24.306, "first_byte": 40.018, "total": 78.112
    },
    "remote_address": "203.0.113.7:443", "reused_connection": false, "tls_version": "TLS 1.3",
    "certificate_expires_in_days": 69,
    "request_headers": {"webhook-id": "0199b0c2-9d03-7a41", "authorization": "[redacted]"},
    "response_headers": {"content-type": "text/plain"}, "response": "no disk space"
}))]
pub struct Attempt {
    /// How many attempts were made by then, this one included.
    number: i32,
    /// When it began.
    at: DateTime<Utc>,
    /// Whether a POST was made. If not, this tells when the delivery became what `outcome` says: it
    /// was set aside or asked for again (`pending`), `expired` or `superseded`.
    posted: bool,
    /// What became of the delivery.
    outcome: Status,
    /// The HTTP status, where one was read.
    status: Option<i32>,
    /// The class of the failure.
    failure: Option<String>,
    /// What to do about it.
    hint: &'static str,
    latency_ms: Option<Phases>,
    /// The address that was connected to.
    remote_address: Option<String>,
    /// Whether the connection was there before: then it took no steps to open it.
    reused_connection: Option<bool>,
    /// `null` for plain HTTP.
    tls_version: Option<String>,
    /// For how many days the receiver's certificate was valid then.
    certificate_expires_in_days: Option<i32>,
    /// Of failures whose request was sent. Secrets are left out.
    #[schema(value_type = Option<Object>)]
    request_headers: Option<Box<RawValue>>,
    /// Of failures that were answered.
    #[schema(value_type = Option<Object>)]
    response_headers: Option<Box<RawValue>>,
    /// The first 8 KiB of the response to what failed.
    response: Option<String>,
}

impl From<Row> for Attempt {
    fn from(row: Row) -> Self {
        let headers = |json: Option<String>| RawValue::from_string(json?).ok();
        Self {
            latency_ms: Phases::recorded(&row),
            hint: hint(&row),
            number: row.number,
            at: row.attempted_at,
            posted: row.total_us.is_some(),
            outcome: row.outcome.into(),
            status: row.status,
            failure: row.failure,
            remote_address: row.remote_address,
            reused_connection: row.reused,
            tls_version: row.tls_version,
            certificate_expires_in_days: row.certificate_days,
            request_headers: headers(row.request_headers),
            response_headers: headers(row.response_headers),
            response: row.response,
        }
    }
}

fn hint(row: &Row) -> &'static str {
    match (row.total_us, Status::from(row.outcome)) {
        (None, Status::Pending) => "nothing: it waits for its turn",
        (None, Status::Expired) => "raise `max_age`, if late is better than never",
        (None, Status::Superseded) => "nothing: `coalesce` asks for the newest only",
        _ => {
            let failure = row.failure.as_deref().and_then(Failure::named);
            let status = row.status.and_then(|status| u16::try_from(status).ok());
            hint::of_failure(failure, status)
        }
    }
}
