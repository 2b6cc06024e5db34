//! What to do about an attempt, in a line. Pure.

use outbound::oauth2::{ErrorCode, TokenFailure};
use outbound::{Attempt, Control, Failure};

/// The line for that attempt.
pub fn of(attempt: &Attempt) -> &'static str {
    if attempt.control == Some(Control::Disable) {
        return "it asks for no more by `webhook-delivery: disable`, which would disable the subscription";
    }
    of_failure(attempt.failure, attempt.status)
}

/// The line for an attempt that failed so, if it did, with that status, if there was one.
pub fn of_failure(failure: Option<Failure>, status: Option<u16>) -> &'static str {
    match (failure, status) {
        (None, _) => "nothing: it was delivered",
        (Some(Failure::Http4xx), Some(status)) => refused(status),
        (Some(failure), _) => failed(failure),
    }
}

fn refused(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "it does not know us: compare `auth_key` or `auth` with what the receiver expects"
        }
        404 | 405 => "nothing takes a POST at this path: check the path of `url`",
        408 => "it did not get the request in time: look at the network between",
        413 => "the event is too large for it: raise the receiver's limit on bodies",
        _ => "it refuses the event: the response may say why",
    }
}

/// The line for that class of failure.
pub fn failed(failure: Failure) -> &'static str {
    match failure {
        Failure::Dns => "the host's name has no address: check the host of `url`",
        Failure::ConnectRefused => {
            "nobody listens there: start the receiver, or check the port of `url`"
        }
        Failure::ConnectTimeout => {
            "no connection was made in time: see whether a firewall lets this host through"
        }
        Failure::Connect => "its address cannot be reached from here: check the route to it",
        Failure::Tls => {
            "no TLS was agreed on: check that the certificate is valid, trusted, and of this name"
        }
        Failure::ClientCertificate => {
            "it refuses the client certificate, or wants one; or that has expired: look at \
             `client_certificate`"
        }
        Failure::Timeout => {
            "it took the request and did not answer in time: answer first and work afterwards, or \
             raise `timeout`"
        }
        Failure::Reset => "it hung up before it answered: look for a crash in its log",
        Failure::Aborted => "it was given up before the receiver answered: try again",
        Failure::Protocol => "what it answers is no HTTP: check the scheme and port of `url`",
        Failure::Redirect => "redirects are not followed: set `url` to where it redirects",
        Failure::Gone => "410 asks for no more, and would disable the subscription: check `url`",
        Failure::Http4xx => "it refuses the event: the response may say why",
        Failure::Http429 => "it wants fewer requests: set `rate_limit`, or try later",
        Failure::Http5xx => "it failed by a fault of its own: look in its log",
        Failure::BlockedAddress => {
            "the rules of egress forbid its address, its port or plain HTTP: use another `url`, or \
             have the operator allow it (`EGRESS_ALLOW`, `EGRESS_PORTS`)"
        }
        Failure::Proxy => "the egress proxy cannot be used: have the operator look at it",
        Failure::InvalidRequest => "the event fits in no request: look at its id",
        Failure::Token(failure) => no_token(failure),
    }
}

/// The line for a token that was not to be had.
pub fn no_token(failure: TokenFailure) -> &'static str {
    match failure {
        TokenFailure::Unavailable => {
            "no token was to be had: see whether the token endpoint runs, answers in time, and is at \
             `auth.token_url`"
        }
        TokenFailure::Blocked => {
            "the rules of egress forbid the token endpoint: use another `auth.token_url`, or have the \
             operator allow it (`EGRESS_ALLOW`, `EGRESS_PORTS`)"
        }
        TokenFailure::Refused(ErrorCode::InvalidClient) => {
            "the token endpoint does not know the client: compare `auth.client_id`, its secret or \
             key, and `auth.client_auth` with what is registered there"
        }
        TokenFailure::Refused(ErrorCode::InvalidScope) => {
            "the token endpoint does not grant this: check `auth.scope`"
        }
        TokenFailure::Refused(ErrorCode::UnauthorizedClient | ErrorCode::UnsupportedGrantType) => {
            "the token endpoint gives the client no tokens by client credentials: allow it there"
        }
        TokenFailure::Refused(ErrorCode::InvalidRequest | ErrorCode::InvalidGrant) => {
            "the token endpoint wants the request to be another: check `auth.audience` and \
             `auth.extra`"
        }
        TokenFailure::BadResponse => {
            "what the token endpoint answers is no bearer token: check `auth.token_url`"
        }
        TokenFailure::BadKey => "its private key signs nothing: set `auth` anew",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;

    fn attempt(failure: Option<Failure>, status: Option<u16>) -> Attempt {
        let failed = Attempt::failed(Failure::Reset, Instant::now(), Duration::ZERO);
        Attempt {
            failure,
            status,
            ..failed
        }
    }

    #[test]
    fn a_hint_goes_by_the_status_where_that_says_more() {
        for (failure, status, part) in [
            (None, Some(204), "nothing"),
            (Some(Failure::ConnectRefused), None, "port"),
            (Some(Failure::Timeout), None, "`timeout`"),
            (Some(Failure::Http4xx), Some(401), "`auth_key`"),
            (Some(Failure::Http4xx), Some(404), "path"),
            (Some(Failure::Http4xx), Some(422), "response"),
            (Some(Failure::Http5xx), Some(500), "its log"),
        ] {
            let hint = of(&attempt(failure, status));
            assert!(hint.contains(part), "{hint}");
        }
    }

    #[test]
    fn who_wants_no_more_is_heard_whatever_the_status() {
        let asks = Attempt {
            control: Some(Control::Disable),
            ..attempt(None, Some(200))
        };
        assert!(of(&asks).contains("disable"));
    }
}
