//! What goes to a target: an event's bytes, and the headers that are this attempt's.

use bytes::Bytes;
use common::event::{
    TRACEPARENT, WEBHOOK_ATTEMPT, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
};
use uuid::Uuid;

use crate::shown;
use crate::target::Target;

/// Names the replay by which an event is sent, if it is not sent for the first time.
pub const WEBHOOK_REPLAY: &str = "webhook-replay";

/// What events are where nothing says otherwise.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How many headers an attempt adds to its target's, at most.
const ADDED: usize = 8;

/// An event on its way to one target, for the `number`th time.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    /// The event's id, the same on every attempt.
    pub id: &'a str,
    /// The event, sent as it is.
    pub payload: &'a Bytes,
    /// `None`: `application/json`.
    pub content_type: Option<&'a str>,
    /// The trace it belongs to (W3C Trace Context).
    pub traceparent: Option<&'a str>,
    /// The replay it is sent by.
    pub replay: Option<Uuid>,
    /// Which attempt this is, from 1.
    pub number: u32,
}

/// Why an event goes into no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidOutgoing {
    /// A value has characters that stand in no header.
    #[error("a value does not fit in a header")]
    Header(#[from] InvalidHeaderValue),
    /// It is to be signed, and no key is in force.
    #[error("no key is left to sign with")]
    Unsigned,
}

impl Outgoing<'_> {
    /// The target's headers and this attempt's, made at that Unix time and with that token, in one map
    /// that is allocated once.
    ///
    /// # Errors
    /// That a value does not fit in a header, or that the target's keys have all ended. Nothing is
    /// left out for that, and no value can end its header and begin another.
    pub(crate) fn headers(
        &self,
        target: &Target,
        token: Option<&HeaderValue>,
        timestamp: i64,
    ) -> Result<HeaderMap, InvalidOutgoing> {
        let mut headers = target.headers.to_map(&target.uri, ADDED);
        let mut put = |name, value| headers.insert(HeaderName::from_static(name), value);
        put(WEBHOOK_ID, HeaderValue::from_str(self.id)?);
        put(WEBHOOK_TIMESTAMP, timestamp.into());
        if let Some(signer) = &target.signer {
            let signature = signer.sign(self.id, timestamp, self.payload);
            put(
                WEBHOOK_SIGNATURE,
                signature.ok_or(InvalidOutgoing::Unsigned)?,
            );
        }
        put(WEBHOOK_ATTEMPT, self.number.into());
        if let Some(traceparent) = self.traceparent {
            put(TRACEPARENT, HeaderValue::from_str(traceparent)?);
        }
        if let Some(replay) = self.replay {
            put(WEBHOOK_REPLAY, HeaderValue::from_str(&replay.to_string())?);
        }
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        let content_type = self.content_type.map(HeaderValue::from_str);
        headers.insert(CONTENT_TYPE, content_type.unwrap_or(Ok(JSON))?);
        Ok(headers)
    }

    /// The headers as a record shows them; none, where there is no request.
    pub(crate) fn headers_shown(&self, target: &Target, timestamp: i64) -> String {
        let headers = self.headers(target, None, timestamp).unwrap_or_default();
        shown::json(&headers)
    }
}
