//! The HTTP side: what a POST is answered, and the counts on `/received`.
//!
//! A POST to any path is a delivery, also to the paths of the probes: those answer GET only.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use chrono::Utc;
use common::event::{WEBHOOK_ATTEMPT, WEBHOOK_ID};
use secrecy::{ExposeSecret, SecretString};
use signature::Verifier;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::faults::{Dice, Faults};
use crate::inbox::{Counts, Inbox, Novelty};
use crate::recent::Digest;
use crate::summary::Summary;

/// The largest body that is read, in bytes.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// What all requests share.
#[derive(Debug)]
pub struct Receiver {
    inbox: Inbox,
    faults: Faults,
    dice: Dice,
    token: Option<SecretString>,
    verifier: Option<Verifier>,
    /// Takes the lines to print; `None` when quiet.
    lines: Option<mpsc::Sender<String>>,
    stop: CancellationToken,
}

/// Why a request is not received: the status, and words for whoever reads the response.
type Refusal = (StatusCode, String);

type Body = Result<Bytes, BytesRejection>;

impl Receiver {
    /// A receiver that has received nothing. Without a `verifier` it verifies no signature.
    pub fn new(
        config: &Config,
        verifier: Option<Verifier>,
        lines: Option<mpsc::Sender<String>>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            inbox: Inbox::new(config.remember),
            faults: config.faults.clone(),
            dice: Dice::new(&config.faults),
            token: config.token.clone(),
            verifier,
            lines,
            stop,
        }
    }

    /// Its routes, to be laid over those of the probes.
    pub fn routes(self, probes: Router) -> Router {
        let receive = post(receive).fallback(not_a_delivery);
        Router::new()
            .route("/received", get(received).delete(reset))
            .merge(probes.with_state(()))
            .method_not_allowed_fallback(receive.clone())
            .fallback(receive)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .with_state(Arc::new(self))
    }

    /// A stop ends it: nobody gains by waiting longer.
    async fn delay(&self) {
        if !self.faults.delay.is_zero() {
            let delay = tokio::time::sleep(self.faults.delay);
            self.stop.run_until_cancelled(delay).await;
        }
    }

    /// What follows the delay: the other faults, and what is wrong with the request, in order.
    fn accept(&self, headers: &HeaderMap, body: Body) -> Result<Delivery, Refusal> {
        if self.faults.hang {
            let why = "told never to answer".into();
            return Err((StatusCode::SERVICE_UNAVAILABLE, why));
        }
        if let Some(status) = self.faults.refusal() {
            return Err((status, format!("told to answer {status}")));
        }
        self.authorize(headers)?;
        let body = body.map_err(|rejection| (rejection.status(), rejection.body_text()))?;
        self.verify(headers, &body)?;
        let id = webhook_id(headers)?;
        if self.dice.fails() {
            return Err((StatusCode::INTERNAL_SERVER_ERROR, "told to fail".into()));
        }
        Ok(Delivery::new(id, headers, &body))
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match &self.token {
            Some(token) if !carries(headers, token.expose_secret()) => Err((
                StatusCode::UNAUTHORIZED,
                "the header authorization must be: Bearer, and the token of this receiver".into(),
            )),
            _ => Ok(()),
        }
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
        let verified = self.verifier.as_ref().map_or(Ok(()), |verifier| {
            verifier.verify(headers, body, Utc::now())
        });
        verified.map_err(|why| (StatusCode::UNAUTHORIZED, why.to_string()))
    }

    async fn receive(&self, delivery: Delivery) -> Response {
        let novelty = self.inbox.receive(delivery.digest, delivery.summary.city());
        self.print(|| delivery.line(novelty)).await;
        self.faults.success().into_response()
    }

    async fn print(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            // It fails only while the receiver stops because standard output is gone.
            lines.send(line()).await.ok();
        }
    }

    async fn refuse(&self, headers: &HeaderMap, refusal: Refusal) -> Response {
        self.inbox.refuse();
        self.print(|| refusal_line(headers, &refusal.1)).await;
        if self.faults.hang {
            self.stop.cancelled().await;
        }
        refusal.into_response()
    }
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    receiver.delay().await;
    match receiver.accept(&headers, body) {
        Ok(delivery) => receiver.receive(delivery).await,
        Err(refusal) => receiver.refuse(&headers, refusal).await,
    }
}

