//! A record of the topic, read as an event.
//!
//! Any JSON object with `city`, `reading`, `unit` and `timestamp` is one; other producers than
//! `system` may write to the topic. Its bytes are relayed as they are. Pure.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use common::event::{AnyEvent, parse_object};
use outbound::Outgoing;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::budget::Hold;
use crate::delivery::Ticket;

/// The longest id that is taken over from a producer, in bytes.
const MAX_ID_BYTES: usize = 256;

/// A record as the consumer hands it on.
#[derive(Debug)]
pub struct Record {
    pub partition: i32,
    /// The epoch under which the partition was owned when it was polled.
    pub epoch: i64,
    pub offset: i64,
    /// The record's time, in milliseconds since the Unix epoch; 0 if it has none.
    pub timestamp_ms: i64,
    /// `None` for a record without a value.
    pub value: Option<Bytes>,
    pub content_type: Option<String>,
    pub traceparent: Option<String>,
    pub hold: Hold,
}

impl Record {
    /// Its time, if it has one.
    pub fn published_at(&self) -> Option<DateTime<Utc>> {
        (self.timestamp_ms > 0).then(|| DateTime::from_timestamp_millis(self.timestamp_ms))?
    }

    /// A hold on its offset.
    pub fn ticket(&self) -> Ticket {
        Ticket {
            partition: self.partition,
            epoch: self.epoch,
            offset: self.offset,
        }
    }
}

/// What a topic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Temperatures.
    Readings,
    /// What happened to subscriptions: for those only that name its type.
    Operations,
}

impl Kind {
    /// As metrics name its pipeline.
    pub fn label(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Operations => "operations",
        }
    }
}

/// What a delivery needs of an event to be sent.
#[derive(Debug)]
pub struct Event {
    /// The `webhook-id`.
    pub id: String,
    pub payload: Bytes,
    pub content_type: Option<String>,
    pub traceparent: Option<String>,
    /// What ordering and coalescing go by: the city. `None`: it waits for no other.
    pub key: Option<String>,
    /// The record's time.
    pub published_at: Option<DateTime<Utc>>,
    /// The bytes it holds, given back with the last delivery.
    pub hold: Hold,
}

impl Event {
    /// The id of the trace it is in, if it is in one.
    pub fn trace_id(&self) -> Option<&str> {
        common::event::trace_id(self.traceparent.as_deref()?)
    }

    /// As it goes to an endpoint for the `number`th time.
    pub fn outgoing(&self, number: u32, replay: Option<Uuid>) -> Outgoing<'_> {
        Outgoing {
            id: &self.id,
            payload: &self.payload,
            content_type: self.content_type.as_deref(),
            traceparent: self.traceparent.as_deref(),
            replay,
            number,
        }
    }
}

/// What matching looks at.
#[derive(Debug, PartialEq, Eq)]
pub struct Subject {
    pub event_type: String,
    pub about: About,
}

/// Of what an event tells; also what deliveries are ordered and coalesced by.
#[derive(Debug, PartialEq, Eq)]
pub enum About {
    City(String),
    Subscription(Uuid),
}

impl Subject {
    /// As the table `pending_deliveries` keeps it.
    pub fn key(&self) -> String {
        match &self.about {
            About::City(city) => city.clone(),
            About::Subscription(id) => id.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct OperationsWire<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    subscription_id: Uuid,
}

/// Reads the record's value: its id and what it is about, or why it is no event.
///
/// An id that is missing, or that could not stand in a header, is derived from the record's place.
///
/// # Errors
/// Why the value is no event.
pub fn read(record: &Record, topic: &str, kind: Kind) -> Result<(String, Subject), String> {
    let value = record.value.as_deref().ok_or("the record has no value")?;
    let (id, event_type, about) = match kind {
        Kind::Readings => {
            let event = AnyEvent::parse(value)?;
            let event_type = event.event_type().to_owned();
            (event.id, event_type, About::City(event.city.into_owned()))
        }
        Kind::Operations => {
            let wire: OperationsWire<'_> = parse_object(value)?;
            let about = About::Subscription(wire.subscription_id);
            (wire.id, wire.event_type.into_owned(), about)
        }
    };
    let id = id
        .and_then(header_id)
        .unwrap_or_else(|| derived_id(record, topic));
    Ok((id, Subject { event_type, about }))
}

/// See [`common::event::derived_id`].
pub fn derived_id(record: &Record, topic: &str) -> String {
    let place = (record.partition, record.offset);
    common::event::derived_id(topic, place, record.timestamp_ms)
}

/// Visible ASCII without a full stop, which separates the parts of a signed message
/// (Standard Webhooks, "Signature scheme").
fn header_id(raw: &RawValue) -> Option<String> {
    let id: String = serde_json::from_str(raw.get()).ok()?;
    let fits = !id.is_empty() && id.len() <= MAX_ID_BYTES;
    (fits
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'.'))
    .then_some(id)
}

#[cfg(test)]
mod tests {
    use common::event::{MAX_EVENT_BYTES, TEMPERATURE_UPDATED};

