//! A token: a signed JWT (RFC 7515, 7519), and whether it is in force. Pure.
//!
//! Nothing of a token is believed before its signature is: of its head, only which key it names and
//! by which algorithm. Keys that come in a head (`jwk`, `jku`, `x5c`, `x5u`) are never looked at, and
//! one that says that something in it must be understood (`crit`) is refused, since nothing is.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwk::{Algorithm, Key};

/// How far the clock of an issuer and ours may be apart, in seconds.
pub const LEEWAY_SECONDS: f64 = 30.0;

/// The longest that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The longest name of whom a token is about, in characters.
const MAX_SUBJECT_CHARS: usize = 255;

/// What a token says.
pub type Claims = Map<String, Value>;

/// Why a token is none. For the log: who sent it is told no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("it has not the form of a signed JWT")]
    Form,
    #[error("it is signed by an algorithm that is not accepted")]
    Algorithm,
    #[error("it names something that must be understood and is not")]
    Critical,
    #[error("it is a token for something else")]
    Type,
    #[error("the issuer has no such key")]
    Key,
    #[error("the signature is wrong")]
    Signature,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for somebody else")]
    Audience,
    #[error("it has expired, or does not say when it will")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("it does not say whom it is about")]
    Subject,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// A token whose signature is not verified yet.
#[derive(Debug)]
pub struct Unverified<'a> {
    pub algorithm: Algorithm,
    /// Which key it names.
    pub key: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

/// Whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct Expected {
    pub issuer: String,
    /// One of them must be named.
    pub audiences: Vec<String>,
}

impl<'a> Unverified<'a> {
    /// Reads its head.
    ///
    /// # Errors
    /// That it is none that could be verified.
    pub fn read(token: &'a str) -> Result<Self, Invalid> {
        if token.len() > MAX_BYTES {
            return Err(Invalid::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Form)?;
        let (head, payload) = signed.split_once('.').ok_or(Invalid::Form)?;
        let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| Invalid::Form)?;
        let algorithm = Algorithm::named(&head.alg).ok_or(Invalid::Algorithm)?;
        if head.crit.is_some() {
            return Err(Invalid::Critical);
        }
        // A logout token, say, is signed by the same key (RFC 8725, section 3.11).
        let kinds = ["JWT", "at+jwt", "application/at+jwt"];
        let is_ours = |typ: &String| kinds.iter().any(|kind| kind.eq_ignore_ascii_case(typ));
        if !head.typ.as_ref().is_none_or(is_ours) {
            return Err(Invalid::Type);
        }
        Ok(Self {
            algorithm,
            key: head.kid,
            signed,
            payload,
            signature: decode(signature)?,
        })
    }

    /// What it says, if that key signed it.
    ///
    /// # Errors
    /// That it did not, or that what it says is no object.
    pub fn verify(&self, key: &Key) -> Result<Claims, Invalid> {
        if key.algorithm != self.algorithm {
            return Err(Invalid::Key);
        }
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(Invalid::Signature);
        }
        serde_json::from_slice(&decode(self.payload)?).map_err(|_| Invalid::Form)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Invalid> {
    BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Invalid::Form)
}

impl Expected {
    /// Whether what a token says makes it one for us, `now` (in seconds since the Unix epoch).
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, claims: &Claims, now: f64) -> Result<(), Invalid> {
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Invalid::Issuer);
        }
        if !claims
            .get("aud")
            .is_some_and(|audience| self.is_for_us(audience))
        {
            return Err(Invalid::Audience);
        }
        let expires = claims.get("exp").and_then(Value::as_f64);
        if expires.is_none_or(|expires| now >= expires + LEEWAY_SECONDS) {
            return Err(Invalid::Expired);
        }
        let begins = claims.get("nbf").map(Value::as_f64);
        let is_early =
            |begins: Option<f64>| begins.is_none_or(|begins| now + LEEWAY_SECONDS < begins);
        if begins.is_some_and(is_early) {
            return Err(Invalid::Early);
        }
        subject(claims).map(drop)
    }

    fn is_for_us(&self, audience: &Value) -> bool {
        let ours = |name: &Value| {
            name.as_str()
                .is_some_and(|name| self.audiences.iter().any(|our| our == name))
        };
        audience
            .as_array()
            .map_or_else(|| ours(audience), |all| all.iter().any(ours))
    }
}

/// Whom it is about, as the audit names it.
///
/// # Errors
/// That it does not say, or in a way that does not fit in a line.
pub fn subject(claims: &Claims) -> Result<&str, Invalid> {
    let subject = claims.get("sub").and_then(Value::as_str);
    subject
        .filter(|subject| (1..=MAX_SUBJECT_CHARS).contains(&subject.chars().count()))
        .filter(|subject| !subject.chars().any(char::is_control))
        .ok_or(Invalid::Subject)
}
