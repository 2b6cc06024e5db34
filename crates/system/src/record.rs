//! The Kafka record of an event: its value and its headers. The key is the city.

use common::event::{TEMPERATURE_UPDATED, TRACEPARENT, TemperatureUpdated};
use rdkafka::message::{Header, OwnedHeaders};
use uuid::Uuid;

use crate::reading::Reading;

/// The event of a reading, as JSON, under a new id.
pub fn value(reading: &Reading) -> Vec<u8> {
    let event = TemperatureUpdated {
        id: Uuid::now_v7(),
        event_type: TEMPERATURE_UPDATED.into(),
        timestamp: reading.timestamp,
        city: (*reading.city).into(),
        reading: reading.value,
        unit: (*reading.unit).into(),
        previous_reading: reading.previous,
    };
    serde_json::to_vec(&event).expect("an event has nothing that JSON lacks")
}

/// The headers of a record: what it is, and the trace that its publishing is in, if that is told.
pub fn headers(traceparent: Option<&str>) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(2).insert(Header {
        key: "content-type",
        value: Some("application/json"),
    });
    match traceparent {
        Some(_) => headers.insert(Header {
            key: TRACEPARENT,
            value: traceparent,
        }),
        None => headers,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;

    #[test]
    fn a_record_is_in_a_trace_only_where_there_is_one() {
        let names = |headers: OwnedHeaders| -> Vec<_> {
            let names = headers.iter().map(|header| header.key.to_owned());
            names.collect()
        };
        assert_eq!(names(headers(None)), ["content-type"]);
        let traced = names(headers(Some("00-1-2-01")));
        assert_eq!(traced, ["content-type", TRACEPARENT]);
    }

    #[test]
    fn the_value_is_the_documented_json() {
        let reading = Reading {
            timestamp: "2026-11-23T21:00:00Z".parse().unwrap(),
            city: "Tokyo".into(),
            value: 23.0,
            unit: "C".into(),
            previous: Some(21.5),
        };
        let text = String::from_utf8(value(&reading)).unwrap();
        let (id, rest) = text.split_once(r#"","type""#).unwrap();
        assert_eq!(
            rest,
            r#":"temperature.updated","timestamp":"2026-11-23T21:00:00Z","city":"Tokyo","reading":23.0,"unit":"C","previous_reading":21.5}"#
        );
        let id: Uuid = id.trim_start_matches(r#"{"id":""#).parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
}