/// For a person who opens the port in a browser.
async fn not_a_delivery() -> (StatusCode, &'static str) {
    let hint = "deliveries come here by POST; GET /received tells what came\n";
    (StatusCode::METHOD_NOT_ALLOWED, hint)
}

async fn received(State(receiver): State<Arc<Receiver>>) -> Json<Counts> {
    Json(receiver.inbox.counts())
}

async fn reset(State(receiver): State<Arc<Receiver>>) -> StatusCode {
    receiver.inbox.reset();
    StatusCode::NO_CONTENT
}

/// What is left of a request once it is accepted.
struct Delivery {
    id: String,
    /// `, attempt 2`, or nothing.
    attempt: String,
    digest: Digest,
    summary: Summary,
}

impl Delivery {
    fn new(id: &HeaderValue, headers: &HeaderMap, body: &[u8]) -> Self {
        Self {
            id: shown(id),
            attempt: attempt(headers),
            digest: Digest::of(id.as_bytes()),
            summary: Summary::of(body),
        }
    }

    /// `Tokyo 23.0 C at 2026-11-23T21:00:00Z, id 0199b0c2-…, attempt 2, duplicate`
    fn line(&self, novelty: Novelty) -> String {
        let duplicate = match novelty {
            Novelty::Distinct => "",
            Novelty::Duplicate => ", duplicate",
        };
        let Self {
            id,
            attempt,
            summary,
            ..
        } = self;
        format!("{summary}, id {id}{attempt}{duplicate}\n")
    }
}

/// `not received, id 0199b0c2-…, attempt 2: told to fail`
fn refusal_line(headers: &HeaderMap, why: &str) -> String {
    let id = headers.get(WEBHOOK_ID).map(shown);
    let id = id.map_or_else(String::new, |id| format!(", id {id}"));
    format!("not received{id}{}: {why}\n", attempt(headers))
}

fn attempt(headers: &HeaderMap) -> String {
    let attempt = headers.get(WEBHOOK_ATTEMPT).map(shown);
    attempt.map_or_else(String::new, |attempt| format!(", attempt {attempt}"))
}

/// A header's value, without what could control a terminal.
fn shown(value: &HeaderValue) -> String {
    value.as_bytes().escape_ascii().to_string()
}

/// Whether the request carries the token (RFC 6750, section 2.1). It takes the same time wherever
/// a wrong one differs.
fn carries(headers: &HeaderMap, token: &str) -> bool {
    let value = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let Some((scheme, given)) = value.and_then(|value| value.split_once(' ')) else {
        return false;
    };
    let differ = |all, (a, b): (u8, u8)| all | (a ^ b);
    scheme.eq_ignore_ascii_case("bearer")
        && given.len() == token.len()
        && given.bytes().zip(token.bytes()).fold(0, differ) == 0
}

/// The id of the event (Standard Webhooks, "Webhook headers").
fn webhook_id(headers: &HeaderMap) -> Result<&HeaderValue, Refusal> {
    headers
        .get(WEBHOOK_ID)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| {
            let why = "the header webhook-id is missing: it tells one event from another";
            (StatusCode::BAD_REQUEST, why.into())
        })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_delay_ends_with_a_stop() {
        let config = Config::parse_from(["webhook", "--delay", "1h"]);
        let stop = CancellationToken::new();
        let receiver = Receiver::new(&config, None, None, stop.clone());
        let began = Instant::now();
        tokio::join!(receiver.delay(), async { stop.cancel() });
        assert!(began.elapsed().is_zero());
    }
}
