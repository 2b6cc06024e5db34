//! The one error of all handlers. It becomes a problem document where the request's id is
//! known, in `observe`; here it is logged, once, if the fault is ours.
//!
//! Whatever the fault, a client reads a fixed text for it: the chain is for the log.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use common::oauth2::Invalid;
use outbound::Refused;
use sqlx::error::DatabaseError;

use crate::log;
use crate::problem::{Answered, Code};

/// How many seconds a client is asked to wait while Postgres or Kafka is away.
const RETRY_AFTER_SECONDS: u64 = 2;

/// What a request is told that has no token, a wrong one, or one for less (RFC 6750, section 3).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"temperature-webhooks\"");
const WRONG_TOKEN: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"temperature-webhooks\", error=\"invalid_token\"");
const TOO_LITTLE: HeaderValue =
    HeaderValue::from_static("Bearer realm=\"temperature-webhooks\", error=\"insufficient_scope\"");

/// Whole seconds, rounded up: who waits so long is not early.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Why a request is refused. The texts are what the client reads.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("this needs a key or token: send it as `Authorization: Bearer …`")]
    Unauthorized,
    #[error("the key or token is unknown, expired or revoked")]
    InvalidToken,
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("{0}")]
    InvalidJson(String),
    #[error("{detail}")]
    InvalidField { pointer: String, detail: String },
    #[error("{detail}")]
    InvalidParameter { name: String, detail: String },
    #[error("no {0} has this id")]
    NotFound(&'static str),
    #[error("nothing was sent again at this time")]
    NothingSentAgain,
    #[error("nothing is served at this path; /docs shows what is")]
    UnknownRoute,
    #[error("this path does not take this method")]
    MethodNotAllowed,
    #[error("the body did not arrive in time")]
    SlowBody,
    #[error("another subscription has this name")]
    NameTaken,
    #[error("somebody changed it meanwhile; nothing of this is kept: try again")]
    ChangedMeanwhile,
    #[error("the receiver was asked first: {0}")]
    NotVerified(Box<Answered>),
    #[error("the key is no session's: revoke it by its id")]
    NoSession,
    #[error("it is disabled: enable it first")]
    SubscriptionDisabled,
    #[error("its deliveries are given no tokens: set its `auth` to one of the kind oauth2 first")]
    NotOAuth2,
    #[error("the replay is completed")]
    ReplayCompleted,
    #[error("{0}")]
    NotRetryable(&'static str),
    #[error("as many listen as may; try again when one of them has ended")]
    TooManyListeners,
    #[error("the log begins at {}", .earliest.to_rfc3339_opts(SecondsFormat::AutoSi, true))]
    BeforeLog { earliest: DateTime<Utc> },
    #[error("the body is larger than this server takes")]
    BodyTooLarge,
    #[error("path and query are longer than this server takes")]
    UriTooLong,
    #[error("too many requests {which}; try again in {} s", seconds(*wait))]
    RateLimited { which: &'static str, wait: Duration },
    #[error("send the body with the header `Content-Type: application/json`")]
    UnsupportedMediaType,
    #[error("the request failed by a fault of ours")]
    Internal(#[source] anyhow::Error),
    #[error("the database does not answer; try again")]
    Unavailable(#[source] sqlx::Error),
    #[error("Kafka does not answer; try again")]
    KafkaUnavailable(#[source] log::Error),
    #[error("the OIDC provider does not answer; try again")]
    ProviderUnavailable(#[source] anyhow::Error),
    #[error("the request took too long; try again")]
    TimedOut,
}

impl ApiError {
    /// What clients branch on.
    pub fn code(&self) -> Code {
        match self {
            Self::Unauthorized => Code::Unauthorized,
            Self::InvalidToken => Code::InvalidToken,
            Self::Forbidden(_) => Code::Forbidden,
            Self::InvalidJson(_) => Code::InvalidJson,
            Self::InvalidField { .. } => Code::InvalidField,
            Self::InvalidParameter { .. } => Code::InvalidParameter,
            Self::NotFound(_) | Self::NothingSentAgain => Code::NotFound,
            Self::UnknownRoute => Code::UnknownRoute,
            Self::MethodNotAllowed => Code::MethodNotAllowed,
            Self::SlowBody => Code::SlowBody,
            Self::NameTaken => Code::NameTaken,
            Self::ChangedMeanwhile => Code::ChangedMeanwhile,
            Self::NotVerified(_) => Code::NotVerified,
            Self::NoSession => Code::NoSession,
            Self::SubscriptionDisabled => Code::SubscriptionDisabled,
            Self::NotOAuth2 => Code::NotOAuth2,
            Self::ReplayCompleted => Code::ReplayCompleted,
            Self::NotRetryable(_) => Code::NotRetryable,
            Self::TooManyListeners => Code::TooManyListeners,
            Self::BeforeLog { .. } => Code::BeforeLog,
            Self::BodyTooLarge => Code::BodyTooLarge,
            Self::UriTooLong => Code::UriTooLong,
            Self::RateLimited { .. } => Code::RateLimited,
            Self::UnsupportedMediaType => Code::UnsupportedMediaType,
            Self::Internal(_) => Code::Internal,
            Self::Unavailable(_) => Code::Unavailable,
            Self::KafkaUnavailable(_) => Code::KafkaUnavailable,
            Self::ProviderUnavailable(_) => Code::ProviderUnavailable,
            Self::TimedOut => Code::TimedOut,
        }
    }

    /// The field of the body that is wrong (RFC 6901).
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::InvalidField { pointer, .. } => Some(pointer),
            Self::NameTaken => Some("/name"),
            Self::NotVerified(_) => Some("/verify"),
            Self::BeforeLog { .. } => Some("/since"),
            _ => None,
        }
    }

    /// The earliest time that is possible, where the one that was asked for is not.
    pub fn earliest(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::BeforeLog { earliest } => Some(*earliest),
            _ => None,
        }
    }

    /// What the receiver answered that was asked first.
    pub fn answered(&self) -> Option<&Answered> {
        match self {
            Self::NotVerified(answered) => Some(answered),
            _ => None,
        }
    }

    /// The parameter of the URL that is wrong.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::InvalidParameter { name, .. } => Some(name),
            Self::NotFound(_) => Some("id"),
            Self::NothingSentAgain => Some("at"),
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.code().status();
        let mut response = status.into_response();
        let challenge = match self {
            Self::Unauthorized => Some(CHALLENGE),
            Self::InvalidToken => Some(WRONG_TOKEN),
            Self::Forbidden(_) => Some(TOO_LITTLE),
            _ => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        let retry_after = match self {
            Self::Unavailable(_)
            | Self::KafkaUnavailable(_)
            | Self::ProviderUnavailable(_)
            | Self::TooManyListeners
            | Self::TimedOut => Some(RETRY_AFTER_SECONDS),
            Self::RateLimited { wait, .. } => Some(seconds(wait)),
            _ => None,
        };
        if let Some(after) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, after.into());
        }
        if status.is_server_error() {
            let error = anyhow::Error::new(self);
            tracing::error!("{error:#}");
            let error = error.downcast::<Self>().expect("it was made of one above");
            response.extensions_mut().insert(Arc::new(error));
        } else {
            response.extensions_mut().insert(Arc::new(self));
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) {
            Self::Unavailable(error)
        } else {
            Self::Internal(error.into())
        }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::InvalidField {
            pointer: "/url".into(),
            detail: refused.to_string(),
        }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::InvalidField {
            pointer: format!("/auth/{}", invalid.field),
            detail: invalid.detail,
        }
    }
}

impl From<log::Error> for ApiError {
    fn from(error: log::Error) -> Self {
        Self::KafkaUnavailable(error)
    }
}

/// Whether the same request may succeed a little later.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_transient(&code)),
        _ => false,
    }
}

/// SQLSTATE classes: connection exception, transaction rollback (deadlock), insufficient
/// resources, operator intervention (shutdown, starting up), and a standby that was promoted.
fn is_transient(sqlstate: &str) -> bool {
    ["08", "40", "53", "57", "25006"]
        .iter()
        .any(|class| sqlstate.starts_with(class))
}

/// Turns the violation of a constraint into what it means to a client.
pub trait OnConstraint<T> {
    /// `refusal`, where the constraint `name` was violated.
    fn on_constraint(self, name: &str, refusal: ApiError) -> Result<T, ApiError>;
}

impl<T> OnConstraint<T> for sqlx::Result<T> {
    fn on_constraint(self, name: &str, refusal: ApiError) -> Result<T, ApiError> {
        self.map_err(|error| {
            let violated = error
                .as_database_error()
                .and_then(DatabaseError::constraint);
            if violated == Some(name) {
                refusal
            } else {
                error.into()
            }
        })
    }
}
