//! What was heard of a response until the deadline. A status that was read decides: what cannot be
//! read of the body changes nothing.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use http::header::{self, HeaderName};
use http::{Extensions, HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::Instant;

use super::RESPONSE_LIMIT;
use crate::attempt::{Attempt, Content};
use crate::connection::Connection;
use crate::control::{Control, WEBHOOK_DELIVERY};
use crate::payload::Sent;
use crate::shown;
use crate::verdict::{self, Failure};

/// A response, as far as it came, to a request.
pub struct Heard {
    /// When the request is made, in seconds since the Unix epoch, as its headers say.
    pub timestamp: i64,
    /// When it began to be sent.
    pub sent: Sent,
    head: Option<Head>,
    /// The beginning of the body, unless it is a success's.
    body: Vec<u8>,
    connection: Option<Arc<Connection>>,
    reused: bool,
}

struct Head {
    status: StatusCode,
    /// Those of a failure, as they are recorded.
    headers: Option<String>,
    retry_after: Option<Duration>,
    control: Option<Control>,
    read_at: Instant,
}

impl Heard {
    /// Nothing yet.
    pub fn new(timestamp: i64) -> Self {
        Self {
            timestamp,
            sent: Sent::default(),
            head: None,
            body: Vec::new(),
            connection: None,
            reused: false,
        }
    }

    /// When the request began to be sent, if it was.
    pub fn sent_at(&self) -> Option<Instant> {
        self.sent.get().copied()
    }

    /// Notes the error's connection. Whether that was there before the request, and ended without
    /// a byte of an answer: so does one that was closed while it was idle.
    pub fn broke(&mut self, error: &legacy::Error, began_at: Instant) -> bool {
        let mut told = Extensions::new();
        if let Some(connected) = error.connect_info() {
            connected.get_extras(&mut told);
        }
        self.took(told.remove(), began_at);
        let silent = |connection: &Arc<Connection>| !connection.answering();
        self.reused && self.connection.as_ref().is_some_and(silent)
    }

    /// Reads what is wanted of the response.
    pub async fn read(&mut self, response: Response<Incoming>, began_at: Instant) {
        let (mut parts, mut body) = response.into_parts();
        self.took(parts.extensions.remove(), began_at);
        self.head = Some(Head::of(parts.status, &parts.headers));
        let recorded = if parts.status.is_success() {
            0
        } else {
            RESPONSE_LIMIT
        };
        let mut read = 0;
        while read < RESPONSE_LIMIT
            && let Some(Ok(frame)) = body.frame().await
        {
            // What is no data are trailers, of which nothing is wanted.
            let data = frame.into_data().unwrap_or_default();
            let room = recorded - self.body.len();
            self.body.extend_from_slice(&data[..data.len().min(room)]);
            read += data.len();
        }
    }

    fn took(&mut self, connection: Option<Arc<Connection>>, began_at: Instant) {
        self.reused = connection.as_ref().is_some_and(|it| it.take(began_at));
        self.connection = connection;
    }

    /// What it means; where no head came, for that reason.
    pub fn attempt(self, unheard: Failure, started_at: Instant) -> Attempt {
        let sent_at = self.sent_at();
        let unanswered = Attempt {
            connection: self.connection,
            reused: self.reused,
            content: sent_at.map(|_| Box::default()),
            ..Attempt::failed(unheard, started_at, started_at.elapsed())
        };
        let Some(head) = self.head else {
            return unanswered;
        };
        let status = head.status.as_u16();
        let (verdict, failure) = verdict::of_status(status, head.retry_after);
        Attempt {
            verdict,
            failure,
            status: Some(status),
            content: failure.map(|_| {
                Box::new(Content {
                    request_headers: String::new(),
                    response_headers: head.headers,
                    response: text(&self.body),
                })
            }),
            control: head.control,
            retry_after: head.retry_after,
            first_byte: sent_at.map(|sent_at| head.read_at - sent_at),
            ..unanswered
        }
    }
}

impl Head {
    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok();
        Self {
            status,
            headers: (!status.is_success()).then(|| shown::json(headers)),
            retry_after: text(header::RETRY_AFTER)
                .and_then(|text| verdict::retry_after(text, Utc::now())),
            control: text(HeaderName::from_static(WEBHOOK_DELIVERY)).and_then(Control::parse),
            read_at: Instant::now(),
        }
    }
}

/// The beginning of a failure's response, as text that Postgres takes.
fn text(beginning: &[u8]) -> Option<String> {
    (!beginning.is_empty()).then(|| String::from_utf8_lossy(beginning).replace('\0', "\u{fffd}"))
}
