//! Asks a receiver whether it wants deliveries at all: the handshake of `CloudEvents`' "HTTP 1.1 Web
//! Hooks for Event Delivery" 1.0.2, section 4.
//!
//! `OPTIONS` with who asks, and how often it would send. Only what the receiver says in so many words
//! is a permission: a status alone is none, and neither is a name that is not ours.

use std::num::NonZeroU32;

use chrono::Utc;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use tokio::time::{Instant, timeout_at};

use crate::payload::Payload;
use crate::sender::Sender;
use crate::target::{Target, WEBHOOK_REQUEST_ORIGIN};
use crate::verdict::Failure;

const REQUEST_RATE: HeaderName = HeaderName::from_static("webhook-request-rate");
const ALLOWED_ORIGIN: &str = "webhook-allowed-origin";
const ALLOWED_RATE: &str = "webhook-allowed-rate";

/// What a receiver permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// How many deliveries a minute; `None`: as many as there are.
    pub rate: Option<NonZeroU32>,
}

/// Why there is no permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPermitted {
    /// It did not answer.
    Failed(Failure),
    /// It answered, and that was none.
    Answered(u16, Lack),
}

/// What an answer lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The status is no 2xx.
    #[error("it must answer OPTIONS with 2xx")]
    Success,
    /// It permits nobody.
    #[error("its answer to OPTIONS must have the header WebHook-Allowed-Origin")]
    Origin,
    /// It permits somebody else.
    #[error("its header WebHook-Allowed-Origin must have the origin that asked, or `*`")]
    OtherOrigin,
    /// It was asked for a rate and permits none, or one that cannot be read.
    #[error("its header WebHook-Allowed-Rate must be a number of requests a minute, or `*`")]
    Rate,
}

impl Sender {
    /// Asks whether the target, which has an origin, wants deliveries; so many a minute, if there is
    /// a limit.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ask(
        &self,
        target: &Target,
        rate: Option<NonZeroU32>,
    ) -> Result<Permission, NotPermitted> {
        let failed = |failure| Err(NotPermitted::Failed(failure));
        if target.shows_expired(Utc::now()) {
            return failed(Failure::ClientCertificate);
        }
        let deadline = Instant::now() + target.timeout;
        match timeout_at(deadline, self.answer(target, rate, deadline)).await {
            Ok(Ok((status, headers))) => permission(
                status,
                &headers,
                target
                    .headers
                    .get(&HeaderName::from_static(WEBHOOK_REQUEST_ORIGIN)),
                rate,
            )
            .map_err(|lack| NotPermitted::Answered(status.as_u16(), lack)),
            Ok(Err(failure)) => failed(failure),
            Err(_) => failed(Failure::Timeout),
        }
    }

    /// What the target answers, if it answers.
    async fn answer(
        &self,
        target: &Target,
        rate: Option<NonZeroU32>,
        deadline: Instant,
    ) -> Result<(StatusCode, HeaderMap), Failure> {
        let sender = self.by(target);
        let ask = |token| sender.send(request(target, token, rate));
        let Some(client) = &target.client else {
            return ask(None).await;
        };
        let refused = |answer: &Result<_, _>| matches!(answer, Ok((StatusCode::UNAUTHORIZED, _)));
        let authorized = self.authorized(client, deadline, |token| ask(Some(token)), refused);
        authorized
            .await
            .map_err(|postponed| Failure::Token(postponed.failure))?
    }
}

fn request(
    target: &Target,
    token: Option<HeaderValue>,
    rate: Option<NonZeroU32>,
) -> Request<Payload> {
    let mut headers = target.headers.to_map(&target.uri, 2);
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, token);
    }
    if let Some(rate) = rate {
        headers.insert(REQUEST_RATE, rate.get().into());
    }
    let mut request = Request::new(Payload::none());
    *request.method_mut() = Method::OPTIONS;
    *request.uri_mut() = target.uri.clone();
    *request.headers_mut() = headers;
    request
}

/// What an answer permits to who asked as `origin` for that rate.
fn permission(
    status: StatusCode,
    headers: &HeaderMap,
    origin: Option<&HeaderValue>,
    rate: Option<NonZeroU32>,
) -> Result<Permission, Lack> {
    if !status.is_success() {
        return Err(Lack::Success);
    }
    let allowed = headers.get(ALLOWED_ORIGIN).ok_or(Lack::Origin)?;
    let is_ours = origin.is_some_and(|origin| {
        let (allowed, origin) = (allowed.as_bytes(), origin.as_bytes());
        allowed.eq_ignore_ascii_case(origin)
    });
    if allowed != "*" && !is_ours {
        return Err(Lack::OtherOrigin);
    }
    let rate = match headers.get(ALLOWED_RATE) {
        None if rate.is_some() => return Err(Lack::Rate),
        None => None,
        Some(value) if value == "*" => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| Lack::Rate)?;
            Some(text.trim().parse().map_err(|_| Lack::Rate)?)
        }
    };
    Ok(Permission { rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        status: u16,
        origin: &str,
        rate: &str,
        asked: Option<u32>,
    ) -> Result<Option<u32>, Lack> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(ALLOWED_ORIGIN, origin), (ALLOWED_RATE, rate)] {
            if !value.is_empty() {
                headers.insert(name, value.parse().unwrap());
            }
        }
        let status = StatusCode::from_u16(status).unwrap();
        let ours = HeaderValue::from_static("hooks.example");
        let asked = asked.and_then(NonZeroU32::new);
        let permission = permission(status, &headers, Some(&ours), asked)?;
        Ok(permission.rate.map(NonZeroU32::get))
    }

    #[test]
    fn only_what_says_so_is_a_permission() {
        for (status, origin, rate, asked, expected) in [
            (200, "*", "*", None, Ok(None)),
            (204, "hooks.example", "120", Some(600), Ok(Some(120))),
            (200, "Hooks.Example", "", None, Ok(None)),
            (200, "*", "100", None, Ok(Some(100))),
            (200, "", "*", None, Err(Lack::Origin)),
            (200, "other.example", "*", None, Err(Lack::OtherOrigin)),
            (200, "*.example", "*", None, Err(Lack::OtherOrigin)),
            (
                200,
                "hooks.example, other",
                "*",
                None,
                Err(Lack::OtherOrigin),
            ),
            (200, "*", "", Some(60), Err(Lack::Rate)),
            (200, "*", "0", None, Err(Lack::Rate)),
            (200, "*", "-1", None, Err(Lack::Rate)),
            (200, "*", "many", None, Err(Lack::Rate)),
            (200, "*", "99999999999", None, Err(Lack::Rate)),
            (301, "*", "*", None, Err(Lack::Success)),
            (403, "*", "*", None, Err(Lack::Success)),
            (405, "", "", None, Err(Lack::Success)),
        ] {
            assert_eq!(
                said(status, origin, rate, asked),
                expected,
                "{status} {origin} {rate}"
            );
        }
    }
}
