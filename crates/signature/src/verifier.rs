//! Says whether a request is what its sender signed, lately.
//!
//! A wrong signature takes the same time wherever it differs, and what it costs has a bound: no more
//! than [`MAX_SIGNATURES`] are looked at.

use std::time::Duration;

use base64::Engine;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::key::{Algorithm, BASE64, VerifyingKey};
use crate::{WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

/// How many signatures a request may carry. A sender has as many as it has keys: mostly one.
pub const MAX_SIGNATURES: usize = 16;

/// Verifies requests that were signed with any of some keys.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<VerifyingKey>,
    tolerance: Duration,
}

/// Why a request is not taken. It names what is wrong, and shows nothing of a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthentic {
    /// Without this header nothing can be verified.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// The time of the attempt cannot be read.
    #[error("the header {WEBHOOK_TIMESTAMP} must be a number of seconds")]
    Timestamp,
    /// It was signed too long ago: it may be a copy that somebody kept.
    #[error("the time in {WEBHOOK_TIMESTAMP} is too long ago")]
    TooOld,
    /// It says that it was signed later than now.
    #[error("the time in {WEBHOOK_TIMESTAMP} is in the future")]
    TooNew,
    /// More signatures than anybody has keys.
    #[error("the header {WEBHOOK_SIGNATURE} has more than {MAX_SIGNATURES} signatures")]
    TooMany,
    /// No signature is by one of the keys, over this id, this time and this body.
    #[error("no signature in {WEBHOOK_SIGNATURE} is right for this id, timestamp and body")]
    Signature,
}

impl Verifier {
    /// One that takes a signature by any of the keys, made at most `tolerance` before or after now.
    pub fn new(keys: impl IntoIterator<Item = VerifyingKey>, tolerance: Duration) -> Self {
        Self {
            keys: keys.into_iter().collect(),
            tolerance,
        }
    }

    /// Verifies a request with this body, at this time.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<(), NotAuthentic> {
        let id = header(headers, WEBHOOK_ID)?;
        let timestamp = header(headers, WEBHOOK_TIMESTAMP)?;
        let signatures = header(headers, WEBHOOK_SIGNATURE)?;
        self.is_recent(timestamp, now)?;
        let content = [id, b".", timestamp, b".", body].concat();
        let signatures = given(signatures)?;
        let right = |key| signatures.iter().any(|given| given.is_by(key, &content));
        // Every key is tried, so that the time does not tell which of them it was.
        let right = self.keys.iter().filter(|key| right(key)).count();
        (right > 0).then_some(()).ok_or(NotAuthentic::Signature)
    }

    fn is_recent(&self, timestamp: &[u8], now: DateTime<Utc>) -> Result<(), NotAuthentic> {
        let text = str::from_utf8(timestamp).ok();
        let signed_at = text.and_then(|text| text.parse::<i64>().ok());
        let signed_at = signed_at.ok_or(NotAuthentic::Timestamp)?;
        let now = now.timestamp();
        match signed_at.abs_diff(now) <= self.tolerance.as_secs() {
            true => Ok(()),
            false if signed_at < now => Err(NotAuthentic::TooOld),
            false => Err(NotAuthentic::TooNew),
        }
    }
}

/// A signature that came with a request.
struct Given {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl Given {
    fn is_by(&self, key: &VerifyingKey, content: &[u8]) -> bool {
        match (self.algorithm, key) {
            (Algorithm::HmacSha256, VerifyingKey::HmacSha256(key)) => {
                hmac::verify(key, content, &self.bytes).is_ok()
            }
            (Algorithm::Ed25519, VerifyingKey::Ed25519(key)) => {
                let key = UnparsedPublicKey::new(&ED25519, key.as_bytes());
                key.verify(content, &self.bytes).is_ok()
            }
            _ => false,
        }
    }
}

/// Those of a version that is known: others may come with it (Standard Webhooks, "Signature
/// scheme").
fn given(header: &[u8]) -> Result<Vec<Given>, NotAuthentic> {
    let texts: Vec<&[u8]> = header.split(|&byte| byte == b' ').collect();
    if texts.len() > MAX_SIGNATURES {
        return Err(NotAuthentic::TooMany);
    }
    let read = |text: &&[u8]| {
        let text = str::from_utf8(text).ok()?;
        let (version, encoded) = text.split_once(',')?;
        let known = [Algorithm::HmacSha256, Algorithm::Ed25519];
        let algorithm = known.into_iter().find(|it| it.version() == version)?;
        let bytes = BASE64.decode(encoded).ok()?;
        Some(Given { algorithm, bytes })
    };
    Ok(texts.iter().filter_map(read).collect())
}

fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a [u8], NotAuthentic> {
    let value = headers.get(name).filter(|value| !value.is_empty());
    value
        .map(http::HeaderValue::as_bytes)
        .ok_or(NotAuthentic::Missing(name))
}

#[cfg(test)]
mod tests;
