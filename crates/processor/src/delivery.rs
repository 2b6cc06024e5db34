//! A delivery, one event for one subscription, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::budget::Hold;
use crate::event::Event;
use crate::verdict::{Failure, Verdict};

/// What a queued delivery costs besides its event, in bytes.
pub const DELIVERY_BYTES: usize = 160;

/// A hold on an offset, under the epoch in which its partition is owned. Not `Clone`: it returns
/// once, with the outcome; lost on the way, it holds the watermark back for ever.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    pub partition: i32,
    pub epoch: i64,
    pub offset: i64,
}

/// The right to end a pending delivery.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    pub id: Uuid,
    /// No attempt may begin after this: it might still run when the lease ends.
    pub usable_until: Instant,
}

/// One event for one subscription.
#[derive(Debug)]
pub struct Delivery {
    pub ticket: Ticket,
    pub subscription_id: Uuid,
    pub event: Arc<Event>,
    /// Attempts made so far.
    pub attempts: u32,
    /// `None`: it comes from the log, and its ticket holds the watermark.
    /// `Some`: it is a pending delivery, claimed.
    pub lease: Option<Lease>,
    pub queued_at: Instant,
    pub hold: Hold,
}

/// One POST, as it is recorded.
#[derive(Debug)]
pub struct Attempt {
    pub verdict: Verdict,
    pub status: Option<u16>,
    pub failure: Option<Failure>,
    pub started_at: Instant,
    pub latency: Duration,
    /// The beginning of the response, for failures.
    pub response: Option<String>,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// It waits as a pending delivery; after no time at all when it was parked.
    Retry {
        after: Duration,
    },
    DeadLettered {
        reason: Reason,
    },
    /// Its subscription was deleted: nobody wants it any more.
    Ended,
}

impl Outcome {
    /// As metrics name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry {
                after: Duration::ZERO,
            } => "parked",
            Self::Retry { .. } => "retry",
            Self::DeadLettered { .. } => "dead_lettered",
            Self::Ended => "ended",
        }
    }
}

/// Why a delivery is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Every attempt of its schedule failed.
    Exhausted,
    /// The receiver answered 410.
    Gone,
}

impl Reason {
    /// As the table `dead_letters` names it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Gone => "gone",
        }
    }
}
