//! The events of a stream, as they are written.

use axum::response::sse::Event;
use chrono::{DateTime, Utc};
use common::store::attempts::Outcome;
use common::store::attempts::live::Row;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::position::Position;
use crate::deliveries::{DeliveryId, live_key};
use crate::phases::thousandths;

/// An attempt and what became of its delivery, or what became of it without one.
#[derive(Serialize)]
struct Told {
    delivery_id: String,
    subscription_id: Uuid,
    event_id: String,
    city: Option<String>,
    replay_id: Option<Uuid>,
    at: DateTime<Utc>,
    attempts_made: i32,
    posted: bool,
    outcome: Outcome,
    status: Option<i32>,
    failure: Option<String>,
    latency_ms: Option<f64>,
}

/// The event of a row.
pub fn outcome(row: Row) -> Event {
    let id = Position::from(&row).to_string();
    let told = Told {
        delivery_id: DeliveryId::text(&live_key(&row)),
        subscription_id: row.subscription_id,
        event_id: row.event_id,
        city: row.event_key,
        replay_id: row.replay_id,
        at: row.attempted_at,
        attempts_made: row.number,
        posted: row.total_us.is_some(),
        outcome: row.outcome,
        status: row.status,
        failure: row.failure,
        latency_ms: row.total_us.map(thousandths),
    };
    written("outcome", &told).id(id)
}

/// That so many are not told of; `None`: nobody knows how many.
pub fn left_out(count: Option<i64>) -> Event {
    written("left_out", &json!({"count": count}))
}

/// That the stream goes on, and where it is by now: that is worth an id, so that who comes back
/// begins there.
pub fn beat(told: Position) -> Event {
    Event::default().comment("beat").id(told.to_string())
}

fn written(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_string(data).expect("it has text keys only");
    // JSON has no line breaks outside of its texts, where they are escaped.
    Event::default().event(name).data(data)
}
