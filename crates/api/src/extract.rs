//! What handlers take from a request: a JSON body, the query, the id in the path.
//!
//! Each is like axum's extractor of that name, but a refusal is an [`ApiError`] that names the
//! field or the parameter.

use std::error::Error;
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::de::value::Error as QueryError;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_path_to_error::{Path as FieldPath, Segment};
use tokio::time::timeout;
use uuid::Uuid;

use crate::door::BodyTimeout;
use crate::error::ApiError;

/// How much of what a client sent is repeated to it, in characters.
const MAX_ECHO_CHARS: usize = 300;

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !declares_json(request.headers()) {
            return Err(ApiError::UnsupportedMediaType);
        }
        // Where no door was passed, no body is waited for.
        let limit = request.extensions().get::<BodyTimeout>();
        let limit = limit.map_or(Duration::ZERO, |limit| limit.0);
        let body = timeout(limit, Bytes::from_request(request, state))
            .await
            .map_err(|_| ApiError::SlowBody)?
            .map_err(|rejection| match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::BodyTooLarge,
                _ => ApiError::InvalidJson("the body broke off".into()),
            })?;
        parse(&body).map(Self)
    }
}

/// An empty body is none, whatever it is declared to be.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, ApiError> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state)
            .await
            .map(Some)
    }
}

fn declares_json(headers: &HeaderMap) -> bool {
    let declared = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = declared
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(not_an_object(body));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() || is_json(body) {
            let detail = without_position(error.inner());
            let pointer = pointer(error.path(), &detail);
            ApiError::InvalidField { pointer, detail }
        } else {
            ApiError::InvalidJson(error.into_inner().to_string())
        }
    })?;
    json.end()
        .map_err(|error| ApiError::InvalidJson(error.to_string()))?;
    Ok(value)
}

/// A word of a closed set that is no text at all is an error of syntax to serde.
fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok()
}

/// Serde would take an array for the fields of an object, in their order.
fn not_an_object(body: &[u8]) -> ApiError {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => ApiError::InvalidField {
            pointer: String::new(),
            detail: "the body must be an object".into(),
        },
        Err(error) => ApiError::InvalidJson(error.to_string()),
    }
}

/// The message alone: the pointer says where. A text that stands in the wrong place is not repeated:
/// it may be a secret.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let end = message.rfind(" at line ").unwrap_or(message.len());
    let message = &message[..end];
    if message.starts_with("unknown variant `")
        && let Some(end) = message.rfind("`, expected ")
    {
        return format!("unknown variant{}", &message[end + 1..]);
    }
    // A number in the place of a text may be one as well.
    let is_number = ["integer `", "floating point `"].iter().any(|kind| {
        message
            .strip_prefix("invalid type: ")
            .is_some_and(|it| it.starts_with(kind))
    });
    if is_number && let Some(end) = message.rfind("`, expected ") {
        return echo(&format!("invalid type: a number{}", &message[end + 1..]));
    }
    match (message.find(" string \""), message.rfind("\", expected ")) {
        (Some(from), Some(to)) => {
            let (before, after) = (&message[..from], &message[to + 1..]);
            echo(&format!("{before} a text{after}"))
        }
        _ => echo(message),
    }
}

/// Where in the body (RFC 6901). A field that is missing, unknown or there twice is named by the
/// message only: the path ends at the object around it.
fn pointer(path: &FieldPath, message: &str) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_escaped(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_escaped(&mut pointer, key),
            Segment::Enum { variant } => push_escaped(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    if let Some(field) = field_in(message) {
        let mut last = String::new();
        push_escaped(&mut last, field);
        if !pointer.ends_with(&last) {
            pointer.push_str(&last);
        }
    }
    echo(&pointer)
}

fn push_escaped(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// The field in serde's "missing field `x`", "unknown field `x`, …", "duplicate field `x`".
fn field_in(message: &str) -> Option<&str> {
    let (kind, rest) = message.split_once(" field `")?;
    let is_ours = matches!(kind, "missing" | "unknown" | "duplicate");
    is_ours.then(|| rest.split('`').next())?
}

fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}

/// The query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|rejection| invalid_parameter(&rejection))
    }
}

fn invalid_parameter(rejection: &(dyn Error + 'static)) -> ApiError {
    let mut causes = std::iter::successors(Some(rejection), |&error| error.source());
    let located =
        causes.find_map(<dyn Error>::downcast_ref::<serde_path_to_error::Error<QueryError>>);
    let detail = located.map_or_else(|| rejection.to_string(), |error| error.inner().to_string());
    let path = located.map(|error| pointer(error.path(), &detail));
    ApiError::InvalidParameter {
        name: path.unwrap_or_default().trim_start_matches('/').to_owned(),
        detail: echo(&detail),
    }
}

/// The `{id}` of the path.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// What an id may be.
pub trait Id: DeserializeOwned + Send {
    /// Completes "the id is not …".
    const KIND: &str;
}

impl Id for Uuid {
    const KIND: &str = "a UUID";
}

impl Id for i64 {
    const KIND: &str = "a whole number of 64 bits";
}

impl<T: Id, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(id)| Self(id))
            .map_err(|_| ApiError::InvalidParameter {
                name: "id".into(),
                detail: format!("the id is not {}", T::KIND),
            })
    }
}
