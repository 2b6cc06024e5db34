//! The API's answers, as far as pages show them. What is absent or new there is no error here.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// A point in time.
pub type At = DateTime<Utc>;

/// A part of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
}

/// `GET /subscriptions/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {
    pub id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub url: String,
    pub auth: Auth,
    #[serde(default)]
    pub header_names: Vec<String>,
    pub signing_algorithm: Option<String>,
    pub public_keys_url: Option<String>,
    pub event_types: Option<Vec<String>>,
    pub cities: Option<Vec<String>>,
    pub filter: Option<String>,
    pub retry_schedule: Option<Vec<String>>,
    pub max_age: Option<String>,
    pub timeout: Option<String>,
    pub rate_limit: Option<f64>,
    pub max_in_flight: Option<i64>,
    pub disable_after: Option<String>,
    pub ordering: String,
    pub coalesce: String,
    pub state: String,
    pub disabled_at: Option<At>,
    pub disabled_reason: Option<String>,
    pub circuit: Circuit,
    pub held_back: Option<HeldBack>,
    pub expired: i64,
    pub superseded: i64,
    pub created_at: At,
    pub updated_at: At,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Auth {
    pub kind: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Circuit {
    pub state: String,
    pub failing_since: Option<At>,
    pub last_failure: Option<String>,
    pub next_probe_at: Option<At>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct HeldBack {
    pub since: At,
    pub warning: Option<String>,
}

/// What `GET /stats` and `/subscriptions/{id}/stats` share.
#[derive(Clone, Debug, Deserialize)]
pub struct Now {
    pub as_of: At,
    pub attempts_per_second: f64,
    pub deliveries_per_second: f64,
    pub success_share: Option<f64>,
    pub latency_ms: Option<Times>,
    pub delay_ms: Option<Times>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Count {
    pub count: i64,
    pub exact: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Totals {
    pub attempts: i64,
    pub delivered: i64,
    pub failed: i64,
}

/// `GET /stats`.
#[derive(Clone, Debug, Deserialize)]
pub struct Stats {
    #[serde(flatten)]
    pub now: Now,
    pub events_per_second: Option<f64>,
    pub totals: Totals,
    pub lag: Option<Lag>,
    pub oldest_undelivered_seconds: Option<f64>,
    pub pending: Count,
    pub dead_letters: Count,
    pub open_circuits: i64,
    pub held_back: i64,
    pub top_failing: Vec<Failing>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Lag {
    pub events: i64,
    pub partitions: i64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Failing {
    pub subscription_id: Uuid,
    pub name: String,
    pub failure: Option<String>,
    pub since: At,
}

/// `GET /subscriptions/{id}/stats`.
#[derive(Clone, Debug, Deserialize)]
pub struct SubscriptionStats {
    #[serde(flatten)]
    pub now: Now,
    pub totals: Totals,
    pub health: Health,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Health {
    pub success_share_1h: Option<f64>,
    pub consecutive_failures: i64,
    pub disabled_at: Option<At>,
    pub pending: Count,
    pub held_back_events: Option<i64>,
    pub oldest_pending_seconds: Option<f64>,
    pub dead_letters: Count,
    pub budget: Budget,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Budget {
    pub target: f64,
    pub burn_1h: Option<f64>,
    pub left_30d: Option<f64>,
}

/// `GET /deliveries`.
#[derive(Clone, Debug, Deserialize)]
pub struct Delivery {
    pub id: String,
    pub subscription_id: Uuid,
    pub event_id: String,
    pub city: Option<String>,
    pub status: String,
    pub at: At,
    pub attempts_made: i64,
    pub failure: Option<String>,
    pub last_status: Option<i64>,
    pub latency_ms: Option<f64>,
    pub next_attempt_at: Option<At>,
    pub replay_id: Option<Uuid>,
    pub topic: String,
    pub partition: i64,
    pub offset: i64,
}

/// `GET /deliveries/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub struct WholeDelivery {
    #[serde(flatten)]
    pub delivery: Delivery,
    pub attempts: Vec<Attempt>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Attempt {
    pub at: At,
    pub number: i64,
    pub posted: bool,
    pub outcome: String,
    pub status: Option<i64>,
    pub failure: Option<String>,
    pub hint: String,
    pub latency_ms: Option<Phases>,
    pub remote_address: Option<String>,
    pub reused_connection: Option<bool>,
    pub tls_version: Option<String>,
    pub certificate_expires_in_days: Option<i64>,
    pub request_headers: Option<serde_json::Map<String, Value>>,
    pub response_headers: Option<serde_json::Map<String, Value>>,
    pub response: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Phases {
    pub dns: Option<f64>,
    pub connect: Option<f64>,
    pub tls: Option<f64>,
    pub first_byte: Option<f64>,
    pub total: f64,
}

/// `POST /subscriptions/{id}/test`.
#[derive(Clone, Debug, Deserialize)]
pub struct TestDelivery {
    pub event_id: String,
    pub verdict: String,
    pub failure: Option<String>,
    pub status: Option<i64>,
    pub hint: String,
    pub latency_ms: Phases,
    pub remote_address: Option<String>,
    pub response: Option<String>,
}

/// `GET /events/{id}`.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    pub id: String,
    pub city: Option<String>,
    pub topic: String,
    pub partition: i64,
    pub offset: i64,
    pub payload: Option<Value>,
    pub payload_base64: Option<String>,
    pub payload_from: String,
    pub recorded: String,
    pub deliveries: Vec<Delivery>,
}

/// `GET /dlqs`.
#[derive(Clone, Debug, Deserialize)]
pub struct DeadLetter {
    pub id: i64,
    pub event_id: String,
    pub payload: Option<Value>,
    pub payload_base64: Option<String>,
    pub payload_bytes: i64,
    pub attempts: i64,
    pub last_status: Option<i64>,
    pub created_at: At,
}

/// `GET /dlqs/groups`.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    pub subscription_id: Option<Uuid>,
    pub reason: String,
    pub last_error: Option<String>,
    pub count: i64,
    pub oldest_at: At,
    pub newest_at: At,
}

/// `POST /dlqs`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Reprocessed {
    pub not_found: Vec<i64>,
    pub refused: Vec<RefusedLetter>,
    pub requeued_at: Option<At>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RefusedLetter {
    pub reason: String,
}

/// `POST /dlqs/groups`.
#[derive(Clone, Debug, Deserialize)]
pub struct RequeuedGroup {
    pub remaining: i64,
    pub requeued_at: Option<At>,
}

/// `GET /dlqs/reprocessed`.
#[derive(Clone, Debug, Deserialize)]
pub struct SentAgain {
    pub count: i64,
    pub delivered: i64,
    pub pending: i64,
    pub dead: i64,
    pub expired: i64,
    pub superseded: i64,
    pub cancelled: i64,
    pub failed_again: Vec<Delivery>,
}

/// `GET /replays`.
#[derive(Clone, Debug, Deserialize)]
pub struct Replay {
    pub id: Uuid,
    pub since: At,
    pub until: At,
    pub rate: Option<f64>,
    pub state: String,
    pub count: i64,
    pub settled: i64,
    pub progress: f64,
    pub created_at: At,
    pub ended_at: Option<At>,
}

/// `POST /subscriptions/{id}/replay` with `dry_run`.
#[derive(Clone, Debug, Deserialize)]
pub struct DryRun {
    pub since: At,
    pub until: At,
    pub count: i64,
    pub matching: i64,
    pub exact: bool,
    pub scanned: i64,
}

/// `GET /api-keys`.
#[derive(Clone, Debug, Deserialize)]
pub struct ApiKey {
    pub id: Uuid,
    pub name: String,
    pub prefix: String,
    pub role: String,
    pub owner: Option<String>,
    pub scopes: Vec<String>,
    pub expires_at: Option<At>,
    pub last_used_at: Option<At>,
    pub created_at: At,
    pub created_by: String,
    pub revoked_at: Option<At>,
}

/// `GET /audit`.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub at: At,
    pub who: String,
    pub action: String,
    pub kind: String,
    pub object_id: String,
    pub address: Option<String>,
    pub changes: Value,
}

/// `GET /subscriptions/{id}/timeline`.
#[derive(Clone, Debug, Deserialize)]
pub struct OperationalEvent {
    #[serde(rename = "type")]
    pub event_type: String,
    pub timestamp: At,
    pub last_failure: Option<String>,
    pub failing_seconds: Option<f64>,
    pub reason: Option<String>,
    pub count: Option<i64>,
}

/// `POST /subscriptions/preview`.
#[derive(Clone, Debug, Deserialize)]
pub struct Preview {
    pub looked_at: i64,
    pub matching: i64,
    pub matching_per_hour: Option<f64>,
    pub unanswered: i64,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Sample {
    pub event: Value,
}

impl Count {
    /// `18`, or `more than 10,000`.
    pub fn shown(&self) -> String {
        let count = crate::number::count(self.count);
        if self.exact {
            count
        } else {
            format!("≈ {count}")
        }
    }
}
