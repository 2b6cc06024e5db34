//! What came of one POST.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::Connection;
use crate::control::Control;
use crate::verdict::{Failure, Verdict};

/// One POST, and what it means.
#[derive(Debug)]
pub struct Attempt {
    /// What it means for the delivery.
    pub verdict: Verdict,
    /// The response's, if its head was read.
    pub status: Option<u16>,
    /// Why it failed, unless it is delivered.
    pub failure: Option<Failure>,
    /// When it began.
    pub started_at: Instant,
    /// How long it took, to the end of what was read.
    pub latency: Duration,
    /// What was said, for failures of requests that were sent.
    pub content: Option<Box<Content>>,
    /// What the receiver asks for about further deliveries.
    pub control: Option<Control>,
    /// When the receiver wants to be asked again, whatever the status.
    pub retry_after: Option<Duration>,
    /// The connection it used, if it got one that answered or broke.
    pub connection: Option<Arc<Connection>>,
    /// Whether that connection was there before.
    pub reused: bool,
    /// From the beginning of sending to the end of the response's head.
    pub first_byte: Option<Duration>,
}

/// What was said in an attempt that failed, as far as it is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The request's headers as a JSON object, without secrets.
    pub request_headers: String,
    /// The response's, if its head was read.
    pub response_headers: Option<String>,
    /// The beginning of its body, as text that Postgres takes.
    pub response: Option<String>,
}

impl Content {
    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        let lengths =
            [&self.response_headers, &self.response].map(|it| it.as_ref().map_or(0, String::len));
        self.request_headers.len() + lengths[0] + lengths[1]
    }
}

/// Where the time of an attempt went. `None`: the step was not taken, or not known to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phases {
    /// Resolving the host's name.
    pub dns: Option<Duration>,
    /// Connecting by TCP.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the beginning of sending to the end of the response's head.
    pub first_byte: Option<Duration>,
    /// From the attempt's beginning to its end.
    pub total: Duration,
}

impl Attempt {
    /// One that got no response.
    pub fn failed(failure: Failure, started_at: Instant, latency: Duration) -> Self {
        Self {
            verdict: Verdict::Retry { after: None },
            status: None,
            failure: Some(failure),
            started_at,
            latency,
            content: None,
            control: None,
            retry_after: None,
            connection: None,
            reused: false,
            first_byte: None,
        }
    }

    /// One that was not made, since it lacked what the receiver knows us by.
    pub(crate) fn postponed(failure: Failure, after: Duration, started_at: Instant) -> Self {
        Self {
            verdict: Verdict::Postponed { after },
            ..Self::failed(failure, started_at, started_at.elapsed())
        }
    }

    /// The beginning of the response, for failures.
    pub fn response(&self) -> Option<&str> {
        self.content.as_ref()?.response.as_deref()
    }

    /// Where its time went. The steps to a connection are those of the attempt that opened it.
    pub fn phases(&self) -> Phases {
        let opened = self.connection.as_ref().filter(|_| !self.reused);
        Phases {
            dns: opened.and_then(|connection| connection.dns),
            connect: opened.map(|connection| connection.connect),
            tls: opened.and_then(|connection| Some(connection.tls.as_ref()?.handshake)),
            first_byte: self.first_byte,
            total: self.latency,
        }
    }
}
