//! Which lanes do not keep up, and by whose doing.
//!
//! A full lane that is busy delivering holds the topic up for a moment: that is back-pressure. One
//! that is slower than the others, or does not deliver at all, must not: its subscription leaves
//! the log and catches up at its own pace. A lane that could begin something and waits for its turn
//! is held up by all the others together, as in an event that a hundred thousand want: to have it
//! leave the log would make that worse.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Lanes;
use super::lane::{Lane, Place};

/// A full lane holds the topic up only while it delivers; it has so long to show that.
const GRACE: Duration = Duration::from_millis(250);

impl Lanes {
    /// Lanes that are full, in two kinds: whether one holds the topic up because it is busy
    /// delivering, and those that do not keep up and have to catch up by themselves.
    pub fn full(&self, now: Instant) -> (bool, Vec<Uuid>) {
        let (behind, busy): (Vec<Uuid>, Vec<Uuid>) =
            self.full.iter().partition(|id| self.is_behind(**id, now));
        (!busy.is_empty(), behind)
    }

    /// Whether the fan-out has to look at [`Lanes::full`].
    pub fn is_any_full(&self) -> bool {
        !self.full.is_empty()
    }

    fn is_behind(&self, id: Uuid, now: Instant) -> bool {
        let Some(lane) = self.by_subscription.get(&id) else {
            return false;
        };
        // Where it had nothing in flight, as while nothing could be recorded, it could show nothing.
        let shown = lane
            .last_success
            .max(lane.full_since)
            .max(lane.flying_since);
        let is_still = !waits_for_its_turn(lane) && shown.is_some_and(|at| now - at > GRACE);
        // Failures come as fast as they like.
        let fails = lane.failing_since.is_some_and(|at| now - at > GRACE);
        lane.slow > 0 || lane.bucket.is_some() || is_still || fails || self.is_slow(lane)
    }

    /// Whether it takes too long. Not where it delivers more a second than all that catch up may: to
    /// leave would make it slower.
    fn is_slow(&self, lane: &Lane) -> bool {
        let Some(usual) = lane.pace.usual() else {
            return false;
        };
        let could_catch_up = usual.as_secs_f64() * self.limits.catch_up_rate > lane.at_once();
        could_catch_up && lane.slowness.is_slow()
    }

    /// The lanes whose oldest live delivery has waited longer than `patience`, and not for its turn: a
    /// slow receiver must not hold its partition's progress back.
    pub fn overdue(&self, now: Instant, patience: Duration) -> Vec<Uuid> {
        let late = |lane: &Lane| {
            let first = lane.live.front();
            let is_late = first.is_some_and(|delivery| now - delivery.queued_at > patience);
            is_late && !waits_for_its_turn(lane)
        };
        let late = self.by_subscription.iter().filter(|(_, lane)| late(lane));
        late.map(|(id, _)| *id).collect()
    }
}

/// Whether nothing but the others keeps it from beginning a request.
fn waits_for_its_turn(lane: &Lane) -> bool {
    lane.place == Place::Ready
}
