//! How a delivery is named: all that tells it from others, in one text that fits in a path.
//!
//! The id is made of the row, so that no row has to carry it and no index has to find it; it is the
//! same for every attempt, in every part of the API, and after a restore. What it holds is no
//! secret, and no permission: whose the subscription is decides.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use common::store::attempts::{Key, list, live};
use serde::Deserialize;
use uuid::Uuid;

use crate::extract::Id;

/// The longest that is read: a topic has 249 characters at most, an event's id 256.
const MAX_CHARS: usize = 800;

/// The id of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DeliveryId(pub Key);

impl Id for DeliveryId {
    const KIND: &str = "a delivery's";
}

impl DeliveryId {
    /// As it is written.
    pub fn text(key: &Key) -> String {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(key.subscription_id.as_bytes());
        bytes.push(u8::from(key.replay_id.is_some()));
        if let Some(replay_id) = key.replay_id {
            bytes.extend_from_slice(replay_id.as_bytes());
        }
        bytes.extend_from_slice(&key.partition.to_be_bytes());
        bytes.extend_from_slice(&key.event_offset.to_be_bytes());
        bytes.push(u8::try_from(key.topic.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(key.topic.as_bytes());
        bytes.extend_from_slice(key.event_id.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > MAX_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut rest = bytes.as_slice();
        let subscription_id = Uuid::from_bytes(take(&mut rest)?);
        let replay_id = match take::<1>(&mut rest)? {
            [0] => None,
            [1] => Some(Uuid::from_bytes(take(&mut rest)?)),
            _ => return None,
        };
        let partition = i32::from_be_bytes(take(&mut rest)?);
        let event_offset = i64::from_be_bytes(take(&mut rest)?);
        let [length] = take::<1>(&mut rest)?;
        let (topic, event_id) = rest.split_at_checked(usize::from(length))?;
        let text = |bytes: &[u8]| {
            let text = str::from_utf8(bytes).ok()?;
            (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
        };
        Some(Self(Key {
            subscription_id,
            replay_id,
            topic: text(topic)?,
            partition,
            event_offset,
            event_id: text(event_id)?,
        }))
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

impl TryFrom<String> for DeliveryId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or("it is no delivery's")
    }
}

/// Of which delivery a row is.
pub fn key(row: &list::Row) -> Key {
    Key {
        subscription_id: row.subscription_id,
        replay_id: row.replay_id,
        topic: row.topic.clone(),
        partition: row.partition,
        event_offset: row.event_offset,
        event_id: row.event_id.clone(),
    }
}

/// The same of a row that was just recorded.
pub fn live_key(row: &live::Row) -> Key {
    Key {
        subscription_id: row.subscription_id,
        replay_id: row.replay_id,
        topic: row.topic.clone(),
        partition: row.partition,
        event_offset: row.event_offset,
        event_id: row.event_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(replay_id: Option<Uuid>) -> Key {
        Key {
            subscription_id: Uuid::now_v7(),
            replay_id,
            topic: "updates".into(),
            partition: 3,
            event_offset: 4711,
            event_id: "a/b?c#d%".into(),
        }
    }

    #[test]
    fn an_id_is_read_as_what_it_was_made_of_and_fits_in_a_path() {
        for key in [key(None), key(Some(Uuid::now_v7()))] {
            let text = DeliveryId::text(&key);
            assert!(
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
                "{text}"
            );
            assert_eq!(DeliveryId::read(&text), Some(DeliveryId(key)));
        }
    }

    #[test]
    fn what_was_cut_or_made_up_is_none() {
        let text = DeliveryId::text(&key(None));
        for end in 0..49 {
            assert_eq!(DeliveryId::read(&text[..end]), None, "{end}");
        }
        let long = "A".repeat(MAX_CHARS + 1);
        for text in ["", "=", "é", "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", &long] {
            assert_eq!(DeliveryId::read(text), None, "{text}");
        }
        let nul = Key {
            event_id: "a\0".into(),
            ..key(None)
        };
        assert_eq!(DeliveryId::read(&DeliveryId::text(&nul)), None);
    }
}
