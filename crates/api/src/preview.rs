//! `/subscriptions/preview`: what a subscription would have got of the last events.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::extract::Json;
use crate::fields::{Cities, EventTypes, FilterSource};
use crate::log::{Log, Record};
use crate::refusals;
use crate::selection::{Selection, Tally};
use crate::state::AppState;

/// How many matching events are shown.
const MAX_SAMPLES: usize = 10;

/// Over less time than this a rate would be a guess, in seconds.
const MIN_SPAN_SECONDS: f64 = 1.0;

const SECONDS_PER_HOUR: f64 = 3600.0;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(preview))
}

/// What to try on the last events.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "event_types": ["temperature.*"], "cities": ["Tokyo", "Berlin"],
    "filter": "event.reading > 30", "events": 1000
}))]
pub struct PreviewRequest {
    event_types: Option<EventTypes>,
    cities: Option<Cities>,
    filter: Option<FilterSource>,
    /// How many of the last events to look at, each partition's share of them.
    #[serde(default)]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 10000, default = 1000)]
    events: Events,
}

/// How many events to look at: 1 to 10,000.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "i64")]
struct Events(i64);

impl Default for Events {
    fn default() -> Self {
        Self(1000)
    }
}

impl TryFrom<i64> for Events {
    type Error = &'static str;

    fn try_from(events: i64) -> Result<Self, Self::Error> {
        if !(1..=10_000).contains(&events) {
            return Err("must be 1 to 10000");
        }
        Ok(Self(events))
    }
}

/// How a subscription of this kind would have fared.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "looked_at": 1000, "whole": true, "from": "2026-11-23T20:55:00Z", "to": "2026-11-23T21:00:00Z",
    "matching": 42, "matching_per_hour": 504.0, "unanswered": 0,
    "samples": [{
        "published_at": "2026-11-23T21:00:00Z",
        "event": {
            "id": "0199b0c2-9d03-7a41-8a7f-2b1f0c6f4d10", "type": "temperature.updated",
            "timestamp": "2026-11-23T21:00:00Z", "city": "Tokyo",
            "reading": 31.5, "unit": "C", "previous_reading": 29.0
        }
    }]
}))]
pub struct Preview {
    /// How many events were looked at.
    looked_at: i64,
    /// Whether these were all that were asked for and exist; else time or bytes were used up.
    whole: bool,
    /// When the first of them was published.
    from: Option<DateTime<Utc>>,
    /// When the last was.
    to: Option<DateTime<Utc>>,
    /// How many would have been delivered.
    matching: i64,
    /// How many that is an hour; `null` where the events span no time.
    matching_per_hour: Option<f64>,
    /// For how many the filter had no answer; they would not have been delivered.
    unanswered: i64,
    /// Some that would have been, newest first.
    samples: Vec<Sample>,
}

/// An event that matches.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sample {
    published_at: Option<DateTime<Utc>>,
    /// The event as it is.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
}

impl Sample {
    fn of(record: &Record) -> Option<Self> {
        Some(Self {
            published_at: record.published_at,
            event: serde_json::from_slice(&record.payload).ok()?,
        })
    }
}

impl Preview {
    async fn of(log: &Log, selection: Selection, events: i64) -> Result<Self, ApiError> {
        let excerpt = log.read(log.last(events).await?).await?;
        let times = || {
            excerpt
                .records
                .iter()
                .filter_map(|record| record.published_at)
        };
        let (from, to) = (times().min(), times().max());
        let mut tally = Tally::of(excerpt.records, selection).await;
        tally.records.sort_by_key(|record| record.published_at);
        let newest = tally.records.iter().rev();
        Ok(Self {
            looked_at: tally.scanned,
            whole: excerpt.whole,
            from,
            to,
            matching: tally.wanted,
            matching_per_hour: per_hour(tally.wanted, from, to),
            unanswered: tally.unanswered,
            samples: newest.filter_map(Sample::of).take(MAX_SAMPLES).collect(),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 10,000")]
fn per_hour(matching: i64, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<f64> {
    let seconds = (to? - from?).as_seconds_f64();
    (seconds >= MIN_SPAN_SECONDS).then(|| matching as f64 / seconds * SECONDS_PER_HOUR)
}

/// Try a subscription on the last events
///
/// Nothing is made or sent. At most 32 MiB of events are looked at, for at most 8 seconds.
#[utoipa::path(post, path = "/subscriptions/preview", tag = "subscriptions",
    security(("key" = ["read"])), responses(
    (status = 200, body = Preview, description = "What it would have got"),
    refusals::Preview,
))]
async fn preview(
    State(log): State<Log>,
    Json(asked): Json<PreviewRequest>,
) -> Result<axum::Json<Preview>, ApiError> {
    let selection = Selection {
        event_types: asked.event_types.map(Into::into),
        cities: asked.cities.map(Into::into),
        filter: asked.filter.map(Into::into),
    };
    Ok(axum::Json(
        Preview::of(&log, selection, asked.events.0).await?,
    ))
}
