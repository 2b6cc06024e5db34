//! What one attempt means (Standard Webhooks, "Deliverability and reliability"): delivered, to be
//! tried again, or rejected for good; and the class of a failure, from a closed set. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::oauth2::TokenFailure;

/// What one attempt means for its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A complete 2xx status was read.
    Delivered,
    /// Unknown or failed: try again, not before `after` if the receiver asked for that.
    Retry {
        /// What the receiver asked for.
        after: Option<Duration>,
    },
    /// 410 Gone: the receiver wants no more of this.
    Reject,
    /// No token was to be had for it, which is no fault of the receiver: it was not attempted, and
    /// is to be after that time.
    Postponed {
        /// When a token may be had again.
        after: Duration,
    },
}

impl Verdict {
    /// As metrics name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry { .. } => "retry",
            Self::Reject => "reject",
            Self::Postponed { .. } => "postponed",
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name has no address.
    Dns,
    /// Nobody listens there.
    ConnectRefused,
    /// No connection was opened in time.
    ConnectTimeout,
    /// No address could be connected to, for another reason.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The receiver refuses our certificate, or wants one and got none; or ours has expired, and
    /// nothing was sent.
    ClientCertificate,
    /// The request was sent, and no head of a response came in time.
    Timeout,
    /// The connection ended before the head of a response.
    Reset,
    /// We gave it up before the receiver answered: too many did not.
    Aborted,
    /// What came is no HTTP response.
    Protocol,
    /// 3xx, which is not followed.
    Redirect,
    /// 410.
    Gone,
    /// Any other 4xx.
    Http4xx,
    /// 429.
    Http429,
    /// 5xx.
    Http5xx,
    /// The operator's rules forbid the address, the port, or plain HTTP: nothing was sent.
    BlockedAddress,
    /// The proxy that all connections go through cannot be used.
    Proxy,
    /// The event fits in no request, or no key is left to sign it with: nothing was sent.
    InvalidRequest,
    /// No token was to be had.
    Token(TokenFailure),
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Dns,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::Connect,
        Self::Tls,
        Self::ClientCertificate,
        Self::Timeout,
        Self::Reset,
        Self::Aborted,
        Self::Protocol,
        Self::Redirect,
        Self::Gone,
        Self::Http4xx,
        Self::Http429,
        Self::Http5xx,
        Self::BlockedAddress,
        Self::Proxy,
        Self::InvalidRequest,
    ];

    /// The one of that label.
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.label() == label)
    }

    /// As the record, the API and metrics name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::ClientCertificate => "client_certificate",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Aborted => "aborted",
            Self::Protocol => "protocol",
            Self::Redirect => "redirect",
            Self::Gone => "gone",
            Self::Http4xx => "http_4xx",
            Self::Http429 => "http_429",
            Self::Http5xx => "http_5xx",
            Self::BlockedAddress => "blocked_address",
            Self::Proxy => "proxy",
            Self::InvalidRequest => "invalid_request",
            Self::Token(failure) => failure.label(),
        }
    }
}

/// The verdict on a status, and its failure class unless it is a 2xx.
pub fn of_status(status: u16, retry_after: Option<Duration>) -> (Verdict, Option<Failure>) {
    let retry = |failure| (Verdict::Retry { after: None }, Some(failure));
    let slow_down = |failure| (Verdict::Retry { after: retry_after }, Some(failure));
    match status {
        200..=299 => (Verdict::Delivered, None),
        300..=399 => retry(Failure::Redirect),
        410 => (Verdict::Reject, Some(Failure::Gone)),
        429 => slow_down(Failure::Http429),
        400..=499 => retry(Failure::Http4xx),
        502..=504 => slow_down(Failure::Http5xx),
        500..=599 => retry(Failure::Http5xx),
        _ => retry(Failure::Protocol),
    }
}

/// Reads a `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date after `now`.
pub fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(header.trim()).ok()?;
    (date.to_utc() - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_verdict() {
        let after = Some(Duration::from_secs(9));
        let retry = Verdict::Retry { after: None };
        let slow_down = Verdict::Retry { after };
        for (status, verdict, failure) in [
            (200, Verdict::Delivered, None),
            (204, Verdict::Delivered, None),
            (301, retry, Some(Failure::Redirect)),
            (304, retry, Some(Failure::Redirect)),
            (400, retry, Some(Failure::Http4xx)),
            (401, retry, Some(Failure::Http4xx)),
            (404, retry, Some(Failure::Http4xx)),
            (410, Verdict::Reject, Some(Failure::Gone)),
            (429, slow_down, Some(Failure::Http429)),
            (500, retry, Some(Failure::Http5xx)),
            (502, slow_down, Some(Failure::Http5xx)),
            (503, slow_down, Some(Failure::Http5xx)),
            (504, slow_down, Some(Failure::Http5xx)),
            (599, retry, Some(Failure::Http5xx)),
            (999, retry, Some(Failure::Protocol)),
        ] {
            assert_eq!(of_status(status, after), (verdict, failure), "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_to_come() {
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        let read = |header| retry_after(header, now);
        assert_eq!(read(" 120 "), Some(Duration::from_mins(2)));
        assert_eq!(
            read("Tue, 24 Nov 2026 00:01:00 GMT"),
            Some(Duration::from_mins(1))
        );
        assert_eq!(read("Mon, 23 Nov 2026 00:01:00 GMT"), None);
        assert_eq!(read("-5"), None);
        assert_eq!(read("soon"), None);
    }
}
