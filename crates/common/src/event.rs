//! The event as `system` publishes it and subscribers receive it, and the headers of the POST.
//!
//! Other producers may write to the topic too: [`AnyEvent`] says what of a record makes it an event,
//! for who delivers it and for who only tells what would be delivered.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

pub use signature::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

/// The type of the events that `system` publishes, and of those that name none.
pub const TEMPERATURE_UPDATED: &str = "temperature.updated";

/// The largest event that is relayed, in bytes. Larger ones go to the dead letter queue.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Which attempt this is, from 1.
pub const WEBHOOK_ATTEMPT: &str = "webhook-attempt";
/// W3C Trace Context; carried from the Kafka record to the POST.
pub const TRACEPARENT: &str = "traceparent";

/// The id of the trace that a `traceparent` names, for logs: nothing where it has not the form.
pub fn trace_id(traceparent: &str) -> Option<&str> {
    let mut parts = traceparent.split('-');
    let trace_id = parts.nth(1)?;
    let is_id = trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then_some(trace_id)
}

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

/// What a record has at least to be an event: a JSON object with these. The rest is relayed unread.
#[derive(Debug, Deserialize)]
pub struct AnyEvent<'a> {
    /// The producer's id, of whatever kind.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type", default)]
    event_type: Option<Cow<'a, str>>,
    /// Where it was read.
    #[serde(borrow)]
    pub city: Cow<'a, str>,
    #[serde(rename = "reading")]
    _reading: f64,
    #[serde(borrow, rename = "unit")]
    _unit: Cow<'a, str>,
    #[serde(rename = "timestamp")]
    _timestamp: DateTime<Utc>,
}

impl<'a> AnyEvent<'a> {
    /// Reads a record's value.
    ///
    /// # Errors
    /// Why it is no event.
    pub fn parse(value: &'a [u8]) -> Result<Self, String> {
        parse_object(value)
    }

    /// Its type; one that names none is a [`TEMPERATURE_UPDATED`].
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.event_type.as_deref().unwrap_or(TEMPERATURE_UPDATED)
    }
}

/// Reads a JSON object that is no larger than an event may be.
///
/// # Errors
/// Why it is none.
pub fn parse_object<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, String> {
    if value.len() > MAX_EVENT_BYTES {
        return Err(format!(
            "{} bytes, more than the {MAX_EVENT_BYTES} allowed",
            value.len()
        ));
    }
    // An array would be read as the fields in their order.
    if value.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not a JSON object".into());
    }
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

/// The id of an event that has none: the same for every reading of a record, from its topic, its
/// partition and offset, and its time in milliseconds (a topic that is made anew counts its offsets
/// from 0 again).
#[must_use]
pub fn derived_id(topic: &str, (partition, offset): (i32, i64), timestamp_ms: i64) -> String {
    let place = format!("{topic}/{partition}/{offset}/{timestamp_ms}");
    Uuid::new_v5(&Uuid::NAMESPACE_URL, place.as_bytes()).to_string()
}

/// Whether a type, or a family of types, is of operational events: what happened to subscriptions,
/// whoever's they are.
#[must_use]
pub fn is_operational(event_type: &str) -> bool {
    let family = event_type.split('.').next();
    matches!(family, Some("subscription" | "delivery"))
}

/// Whether a type that a subscription names, exact or a family as `a.*`, is an event's.
#[must_use]
pub fn names_type(named: &str, event_type: &str) -> bool {
    match named.strip_suffix(".*") {
        None => named == event_type,
        Some(family) => event_type
            .strip_prefix(family)
            .is_some_and(|rest| rest.starts_with('.')),
    }
}
