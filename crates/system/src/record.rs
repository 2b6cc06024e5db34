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

/// The headers of a record; each begins a trace of its own.
pub fn headers() -> OwnedHeaders {
    OwnedHeaders::new_with_capacity(2)
        .insert(Header {
            key: "content-type",
            value: Some("application/json"),
        })
        .insert(Header {
            key: TRACEPARENT,
            value: Some(&traceparent(rand::random(), rand::random())),
        })
}

/// W3C Trace Context, version 00, sampled. Neither id may be 0.
fn traceparent(trace_id: u128, parent_id: u64) -> String {
    format!("00-{:032x}-{:016x}-01", trace_id.max(1), parent_id.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_never_the_invalid_one() {
        assert_eq!(
            traceparent(0, 0),
            "00-00000000000000000000000000000001-0000000000000001-01"
        );
        assert_eq!(
            traceparent(u128::MAX, 0x00f0_67aa_0ba9_02b7),
            "00-ffffffffffffffffffffffffffffffff-00f067aa0ba902b7-01"
        );
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
