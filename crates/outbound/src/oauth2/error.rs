//! Why no token was had, in words that show nothing of what was sent or answered, and as classes.

use std::time::Duration;

use crate::verdict::Failure;

/// What a token endpoint says of a request that it refuses (RFC 6749, section 5.2): all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// It lacks something, or has it twice.
    InvalidRequest,
    /// The client is unknown, or did not prove who it is.
    InvalidClient,
    /// What is asked for is over.
    InvalidGrant,
    /// The client may not ask in this way.
    UnauthorizedClient,
    /// Nobody may ask in this way.
    UnsupportedGrantType,
    /// The scope is unknown, or more than the client may have.
    InvalidScope,
}

impl ErrorCode {
    /// The code of that name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "invalid_request" => Self::InvalidRequest,
            "invalid_client" => Self::InvalidClient,
            "invalid_grant" => Self::InvalidGrant,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "invalid_scope" => Self::InvalidScope,
            _ => return None,
        })
    }

    /// Its class, which is its name after a prefix.
    fn label(self) -> &'static str {
        match self {
            Self::InvalidRequest => "oauth2_invalid_request",
            Self::InvalidClient => "oauth2_invalid_client",
            Self::InvalidGrant => "oauth2_invalid_grant",
            Self::UnauthorizedClient => "oauth2_unauthorized_client",
            Self::UnsupportedGrantType => "oauth2_unsupported_grant_type",
            Self::InvalidScope => "oauth2_invalid_scope",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.label().trim_start_matches("oauth2_")
    }
}

/// Why no token was had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No connection, or it broke.
    #[error("the token endpoint cannot be reached: {}", .0.label())]
    Unreachable(Failure),
    /// No answer within [`super::FETCH_TIMEOUT`], or what there was of an attempt.
    #[error("the token endpoint did not answer in time")]
    TimedOut,
    /// It refuses, or fails, and gives no code for it.
    #[error("the token endpoint answered {status}")]
    Status {
        /// The response's.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// It refuses, and says why.
    #[error("the token endpoint answered {}", .0.name())]
    Refused(ErrorCode),
    /// More than 64 KiB.
    #[error("the token endpoint's response is too large")]
    TooLarge,
    /// No JSON object, or not with fields of the right kind.
    #[error("the token endpoint's response is not that of RFC 6749")]
    Broken,
    /// It has no `access_token`.
    #[error("the token endpoint's response has no access_token")]
    NoToken,
    /// Its `token_type` is another, or missing.
    #[error("the token endpoint's response is not of the token_type Bearer")]
    NotBearer,
    /// Too long, or with characters that stand in no header.
    #[error("the token does not fit in a header")]
    Unfit,
    /// It lives for no time at all.
    #[error("the token has expired already")]
    Expired,
    /// The private key of the subscription signs nothing.
    #[error("the private key signs nothing")]
    Key,
}

/// The class of a [`TokenError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFailure {
    /// The token endpoint cannot be reached, does not answer, or fails.
    Unavailable,
    /// The operator's rules forbid the token endpoint.
    Blocked,
    /// It refuses.
    Refused(ErrorCode),
    /// What it answers is of no use.
    BadResponse,
    /// The private key of the subscription is of no use.
    BadKey,
}

impl TokenFailure {
    /// As the record, the API and metrics name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unavailable => "oauth2_unavailable",
            Self::Blocked => "oauth2_blocked_address",
            Self::Refused(code) => code.label(),
            Self::BadResponse => "oauth2_bad_response",
            Self::BadKey => "oauth2_bad_key",
        }
    }
}

impl TokenError {
    /// Its class.
    pub fn failure(&self) -> TokenFailure {
        match self {
            Self::Unreachable(Failure::BlockedAddress) => TokenFailure::Blocked,
            Self::Unreachable(_) | Self::TimedOut | Self::Status { .. } => {
                TokenFailure::Unavailable
            }
            Self::Refused(code) => TokenFailure::Refused(*code),
            Self::TooLarge
            | Self::Broken
            | Self::NoToken
            | Self::NotBearer
            | Self::Unfit
            | Self::Expired => TokenFailure::BadResponse,
            Self::Key => TokenFailure::BadKey,
        }
    }

    /// When the token endpoint wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
