//! A delivery, one event for one subscription, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use outbound::{Attempt, Verdict};
use tokio::time::Instant;
use uuid::Uuid;

use crate::budget::Hold;
use crate::event::Event;
use crate::retry::Schedule;
use crate::stretches::Key;

/// What a delivery costs besides its event, in bytes: itself, and what is known of its attempt
/// while that waits to be recorded, with as much again for the room that growing queues keep.
pub const DELIVERY_BYTES: usize = 2 * (size_of::<Delivery>() + size_of::<Attempt>());

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
    /// No attempt may run then any more.
    pub ends_at: Instant,
}

/// Where a delivery comes from, and so what its ticket holds.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The log, as it grows: the watermark of its partition.
    Log,
    /// A pending delivery, claimed: its row.
    Pending(Lease),
    /// The log, read again: the cursor of its stretch.
    CatchUp,
}

/// One event for one subscription.
#[derive(Debug)]
pub struct Delivery {
    pub ticket: Ticket,
    pub subscription_id: Uuid,
    pub event: Arc<Event>,
    /// Attempts made so far.
    pub attempts: u32,
    pub source: Source,
    /// The replay that asked for it.
    pub replay: Option<Uuid>,
    pub queued_at: Instant,
    pub hold: Hold,
}

impl Delivery {
    /// Whose stretch of the log it is of, if it is of one.
    pub fn key(&self) -> Key {
        Key {
            subscription_id: self.subscription_id,
            replay: self.replay,
        }
    }

    /// The lease on its row, if it has one.
    pub fn lease(&self) -> Option<Lease> {
        match self.source {
            Source::Pending(lease) => Some(lease),
            Source::Log | Source::CatchUp => None,
        }
    }
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// It waits as a pending delivery; after no time at all when it was parked.
    Retry {
        after: Duration,
    },
    /// So it does, and no attempt of it is used up: no token was to be had for it.
    Postponed {
        after: Duration,
    },
    DeadLettered {
        reason: Reason,
    },
    /// Its subscription was deleted: nobody wants it any more.
    Ended,
    /// It is older than its subscription wants; counted.
    Expired,
    /// A newer reading of the same key takes its place; counted.
    Superseded,
}

impl Outcome {
    /// What becomes of a delivery after its `made`th attempt.
    ///
    /// `jitter` is uniform in `[0, 1)`.
    pub fn of(verdict: Verdict, made: u32, schedule: &Schedule, jitter: f64) -> Self {
        let dead = |reason| Self::DeadLettered { reason };
        match verdict {
            Verdict::Delivered => Self::Delivered,
            Verdict::Reject => dead(Reason::Gone),
            Verdict::Postponed { after } => Self::Postponed { after },
            Verdict::Retry { after } => schedule
                .delay(made, jitter, after)
                .map_or(dead(Reason::Exhausted), |after| Self::Retry { after }),
        }
    }

    /// It is pending, and due at once.
    pub const PARKED: Self = Self::Retry {
        after: Duration::ZERO,
    };

    /// Whether it waits as a pending delivery.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Retry { .. } | Self::Postponed { .. })
    }

    /// As metrics name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry {
                after: Duration::ZERO,
            } => "parked",
            Self::Retry { .. } => "retry",
            Self::Postponed { .. } => "postponed",
            Self::DeadLettered { .. } => "dead_lettered",
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::budget::Budget;

    /// A delivery of partition 0 under epoch 1, that was not attempted yet.
    pub(crate) fn delivery(
        subscription_id: Uuid,
        offset: i64,
        source: Source,
        key: Option<&str>,
    ) -> Delivery {
        let hold = || Budget::new(1).hold(0);
        let event = Event {
            id: format!("event-{offset}"),
            payload: bytes::Bytes::from_static(b"{}"),
            content_type: None,
            traceparent: None,
            key: key.map(str::to_owned),
            published_at: None,
            hold: hold(),
        };
        Delivery {
            ticket: Ticket {
                partition: 0,
                epoch: 1,
                offset,
            },
            subscription_id,
            event: Arc::new(event),
            attempts: 0,
            source,
            replay: None,
            queued_at: Instant::now(),
            hold: hold(),
        }
    }

    #[test]
    fn a_verdict_and_the_schedule_decide_what_becomes_of_a_delivery() {
        let schedule: Schedule = "10s".parse().unwrap();
        let retry = Verdict::Retry { after: None };
        let after = Duration::from_secs(5);
        let postponed = Verdict::Postponed { after };
        let dead = |reason| Outcome::DeadLettered { reason };
        for (verdict, made, outcome) in [
            (Verdict::Delivered, 1, Outcome::Delivered),
            (Verdict::Delivered, 9, Outcome::Delivered),
            (Verdict::Reject, 1, dead(Reason::Gone)),
            (retry, 1, Outcome::Retry { after }),
            (retry, 2, dead(Reason::Exhausted)),
            (postponed, 1, Outcome::Postponed { after }),
            // The last attempt is still to be made.
            (postponed, 9, Outcome::Postponed { after }),
        ] {
            assert_eq!(
                Outcome::of(verdict, made, &schedule, 0.0),
                outcome,
                "{verdict:?} {made}"
            );
        }
    }
}
