//! The fields of requests, as types that hold only what is right.
//!
//! Every text is checked for what Postgres, an HTTP header or a log could not take (NUL and
//! other control characters), so that nothing a client sends becomes a fault of ours.

mod auth;
mod certificate;
mod headers;
mod oauth2;
mod policy;
mod signing;
mod verify;

use chrono::{DateTime, Utc};
use outbound::{Egress, Refused};
use serde::Deserialize;
use url::Url;
use utoipa::ToSchema;

pub use auth::{NewAuth, SigningSecret};
pub use certificate::{ClientCertificate, NewClientCertificate};
pub use headers::Headers;
pub use policy::{
    DisableAfter, FilterSource, GracePeriod, MAX_RATE, MaxAge, MaxInFlight, RateLimit,
    RetrySchedule, Timeout,
};
pub use signing::{NewKey, SigningAlgorithm};
pub use verify::{Means, Verify};

const MAX_NAME_CHARS: usize = 100;
const MAX_OWNER_CHARS: usize = 200;
const MAX_DESCRIPTION_CHARS: usize = 1000;
const MAX_URL_BYTES: usize = 2048;
const MAX_EVENT_TYPES: usize = 50;
const MAX_EVENT_TYPE_CHARS: usize = 100;
const MAX_CITIES: usize = 200;
const MAX_CITY_CHARS: usize = 200;

/// What something is called; a subscription's is unique among its owner's. 1 to 100 characters, no control characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 100, example = "my-web-hook")]
pub struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = one_line(text, MAX_NAME_CHARS)?;
        if text.trim().is_empty() {
            return Err("must not be blank".into());
        }
        Ok(Self(text))
    }
}

/// Whose something is: 1 to 200 characters, no control characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200, example = "acme")]
pub struct Owner(String);

impl TryFrom<String> for Owner {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_line(text, MAX_OWNER_CHARS).map(Self)
    }
}

/// What a list is searched for: up to 200 characters, no control characters.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Text(String);

impl Text {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_line(text, MAX_OWNER_CHARS).map(Self)
    }
}

/// A note for people; may have lines and tabs, no other control characters.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 1000, example = "Web hook - Test")]
pub struct Description(String);

impl TryFrom<String> for Description {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().count() > MAX_DESCRIPTION_CHARS {
            return Err(format!(
                "must have at most {MAX_DESCRIPTION_CHARS} characters"
            ));
        }
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return Err("must not have control characters other than lines and tabs".into());
        }
        Ok(Self(text))
    }
}

/// Where deliveries go: an absolute http or https URL of at most 2,048 bytes, without
/// credentials. Kept as it was written.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = Uri, max_length = 2048, example = "http://localhost:9099")]
pub struct Endpoint(String);

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.len() > MAX_URL_BYTES {
            return Err(format!("must have at most {MAX_URL_BYTES} bytes"));
        }
        // The URL standard drops or repairs these; what is kept should be what is sent to.
        if text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
        {
            return Err("must not have spaces, control characters or backslashes".into());
        }
        let url = Url::parse(&text).map_err(|error| format!("is not an absolute URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("must be http or https, not {}", url.scheme()));
        }
        if !text[url.scheme().len()..].starts_with("://") {
            return Err("must have two slashes and a host after the scheme".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry credentials: use auth_key".into());
        }
        Ok(Self(text))
    }
}

impl Endpoint {
    /// Whether deliveries may go there, as far as the URL tells. Where a name leads is seen when
    /// they do.
    ///
    /// # Errors
    /// The rule against it.
    pub fn check(&self, egress: &Egress) -> Result<(), Refused> {
        let url = Url::parse(&self.0).expect("it was parsed when it was read");
        egress.check_url(&url)
    }
}

/// A type of events, as `temperature.updated`, or a family of them, as `temperature.*`. Those of
/// `subscription.` and `delivery.` are operational events: who names none does not get them, and a
/// subscription that has an owner must not.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 100, example = "temperature.updated")]
pub struct EventType(String);

impl TryFrom<String> for EventType {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = one_line(text, MAX_EVENT_TYPE_CHARS)?;
        let stem = text.strip_suffix(".*").unwrap_or(&text);
        if stem.is_empty() || stem.contains('*') || stem.contains(char::is_whitespace) {
            return Err("must be an event type without spaces, or one that ends in `.*`".into());
        }
        Ok(Self(text))
    }
}

/// 1 to 50 event types.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "Vec<EventType>")]
#[schema(value_type = Vec<EventType>, min_items = 1, max_items = 50)]
pub struct EventTypes(Vec<String>);

impl TryFrom<Vec<EventType>> for EventTypes {
    type Error = String;

    fn try_from(list: Vec<EventType>) -> Result<Self, String> {
        let list = some_of(list, MAX_EVENT_TYPES)?;
        Ok(Self(list.into_iter().map(|EventType(text)| text).collect()))
    }
}

/// A city's name, as events have it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200, example = "Tokyo")]
pub struct City(String);

impl TryFrom<String> for City {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_line(text, MAX_CITY_CHARS).map(Self)
    }
}

/// 1 to 200 cities.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "Vec<City>")]
#[schema(value_type = Vec<City>, min_items = 1, max_items = 200)]
pub struct Cities(Vec<String>);

impl TryFrom<Vec<City>> for Cities {
    type Error = String;

    fn try_from(list: Vec<City>) -> Result<Self, String> {
        let list = some_of(list, MAX_CITIES)?;
        Ok(Self(list.into_iter().map(|City(text)| text).collect()))
    }
}

/// A point in time, as RFC 3339 has it: with seconds and an offset.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = DateTime, example = "2026-11-23T21:00:00Z")]
pub struct Time(DateTime<Utc>);

impl TryFrom<String> for Time {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        DateTime::parse_from_rfc3339(&text)
            .map(|time| Self(time.to_utc()))
            .map_err(|_| "must be a time as in 2026-11-23T21:00:00Z")
    }
}

fn one_line(text: String, max_chars: usize) -> Result<String, String> {
    if !(1..=max_chars).contains(&text.chars().count()) {
        return Err(format!("must have 1 to {max_chars} characters"));
    }
    if text.contains(char::is_control) {
        return Err("must not have control characters".into());
    }
    Ok(text)
}

fn some_of<T>(list: Vec<T>, max: usize) -> Result<Vec<T>, String> {
    if (1..=max).contains(&list.len()) {
        Ok(list)
    } else {
        Err(format!(
            "must have 1 to {max} entries; leave it out to get every one"
        ))
    }
}

/// What the store takes of a field.
macro_rules! plain {
    ($($field:ident: $plain:ty),*) => {$(
        impl From<$field> for $plain {
            fn from(field: $field) -> Self {
                field.0
            }
        }
    )*};
}
use plain;

plain!(
    Name: String,
    Owner: String,
    Text: String,
    Description: String,
    Endpoint: String,
    EventTypes: Vec<String>,
    Cities: Vec<String>,
    Time: DateTime<Utc>
);
