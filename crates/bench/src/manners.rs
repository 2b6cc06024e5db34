//! How a receiver answers a request, well or in its bad way.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Empty};
use tokio::time::{Interval, interval};

use crate::kind::Kind;

/// How long a slow one takes.
const SLOW: Duration = Duration::from_secs(10);

/// Between two bytes of a body that is drip-fed, …
const DRIP: Duration = Duration::from_secs(1);
/// … of which there are so many.
const DRIPS: u64 = 60;

/// What is answered.
pub type Answer = Response<Either<Empty<Bytes>, Dripping>>;

/// Of all receivers of one kind.
#[derive(Clone, Debug)]
pub struct Manners {
    /// How they are bad, once they have turned; `None` for the healthy ones.
    pub kind: Option<Kind>,
    turned: Arc<AtomicBool>,
}

impl Manners {
    /// Good ones, until [`Manners::turn`].
    pub fn new(kind: Option<Kind>) -> Self {
        Self {
            kind,
            turned: Arc::default(),
        }
    }

    /// From now on they are bad, unless they are the healthy ones'.
    pub fn turn(&self) {
        self.turned.store(true, Ordering::Relaxed);
    }

    /// The answer, when it comes.
    pub async fn answer(&self) -> Answer {
        match self.kind.filter(|_| self.turned.load(Ordering::Relaxed)) {
            Some(Kind::BlackHole) => std::future::pending().await,
            Some(Kind::Slow) => {
                tokio::time::sleep(SLOW).await;
                empty(StatusCode::OK)
            }
            Some(Kind::Drip) => Response::new(Either::Right(Dripping::new())),
            Some(Kind::Http500) => empty(StatusCode::INTERNAL_SERVER_ERROR),
            Some(Kind::Http429) => empty(StatusCode::TOO_MANY_REQUESTS),
            // These are bad before a request is read.
            Some(Kind::Refusing | Kind::Reset | Kind::BrokenTls) | None => empty(StatusCode::OK),
        }
    }
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Either::Left(Empty::new()));
    *answer.status_mut() = status;
    answer
}

/// A body that comes byte by byte.
#[derive(Debug)]
pub struct Dripping {
    ticks: Interval,
    left: u64,
}

impl Dripping {
    fn new() -> Self {
        Self {
            ticks: interval(DRIP),
            left: DRIPS,
        }
    }
}

impl Body for Dripping {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(cx));
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
