//! The body of every refusal: an RFC 9457 problem document.
//!
//! `code` is what clients branch on; the set is closed, and each code has one status and one
//! title. `pointer` (RFC 6901) names the field of the body, `parameter` the part of the URL.

use std::fmt;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;

/// The content type of a [`Problem`] (RFC 9457, section 3).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// It has no key.
    Unauthorized,
    /// Its key is unknown, expired or revoked.
    InvalidToken,
    /// Its key is not for this.
    Forbidden,
    /// The body is not JSON.
    InvalidJson,
    /// An id in the path or a parameter in the query is wrong.
    InvalidParameter,
    /// No row has the id.
    NotFound,
    /// Nothing is served at the path.
    UnknownRoute,
    /// The path does not take the method.
    MethodNotAllowed,
    /// The body did not arrive in time.
    SlowBody,
    /// Another subscription has the name.
    NameTaken,
    /// Somebody changed it while a receiver was asked.
    ChangedMeanwhile,
    /// The receiver was asked first, and did not agree.
    NotVerified,
    /// The key is no session's.
    NoSession,
    /// The subscription is disabled.
    SubscriptionDisabled,
    /// The subscription's deliveries are given no tokens.
    #[serde(rename = "not_oauth2")]
    NotOAuth2,
    /// The replay is completed.
    ReplayCompleted,
    /// The delivery is not one that is sent again.
    NotRetryable,
    /// As many listen as may.
    TooManyListeners,
    /// The body is too large.
    BodyTooLarge,
    /// Path and query are too long.
    UriTooLong,
    /// There were too many requests; `Retry-After` says when to go on.
    RateLimited,
    /// The body is not declared to be JSON.
    UnsupportedMediaType,
    /// A field of the body is missing, unknown or wrong.
    InvalidField,
    /// The time lies before the start of the log.
    BeforeLog,
    /// A fault of ours; the log has it under the `request_id`.
    Internal,
    /// Postgres is away.
    Unavailable,
    /// Kafka is away; what needs Postgres only works.
    KafkaUnavailable,
    /// The provider of the token is away, so that nobody can tell whose it is.
    ProviderUnavailable,
    /// The answer was not ready in time.
    TimedOut,
}

