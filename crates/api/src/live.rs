//! `/events/stream` and `/subscriptions/{id}/tail`: what is recorded, as it is, as Server-Sent Events.
//!
//! `feed` reads the record once for all who listen, and only while somebody does; each `listener`
//! takes its part of that at its own pace. Nobody waits for a listener: one that does not keep up
//! loses its place among the latest and reads on from the database, and what it still cannot be told
//! is counted. A stream ends after [`LIFETIME`], when the key it was opened with is not in force any
//! more, and when the service stops; `Last-Event-ID` goes on where it ended.

mod feed;
mod listener;
mod position;
mod told;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use common::store::attempts::live::edge;
use common::store::subscriptions;
use futures_util::stream;
use sqlx::PgPool;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::Path;
use crate::refusals;
use crate::seats::Seats;
use crate::state::AppState;
use feed::Batch;
use listener::{Listener, Wants};
use position::Position;

/// After how long a stream ends.
const LIFETIME: Duration = Duration::from_mins(15);

/// How often a listener hears that the stream goes on, and its key is looked up.
const BEAT: Duration = Duration::from_secs(15);

/// How many batches are kept for those who are slow.
const BATCHES: usize = 8;

const LAST_EVENT_ID: &str = "last-event-id";

/// Keeps proxies that gather answers from gathering this one.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// How many may listen, and how often is looked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many at once.
    pub listeners: usize,
    /// How many of these of one owner.
    pub listeners_per_owner: usize,
    /// How often the record is looked at.
    pub poll: Duration,
}

/// The record as it grows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: PgPool,
    settings: Settings,
    batches: broadcast::Sender<Arc<Batch>>,
    /// Told when somebody begins to listen.
    wanted: Notify,
    seats: Arc<Seats>,
    /// No stream goes on any more.
    ended: CancellationToken,
}

impl Live {
    /// Reads nothing until it is run.
    pub fn new(db: PgPool, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            db,
            settings,
            batches: broadcast::Sender::new(BATCHES),
            wanted: Notify::new(),
            seats: Arc::new(Seats::new(settings.listeners, settings.listeners_per_owner)),
            ended: CancellationToken::new(),
        }))
    }

    /// One who hears all that is recorded after `after`, or from now on.
    async fn listen(&self, wants: Wants, after: Option<Position>) -> Result<Listener, ApiError> {
        let shared = &self.0;
        let seat = Seats::take(&shared.seats, wants.owner.clone());
        let seat = seat.ok_or(ApiError::TooManyListeners)?;
        let batches = shared.batches.subscribe();
        let now = Position::before(edge(&shared.db).await?);
        shared.wanted.notify_one();
        let ended = shared.ended.clone();
        let source = listener::Source {
            db: shared.db.clone(),
            batches,
            ended,
            _seat: seat,
        };
        Ok(Listener::new(source, wants, after.unwrap_or(now)))
    }
}

/// The routes of this directory.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(stream_all))
        .routes(routes!(tail))
}

/// Follow what becomes of all deliveries
///
/// Server-Sent Events. `outcome` is an attempt and what became of its delivery, or a delivery that
/// expired, was superseded or set aside; `left_out` says how many could not be told, `null` if it is
/// not known, where more come than can be. Comments keep the connection open. The stream ends after 15 minutes: connect again
/// with `Last-Event-ID`, as browsers do by themselves, and nothing is missed. Of a subscriber's key,
/// what is its owner's.
#[utoipa::path(get, path = "/events/stream", tag = "deliveries", security(("key" = ["read"])),
    params(("Last-Event-ID" = Option<String>, Header, description = "After which event to go on")),
    responses(
    (status = 200, body = String, content_type = "text/event-stream", description = "What is recorded, as it is",
     example = "id: 8123.1\nevent: outcome\ndata: {\"outcome\":\"delivered\",\"attempts_made\":1}\n\n"),
    refusals::Stream,
))]
async fn stream_all(
    State(live): State<Live>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let wants = Wants::of(&caller, None);
    Ok(answer(live.listen(wants, last_event_id(&headers)?).await?))
}

/// Follow what becomes of a subscription's deliveries
///
/// As `GET /events/stream`, of one subscription.
#[utoipa::path(get, path = "/subscriptions/{id}/tail", tag = "deliveries", security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The subscription's"),
           ("Last-Event-ID" = Option<String>, Header, description = "After which event to go on")),
    responses(
    (status = 200, body = String, content_type = "text/event-stream", description = "What is recorded, as it is",
     example = "id: 8123.1\nevent: outcome\ndata: {\"outcome\":\"delivered\",\"attempts_made\":1}\n\n"),
    refusals::Tail,
))]
async fn tail(
    State(app): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.reach(subscriptions::get(&app.db, id).await?)?;
    let wants = Wants::of(&caller, Some(id));
    let listener = app.live.listen(wants, last_event_id(&headers)?).await?;
    Ok(answer(listener))
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, ApiError> {
    let Some(id) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let position = id.to_str().ok().and_then(|id| id.parse().ok());
    position
        .map(Some)
        .ok_or_else(|| ApiError::InvalidParameter {
            name: "Last-Event-ID".into(),
            detail: "must be the id of an event of this stream".into(),
        })
}

fn answer(listener: Listener) -> Response {
    let events = stream::unfold(listener, async |mut listener| {
        let event: Option<Event> = listener.next().await;
        event.map(|event| (Ok::<_, std::convert::Infallible>(event), listener))
    });
    ([UNBUFFERED], Sse::new(events)).into_response()
}
