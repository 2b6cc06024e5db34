//! `GET /events/{id}`: an event, and what became of it for each subscription.
//!
//! Events are not stored: what is known of one is what the record has of its deliveries. Its payload
//! is taken from a pending delivery or a dead letter, or read from its place in the topic; where it
//! is in none of them any more, the answer says so and has the rest.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::header::LINK;
use axum::response::{AppendHeaders, IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::attempt_log::AttemptLog;
use common::event::derived_id;
use common::store::attempts::Key;
use common::store::replays::Extent;
use common::store::{dead_letters, pending_deliveries};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Caller;
use crate::deliveries::{self, Delivery};
use crate::error::ApiError;
use crate::extract::{Id, Path};
use crate::log::{Log, Record};
use crate::refusals;
use crate::state::AppState;

/// How many deliveries of the event are shown; where the others are, `Link` says.
const MAX_DELIVERIES: i64 = 1_000;

/// The longest id of an event, in bytes.
const MAX_ID_BYTES: usize = 256;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(get))
}

/// The id of an event: visible ASCII, as it stands in the header `webhook-id`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct EventId(pub String);

impl TryFrom<String> for EventId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=MAX_ID_BYTES).contains(&text.len());
        let fits = fits && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(Self(text)).ok_or("it is no event's")
    }
}

impl Id for EventId {
    const KIND: &str = "an event's";
}

/// An event, and its deliveries.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "0199b0c2-9d03-7a41", "topic": "updates", "partition": 3, "offset": 4711,
    "city": "Tokyo", "payload": {"city": "Tokyo", "reading": 23.0, "unit": "C"},
    "payload_from": "topic", "recorded": "all", "deliveries": [{
        "id": "AZmwwnwefVKgpU8PajqbEQAAAAADAAAAAAAAEmcHdXBkYXRlczAxOTliMGMyLTlkMDMtN2E0MQ",
        "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
        "event_id": "0199b0c2-9d03-7a41", "city": "Tokyo", "topic": "updates", "partition": 3,
        "offset": 4711, "replay_id": null, "status": "delivered", "attempts_made": 1,
        "at": "2026-11-23T21:00:00.120Z", "last_status": 204, "failure": null,
        "latency_ms": 12.304, "next_attempt_at": null
    }]
}))]
pub struct Event {
    /// The `webhook-id` of its attempts.
    id: String,
    /// Where it lies in Kafka; of an id that was published more than once, the last of them.
    topic: String,
    partition: i32,
    offset: i64,
    /// Of which city it tells; of an operational event, of which subscription.
    city: Option<String>,
    /// The event, when it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
    /// The event in base64, when it is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    /// Where the payload was found, or why it was not.
    payload_from: PayloadFrom,
    /// With `failures` (`ATTEMPT_LOG`) a subscription that is not named got it at the first attempt,
    /// or did not want it: which, is not recorded.
    recorded: AttemptLog,
    /// Newest first, up to 1,000 attempts are looked at; `Link` leads to all.
    deliveries: Vec<Delivery>,
}

/// Where a payload was found, or why it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadFrom {
    /// A pending delivery has it.
    PendingDelivery,
    /// A dead letter has it.
    DeadLetter,
    /// It lies in the topic.
    Topic,
    /// There is none: retention or compaction took it from the topic, or the topic was made anew.
    Gone,
    /// There may be one: it lies in a topic that the API does not read.
    AnotherTopic,
    /// There may be one: Kafka does not answer.
    KafkaUnavailable,
}

/// Show an event, and what became of it for each subscription
///
/// Of a subscriber's key, for its owner's subscriptions: an event that none of them got is not there.
#[utoipa::path(get, path = "/events/{id}", tag = "deliveries",
    security(("key" = ["read"])), params(("id" = String, Path, description = "The event's: its `webhook-id`")), responses(
    (status = 200, body = Event, description = "It is this",
     headers(("link" = Option<String>, description = "Where all deliveries are, if these are not all"))),
    refusals::OneEvent,
))]
async fn get(
    State(app): State<AppState>,
    caller: Caller,
    Path(EventId(id)): Path<EventId>,
) -> Result<Response, ApiError> {
    let owner = caller.owner();
    let (deliveries, more) = deliveries::of_event(&app.db, owner, &id, MAX_DELIVERIES).await?;
    let newest = deliveries.first().ok_or(ApiError::NotFound("event"))?;
    let key = newest.key();
    let (payload, payload_from) = payload(&app, &deliveries, &key).await?;
    let parsed = payload
        .as_deref()
        .and_then(|bytes| serde_json::from_slice(bytes).ok());
    let other = payload.filter(|_| parsed.is_none());
    let link = more.then(|| {
        let all = deliveries::path_of_event(&id);
        (LINK, format!("<{all}>; rel=\"related\""))
    });
    let event = Event {
        id,
        topic: key.topic,
        partition: key.partition,
        offset: key.event_offset,
        city: deliveries
            .iter()
            .find_map(|it| it.city().map(str::to_owned)),
        payload: parsed,
        payload_base64: other.map(|bytes| BASE64_STANDARD.encode(bytes)),
        payload_from,
        recorded: app.attempt_log,
        deliveries,
    };
    Ok((AppendHeaders(link), axum::Json(event)).into_response())
}

/// The payload, from the nearest place that has it.
async fn payload(
    app: &AppState,
    deliveries: &[Delivery],
    key: &Key,
) -> sqlx::Result<(Option<Vec<u8>>, PayloadFrom)> {
    for delivery in deliveries.iter().filter(|it| it.is_of(key)) {
        if !delivery.keeps_payload() {
            continue;
        }
        let key = delivery.key();
        if let Some(payload) = pending_deliveries::one::payload(&app.db, &key).await? {
            return Ok((Some(payload), PayloadFrom::PendingDelivery));
        }
        if let Some(letter) = dead_letters::one::of(&app.db, &key).await?.pop() {
            return Ok((Some(letter.payload), PayloadFrom::DeadLetter));
        }
    }
    Ok(from_topic(&app.log, key).await)
}

async fn from_topic(log: &Log, key: &Key) -> (Option<Vec<u8>>, PayloadFrom) {
    if log.topic() != key.topic {
        return (None, PayloadFrom::AnotherTopic);
    }
    let place = Extent {
        partition: key.partition,
        start: key.event_offset,
        end: key.event_offset + 1,
    };
    match log.read(vec![place]).await {
        Ok(excerpt) => {
            let found = excerpt
                .records
                .into_iter()
                .find(|record| is_it(record, key));
            found.map_or((None, PayloadFrom::Gone), |record| {
                (Some(record.payload), PayloadFrom::Topic)
            })
        }
        Err(error) => {
            tracing::warn!(
                error = format!("{:#}", anyhow::Error::new(error)),
                "an event is not read"
            );
            (None, PayloadFrom::KafkaUnavailable)
        }
    }
}

/// Whether a record at the event's place is the event: in a topic that was made anew it is another.
fn is_it(record: &Record, key: &Key) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
    }
    let named = serde_json::from_slice::<Named<'_>>(&record.payload);
    let named = named.ok().and_then(|named| named.id);
    let published_ms = record
        .published_at
        .map_or(0, |time| time.timestamp_millis());
    let place = (key.partition, key.event_offset);
    named.is_some_and(|id| id == key.event_id)
        || derived_id(&key.topic, place, published_ms) == key.event_id
}