    use super::*;
    use crate::budget::Budget;

    const GOOD: &str =
        r#""timestamp":"2026-11-23T21:00:00Z","city":"Tokyo","reading":23,"unit":"C""#;

    fn record(value: Option<&str>) -> Record {
        Record {
            partition: 3,
            epoch: 1,
            offset: 7,
            timestamp_ms: 1,
            value: value.map(|text| Bytes::copy_from_slice(text.as_bytes())),
            content_type: None,
            traceparent: None,
            hold: Budget::new(1).hold(0),
        }
    }

    fn read_text(value: &str) -> Result<(String, Subject), String> {
        read(&record(Some(value)), "updates", Kind::Readings)
    }

    #[test]
    fn an_event_keeps_its_id_type_and_city() {
        let (id, subject) = read_text(&format!(r#"{{"id":"abc-1","type":"a.b",{GOOD}}}"#)).unwrap();
        assert_eq!(id, "abc-1");
        assert_eq!(
            subject,
            Subject {
                event_type: "a.b".into(),
                about: About::City("Tokyo".into())
            }
        );
    }

    #[test]
    fn a_missing_or_unusable_id_is_derived_and_stable() {
        let derived = read_text(&format!("{{{GOOD}}}")).unwrap().0;
        for id in [
            "\"\"",
            "\"a b\"",
            "\"a.b\"",
            "\"é\"",
            "\"a\\nb\"",
            "5",
            "null",
            "{}",
        ] {
            let read = read_text(&format!(r#"{{"id":{id},{GOOD}}}"#)).unwrap();
            assert_eq!(read.0, derived, "{id}");
            assert_eq!(read.1.event_type, TEMPERATURE_UPDATED);
        }
        let mut anew = record(Some("{}"));
        anew.timestamp_ms = 2;
        assert_ne!(derived_id(&anew, "updates"), derived);
    }

    #[test]
    fn what_is_no_event_is_told_why() {
        assert_eq!(
            read(&record(None), "t", Kind::Readings).unwrap_err(),
            "the record has no value"
        );
        let large = format!(r#"{{{GOOD},"x":"{}"}}"#, "x".repeat(MAX_EVENT_BYTES));
        for (value, why) in [
            ("", "not a JSON object"),
            ("{", "EOF"),
            (
                r#"[null,null,"Tokyo",23,"C","2026-11-23T21:00:00Z"]"#,
                "not a JSON object",
            ),
            ("{\"city\":\"Tokyo\"}", "missing field"),
            (
                &*format!("{{{}}}", GOOD.replace("23,", "\"warm\",")),
                "invalid type: string",
            ),
            (
                &*format!("{{{}}}", GOOD.replace("2026", "then")),
                "input contains invalid",
            ),
            (&*large, "more than the 65536 allowed"),
        ] {
            let error = read_text(value).unwrap_err();
            assert!(error.contains(why), "{value:.60}: {error}");
        }
    }

    #[test]
    fn an_operational_event_tells_of_a_subscription() {
        let id = Uuid::max();
        let value =
            format!(r#"{{"id":"a","type":"subscription.disabled","subscription_id":"{id}"}}"#);
        let record = record(Some(&value));
        let (event_id, subject) = read(&record, "operations", Kind::Operations).unwrap();
        assert_eq!(
            (&*event_id, &*subject.event_type),
            ("a", "subscription.disabled")
        );
        assert_eq!(subject.about, About::Subscription(id));
        assert!(read(&record, "updates", Kind::Readings).is_err());
    }
}
