//! `/subscriptions/{id}/test`: one delivery now, and all that can be said of it.
//!
//! The event that is sent unless one is given has the type and the shape of a real one, so that
//! the receiver treats it as one. That it is none is said by the header `webhook-test: true`, the
//! field `test`, and a city that does not exist, so that no real one gets a wrong reading.

use axum::extract::State;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use common::event::{MAX_EVENT_BYTES, TEMPERATURE_UPDATED};
use common::store::subscriptions;
use outbound::{Attempt, Outgoing, Tls};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::hint;
use crate::phases::Phases;
use crate::refusals;
use crate::state::AppState;

/// Of which city the event tells that is sent unless one is given.
const CITY: &str = "Test";

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(test))
}

/// What to send.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"event": {
    "id": "0199b0c2-9d03-7a41-8a7f-2b1f0c6f4d10", "type": "temperature.updated",
    "timestamp": "2026-11-23T21:00:00Z", "city": "Tokyo", "reading": 23.0, "unit": "C"
}}))]
pub struct TestRequest {
    /// A whole event, sent as it is: an object of at most 64 KiB. Its `id` becomes the
    /// `webhook-id`. A temperature of the city `Test`, unless given.
    #[schema(value_type = Option<Object>)]
    event: Option<TestEvent>,
}

/// A JSON object, as it was written.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Box<RawValue>")]
struct TestEvent(Box<RawValue>);

impl TryFrom<Box<RawValue>> for TestEvent {
    type Error = String;

    fn try_from(raw: Box<RawValue>) -> Result<Self, String> {
        if !raw.get().starts_with('{') {
            return Err("must be an object".into());
        }
        if raw.get().len() > MAX_EVENT_BYTES {
            return Err(format!("must have at most {MAX_EVENT_BYTES} bytes"));
        }
        Ok(Self(raw))
    }
}

/// What is sent: an event and its id.
pub struct Event {
    id: String,
    payload: Bytes,
}

impl Event {
    /// A reading of now, that nobody took.
    pub fn invented() -> Self {
        let id = Uuid::now_v7().to_string();
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let event = json!({
            "id": id, "type": TEMPERATURE_UPDATED, "timestamp": now, "city": CITY,
            "reading": 21.0, "unit": "C", "test": true
        });
        let payload = event.to_string().into();
        Self { id, payload }
    }

    /// It on its way, for the first time.
    pub fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            id: &self.id,
            payload: &self.payload,
            content_type: None,
            traceparent: None,
            replay: None,
            number: 1,
        }
    }
}

impl From<TestEvent> for Event {
    /// An id that does not fit in a header is replaced, as the processor does.
    fn from(TestEvent(raw): TestEvent) -> Self {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let named = serde_json::from_str::<Named>(raw.get());
        let id = named.ok().map(|named| named.id).filter(|id| fits(id));
        Self {
            id: id.unwrap_or_else(|| Uuid::now_v7().to_string()),
            payload: String::from(Box::<str>::from(raw)).into(),
        }
    }
}

/// Visible ASCII without a full stop, 256 bytes at most.
fn fits(id: &str) -> bool {
    let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'.';
    (1..=256).contains(&id.len()) && id.bytes().all(visible)
}

/// What came of a test delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "verdict": "retry", "hint": "it failed by a fault of its own: look in its log",
    "status": 500, "failure": "http_5xx", "response": "no disk space",
    "latency_ms": {
        "dns": 1.204, "connect": 11.87, "tls": 24.306, "first_byte": 40.018,
        "total": 78.112
    },
    "remote_address": "203.0.113.7:443",
    "tls": {"version": "TLS 1.3", "certificate_expires_at": "2027-02-01T00:00:00Z"},
    "event_id": "0199b0c2-9d03-7a41-8a7f-2b1f0c6f4d10"
}))]
pub struct TestDelivery {
    /// What it would mean for a delivery: `delivered`, `retry`, `reject`, which disables the
    /// subscription, or `postponed` where no token was to be had and nothing was sent.
    verdict: &'static str,
    /// What to do about it.
    hint: &'static str,
    /// The response's, if there was one.
    status: Option<u16>,
    /// The class of the failure, as `connect_refused`, unless it was delivered.
    failure: Option<&'static str>,
    /// The beginning of the response to what was not delivered.
    response: Option<String>,
    latency_ms: Phases,
    /// The address that was connected to.
    remote_address: Option<String>,
    /// `null` for plain HTTP.
    tls: Option<TlsAgreed>,
    /// The `webhook-id` it was sent under.
    event_id: String,
}

/// What the TLS handshake agreed on.
#[derive(Debug, Serialize, ToSchema)]
pub struct TlsAgreed {
    /// As `TLS 1.3`.
    version: Option<&'static str>,
    certificate_expires_at: Option<DateTime<Utc>>,
}

impl From<&Tls> for TlsAgreed {
    fn from(tls: &Tls) -> Self {
        Self {
            version: tls.version_name(),
            certificate_expires_at: tls.not_after,
        }
    }
}

impl TestDelivery {
    fn of(attempt: Attempt, event_id: String) -> Self {
        let connection = attempt.connection.as_deref();
        Self {
            verdict: attempt.verdict.label(),
            hint: hint::of(&attempt),
            status: attempt.status,
            failure: attempt.failure.map(outbound::Failure::label),
            latency_ms: attempt.phases().into(),
            remote_address: connection.map(|connection| connection.remote_addr.to_string()),
            tls: connection.and_then(|connection| Some(connection.tls.as_ref()?.into())),
            response: attempt.content.and_then(|content| content.response),
            event_id,
        }
    }
}

/// Send a test event now
///
/// One POST, with the subscription's headers and time-out, whether or not it is paused or
/// disabled; the answer says what came of it and what to do. It is not tried again, nothing is
/// recorded, and no circuit counts it. It carries `webhook-test: true`. The event that is sent
/// unless one is given is a `temperature.updated` of the city `Test` with `"test": true`.
#[utoipa::path(post, path = "/subscriptions/{id}/test", tag = "subscriptions",
    security(("key" = ["write"])), params(("id" = Uuid, Path, description = "The subscription's")),
    request_body(content = Option<TestRequest>, description = "May be left out", example = json!({})),
    responses(
    (status = 200, body = TestDelivery, description = "What came of it"),
    refusals::Test,
))]
async fn test(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
    asked: Option<Json<TestRequest>>,
) -> Result<axum::Json<TestDelivery>, ApiError> {
    let subscription = caller.reach(subscriptions::get(&app.db, id).await?)?;
    let given = asked.and_then(|Json(asked)| asked.event);
    let event = given.map_or_else(Event::invented, Event::from);
    let attempt = app
        .tester
        .attempt(&caller, &subscription, &app.keyring, &event.outgoing())
        .await?;
    Ok(axum::Json(TestDelivery::of(attempt, event.id)))
}