impl Code {
    /// The HTTP status of a refusal of this kind.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidJson | Self::InvalidParameter => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::NameTaken
            | Self::ChangedMeanwhile
            | Self::NoSession
            | Self::SubscriptionDisabled
            | Self::NotOAuth2
            | Self::ReplayCompleted
            | Self::NotRetryable => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::InvalidField | Self::BeforeLog | Self::NotVerified => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooManyListeners
            | Self::Unavailable
            | Self::KafkaUnavailable
            | Self::ProviderUnavailable
            | Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// A summary that is the same for all refusals of this kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::Unauthorized => "A key is needed",
            Self::InvalidToken => "The key is not in force",
            Self::Forbidden => "The key is not for this",
            Self::InvalidJson => "The body is not JSON",
            Self::InvalidParameter => "A parameter is wrong",
            Self::NotFound => "There is none of this id",
            Self::UnknownRoute => "Nothing is served here",
            Self::MethodNotAllowed => "The method is not served here",
            Self::SlowBody => "The body came too slowly",
            Self::NameTaken => "The name is taken",
            Self::ChangedMeanwhile => "It was changed meanwhile",
            Self::NotVerified => "The receiver does not agree",
            Self::NoSession => "The key is no session's",
            Self::SubscriptionDisabled => "The subscription is disabled",
            Self::NotOAuth2 => "The subscription's deliveries are given no tokens",
            Self::ReplayCompleted => "The replay is completed",
            Self::NotRetryable => "The delivery is not sent again",
            Self::TooManyListeners => "As many listen as may",
            Self::BodyTooLarge => "The body is too large",
            Self::UriTooLong => "Path and query are too long",
            Self::RateLimited => "There were too many requests",
            Self::UnsupportedMediaType => "The body is not declared to be JSON",
            Self::InvalidField => "A field is wrong",
            Self::BeforeLog => "The log does not go back so far",
            Self::Internal => "Something went wrong here",
            Self::Unavailable => "The database is away",
            Self::KafkaUnavailable => "Kafka is away",
            Self::ProviderUnavailable => "The provider of the token is away",
            Self::TimedOut => "The answer took too long",
        }
    }

    /// The problem type's URI: the name of the code, since no page describes it further.
    fn type_uri(self) -> &'static str {
        match self {
            Self::Unauthorized => "urn:temperature-webhooks:problem:unauthorized",
            Self::InvalidToken => "urn:temperature-webhooks:problem:invalid_token",
            Self::Forbidden => "urn:temperature-webhooks:problem:forbidden",
            Self::InvalidJson => "urn:temperature-webhooks:problem:invalid_json",
            Self::InvalidParameter => "urn:temperature-webhooks:problem:invalid_parameter",
            Self::NotFound => "urn:temperature-webhooks:problem:not_found",
            Self::UnknownRoute => "urn:temperature-webhooks:problem:unknown_route",
            Self::MethodNotAllowed => "urn:temperature-webhooks:problem:method_not_allowed",
            Self::SlowBody => "urn:temperature-webhooks:problem:slow_body",
            Self::NameTaken => "urn:temperature-webhooks:problem:name_taken",
            Self::ChangedMeanwhile => "urn:temperature-webhooks:problem:changed_meanwhile",
            Self::NotVerified => "urn:temperature-webhooks:problem:not_verified",
            Self::NoSession => "urn:temperature-webhooks:problem:no_session",
            Self::SubscriptionDisabled => "urn:temperature-webhooks:problem:subscription_disabled",
            Self::NotOAuth2 => "urn:temperature-webhooks:problem:not_oauth2",
            Self::ReplayCompleted => "urn:temperature-webhooks:problem:replay_completed",
            Self::NotRetryable => "urn:temperature-webhooks:problem:not_retryable",
            Self::TooManyListeners => "urn:temperature-webhooks:problem:too_many_listeners",
            Self::BodyTooLarge => "urn:temperature-webhooks:problem:body_too_large",
            Self::UriTooLong => "urn:temperature-webhooks:problem:uri_too_long",
            Self::RateLimited => "urn:temperature-webhooks:problem:rate_limited",
            Self::UnsupportedMediaType => "urn:temperature-webhooks:problem:unsupported_media_type",
            Self::InvalidField => "urn:temperature-webhooks:problem:invalid_field",
            Self::BeforeLog => "urn:temperature-webhooks:problem:before_log",
            Self::Internal => "urn:temperature-webhooks:problem:internal",
            Self::Unavailable => "urn:temperature-webhooks:problem:unavailable",
            Self::KafkaUnavailable => "urn:temperature-webhooks:problem:kafka_unavailable",
            Self::ProviderUnavailable => "urn:temperature-webhooks:problem:provider_unavailable",
            Self::TimedOut => "urn:temperature-webhooks:problem:timed_out",
        }
    }
}

/// What came of asking a receiver first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Answered {
    /// The response's, if there was one.
    pub status: Option<u16>,
    /// The class of the failure, as `connect_refused`.
    pub failure: Option<&'static str>,
    /// The beginning of the response.
    pub response: Option<String>,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status, self.failure) {
            (Some(status), _) => write!(f, "it answered {status}; {}", self.hint),
            (None, failure) => write!(f, "{}; {}", failure.unwrap_or("it failed"), self.hint),
        }
    }
}

/// A refusal (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A URI that identifies the kind of problem: `urn:temperature-webhooks:problem:` and `code`.
    #[serde(rename = "type")]
    type_uri: &'static str,
    /// A summary of the kind of problem.
    title: &'static str,
    /// The HTTP status.
    #[schema(value_type = u16)]
    status: u16,
    /// What is wrong with this request.
    detail: String,
    /// What clients branch on.
    code: Code,
    /// Which field of the body it is about (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    /// Which parameter of the URL it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// The earliest time that is possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest: Option<DateTime<Utc>>,
    /// What the receiver answered that was asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    receiver: Option<Answered>,
    /// The request's `x-request-id`, under which the log has more.
    request_id: String,
}

impl Problem {
    /// The document that tells a client of `error`.
    pub fn new(error: &ApiError, request_id: &str) -> Self {
        let code = error.code();
        Self {
            type_uri: code.type_uri(),
            title: code.title(),
            status: code.status().as_u16(),
            detail: error.to_string(),
            code,
            pointer: error.pointer().map(str::to_owned),
            parameter: error.parameter().map(str::to_owned),
            earliest: error.earliest(),
            receiver: error.answered().cloned(),
            request_id: request_id.to_owned(),
        }
    }
}
