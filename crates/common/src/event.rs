//! The event as `system` publishes it and subscribers receive it, and the headers of the POST.
//!
//! Owns the wire format only. Other producers may write to the topic too, so how leniently a
//! record is read is the processor's business.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The type of the events that `system` publishes, and of those that name none.
pub const TEMPERATURE_UPDATED: &str = "temperature.updated";

/// The largest event that is relayed, in bytes. Larger ones go to the dead letter queue.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// The event's id, the same on every attempt (Standard Webhooks, "Webhook headers").
pub const WEBHOOK_ID: &str = "webhook-id";
/// When this attempt was made, in seconds since the Unix epoch (Standard Webhooks).
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// Which attempt this is, from 1.
pub const WEBHOOK_ATTEMPT: &str = "webhook-attempt";
/// W3C Trace Context; carried from the Kafka record to the POST.
pub const TRACEPARENT: &str = "traceparent";

/// `User-Agent` of every request the system makes.
pub const USER_AGENT: &str = concat!("temperature-webhooks/", env!("CARGO_PKG_VERSION"));

/// A temperature that changed. The Kafka key is the city; the value is this, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "type": "temperature.updated",
    "timestamp": "2026-11-23T21:00:00Z", "city": "Tokyo",
    "reading": 23.0, "unit": "C", "previous_reading": 21.5
}))]
pub struct TemperatureUpdated {
    /// `UUIDv7`; becomes the `webhook-id` header.
    pub id: Uuid,
    /// `temperature.updated`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When the temperature was read.
    pub timestamp: DateTime<Utc>,
    /// Where.
    pub city: String,
    /// The temperature, in `unit`.
    pub reading: f64,
    /// `C` for degrees Celsius.
    pub unit: String,
    /// The reading before this one; absent from a city's first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_reading: Option<f64>,
}
