//! Makes one attempt: one POST, within one deadline, and what it means.
//!
//! Promises that an attempt ends by its deadline whatever the receiver does, that no more than
//! [`RESPONSE_LIMIT`] of its response is read, and that no redirect is followed. A receiver's
//! failure is a verdict, never an error.

mod failure;
mod resolver;

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use common::event::{TRACEPARENT, WEBHOOK_ATTEMPT, WEBHOOK_ID, WEBHOOK_TIMESTAMP};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, redirect};
use tokio::time::Instant;

use self::resolver::Resolver;
use crate::delivery::Attempt;
use crate::event::Event;
use crate::subscription::Subscription;
use crate::verdict::{self, Failure, Verdict};

/// How much of a response is read, in bytes. A connection with more to come is not used again.
pub const RESPONSE_LIMIT: usize = 8 * 1024;

/// How much of a failure's response is recorded, in bytes.
pub const SNIPPET_LIMIT: usize = 512;

/// How long connecting may take, within the attempt's deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept: shorter than the 5 s after which common servers close it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// One pooled client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    pooled: Client,
    /// Opens a connection for every request.
    fresh: Client,
    timeout: Duration,
}

/// What was read of a response.
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Sender {
    /// A sender whose attempts take no longer than `timeout`.
    ///
    /// # Errors
    /// That TLS cannot be set up.
    pub fn new(timeout: Duration) -> anyhow::Result<Self> {
        let builder = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .no_proxy()
                .dns_resolver(Resolver)
                .http1_only()
                .connect_timeout(CONNECT_TIMEOUT.min(timeout))
                .pool_idle_timeout(IDLE_TIMEOUT)
        };
        let context = "setting up the HTTP client";
        Ok(Self {
            pooled: builder().build().context(context)?,
            fresh: builder()
                .pool_max_idle_per_host(0)
                .build()
                .context(context)?,
            timeout,
        })
    }

    /// Posts the event to the subscription's endpoint, for the `number`th time.
    pub async fn attempt(
        &self,
        subscription: &Subscription,
        event: &Event,
        number: u32,
    ) -> Attempt {
        let started_at = Instant::now();
        let headers = headers(subscription, event, number);
        let answer = self
            .exchange(subscription, event, headers, started_at + self.timeout)
            .await;
        let latency = started_at.elapsed();
        let (status, (verdict, failure), body) = match answer {
            Ok(answer) => (
                Some(answer.status),
                verdict::of_status(answer.status, answer.retry_after),
                answer.body,
            ),
            Err(failure) => {
                let again = (Verdict::Retry { after: None }, Some(failure));
                (None, again, Vec::new())
            }
        };
        Attempt {
            verdict,
            status,
            failure,
            started_at,
            latency,
            response: failure.and_then(|_| snippet(&body)),
        }
    }

    /// One request and its response. A connection that was closed while it was idle shows only
    /// when it is used: then the same request goes out once more, on a fresh one.
    async fn exchange(
        &self,
        subscription: &Subscription,
        event: &Event,
        headers: HeaderMap,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let post = |client: &Client, headers| {
            client
                .post(subscription.url.clone())
                .headers(headers)
                .body(event.payload.clone())
                .send()
        };
        let sending = async {
            match post(&self.pooled, headers.clone()).await {
                Err(error) if failure::ended_before_the_response(&error) => {
                    post(&self.fresh, headers).await
                }
                first => first,
            }
        };
        let response = tokio::time::timeout_at(deadline, sending)
            .await
            .map_err(|_| Failure::Timeout)?
            .map_err(|error| failure::of(&error))?;
        Ok(read(response, deadline).await)
    }
}

/// Reads what is wanted of the response until the deadline. The status decides: what cannot be
/// read of the body changes nothing.
async fn read(mut response: Response, deadline: Instant) -> Answer {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| verdict::retry_after(value.to_str().ok()?, Utc::now()));
    let mut body = Vec::new();
    while body.len() < RESPONSE_LIMIT
        && let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(deadline, response.chunk()).await
    {
        let room = RESPONSE_LIMIT - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Answer {
        status,
        retry_after,
        body,
    }
}

/// What the subscription's every POST carries, and what is this event's.
fn headers(subscription: &Subscription, event: &Event, number: u32) -> HeaderMap {
    let mut headers = subscription.headers.clone();
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(Utc::now().timestamp()));
    headers.insert(WEBHOOK_ATTEMPT, HeaderValue::from(number));
    let mut carry = |name, value: Option<&str>| {
        // A value that fits in no header was refused when the record was read.
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    };
    carry(HeaderName::from_static(WEBHOOK_ID), Some(&event.id));
    carry(
        HeaderName::from_static(TRACEPARENT),
        event.traceparent.as_deref(),
    );
    let content_type = event.content_type.as_deref().unwrap_or("application/json");
    carry(header::CONTENT_TYPE, Some(content_type));
    headers
}

/// The beginning of a failure's response, as text that Postgres takes.
fn snippet(body: &[u8]) -> Option<String> {
    let beginning = &body[..body.len().min(SNIPPET_LIMIT)];
    (!beginning.is_empty()).then(|| String::from_utf8_lossy(beginning).replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests;
