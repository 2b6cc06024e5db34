//! The body of a request, which tells when a connection has taken it up.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// When a request began to be sent; unset while it still waits for a connection.
pub type Sent = Arc<OnceLock<Instant>>;

/// An event's bytes, sent in one piece.
#[derive(Debug)]
pub struct Payload {
    bytes: Option<Bytes>,
    sent: Sent,
}

impl Payload {
    /// A body that sets `sent` when it is asked for. One without bytes never is.
    pub fn new(bytes: Bytes, sent: Sent) -> Self {
        Self {
            bytes: Some(bytes),
            sent,
        }
    }

    /// No body.
    pub fn none() -> Self {
        Self {
            bytes: None,
            sent: Sent::default(),
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.sent.get_or_init(Instant::now);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
