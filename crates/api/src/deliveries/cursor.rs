//! Where a list of deliveries goes on: the last row that was looked at, in one text. Pure.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;
use common::store::attempts::list::Edge;
use serde::Deserialize;
use uuid::Uuid;

/// How many bytes it has: time, subscription, offset, number.
const BYTES: usize = 8 + 16 + 8 + 4;

/// The place before which a list goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Cursor(pub Edge);

impl Cursor {
    /// As it is written.
    pub fn text(edge: &Edge) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&edge.attempted_at.timestamp_micros().to_be_bytes());
        bytes.extend_from_slice(edge.subscription_id.as_bytes());
        bytes.extend_from_slice(&edge.event_offset.to_be_bytes());
        bytes.extend_from_slice(&edge.number.to_be_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (time, rest) = bytes.split_first_chunk()?;
        let (subscription_id, rest) = rest.split_first_chunk()?;
        let (event_offset, rest) = rest.split_first_chunk()?;
        Some(Self(Edge {
            attempted_at: DateTime::from_timestamp_micros(i64::from_be_bytes(*time))
                .filter(|time| (0..=MAX_SECONDS).contains(&time.timestamp()))?,
            subscription_id: Uuid::from_bytes(*subscription_id),
            event_offset: i64::from_be_bytes(*event_offset),
            number: i32::from_be_bytes(rest.try_into().ok()?),
        }))
    }
}

/// The end of the year 9999: what comes after is no time of a row.
const MAX_SECONDS: i64 = 253_402_300_799;

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or("must be the cursor of a `next` link, as it is")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_no_other_text_is_one() {
        let edge = Edge {
            attempted_at: DateTime::from_timestamp_micros(1_795_467_600_123_456).unwrap(),
            subscription_id: Uuid::now_v7(),
            event_offset: 4711,
            number: 3,
        };
        let text = Cursor::text(&edge);
        assert_eq!(Cursor::read(&text), Some(Cursor(edge)));
        let far = DateTime::from_timestamp(MAX_SECONDS + 1, 0).unwrap();
        let far = Cursor::text(&Edge {
            attempted_at: far,
            ..edge
        });
        for broken in ["", "7", "now", &text[1..], &format!("{text}AA"), &far] {
            assert_eq!(Cursor::read(broken), None, "{broken}");
        }
    }
}
