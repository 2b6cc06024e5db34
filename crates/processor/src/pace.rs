//! How many requests one lane may have in flight: additive increase, multiplicative decrease.
//! Pure.
//!
//! It grows only while it is what holds the lane back, by one a round trip, and at first doubles
//! in each (slow start). It is halved when the receiver is overloaded, once for all requests that
//! were in flight then, and goes back to one when the receiver cannot be reached. Beside it stands
//! how long the lane's requests usually take.

use std::time::Duration;

use tokio::time::Instant;

/// Where a lane begins that is not known to fail.
const INITIAL: f64 = 4.0;

/// A request that has not answered after so many times its lane's usual time is slow, …
const SLOW_FACTOR: u32 = 8;
/// … and not before this.
pub const SLOW_FLOOR: Duration = Duration::from_secs(1);

/// The weight of a new sample in the usual time is one in so many.
const SMOOTHING: u32 = 8;

/// One lane's.
#[derive(Debug)]
pub struct Pace {
    limit: f64,
    max: f64,
    /// Below it the limit doubles each round trip.
    doubles_below: f64,
    /// Requests begun before say nothing new.
    backed_off_at: Option<Instant>,
    usual: Option<Duration>,
}

impl Pace {
    /// A lane that may have up to `max` in flight.
    pub fn new(max: usize) -> Self {
        let max = as_limit(max);
        Self {
            limit: INITIAL.min(max),
            max,
            doubles_below: max,
            backed_off_at: None,
            usual: None,
        }
    }

    /// How many may be in flight now: at least one.
    pub fn limit(&self) -> usize {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between one and the policy's maximum"
        )]
        let limit = self.limit as usize;
        limit.max(1)
    }

    /// The policy changed.
    pub fn set_max(&mut self, max: usize) {
        self.max = as_limit(max);
        self.limit = self.limit.min(self.max);
        self.doubles_below = self.doubles_below.min(self.max);
    }

    /// From one again, doubling: the receiver has just come back.
    pub fn restart(&mut self) {
        self.limit = 1.0;
        self.doubles_below = self.max;
        self.backed_off_at = None;
    }

    /// A request succeeded. `held_back`: more was waiting than the limit let through.
    pub fn delivered(&mut self, latency: Duration, held_back: bool) {
        self.usual = Some(match self.usual {
            None => latency,
            Some(usual) => (usual * (SMOOTHING - 1) + latency) / SMOOTHING,
        });
        if held_back {
            let step = if self.limit < self.doubles_below {
                1.0
            } else {
                1.0 / self.limit
            };
            self.limit = (self.limit + step).min(self.max);
        }
    }

    /// The receiver is overloaded, said a request begun at `started_at`.
    pub fn overloaded(&mut self, started_at: Instant, now: Instant) {
        if self.backed_off_at.is_none_or(|at| started_at > at) {
            self.limit = (self.limit / 2.0).max(1.0);
            self.doubles_below = self.limit;
            self.backed_off_at = Some(now);
        }
    }

    /// The receiver cannot be reached.
    pub fn unreachable(&mut self, now: Instant) {
        self.limit = 1.0;
        self.doubles_below = (self.max / 2.0).max(1.0);
        self.backed_off_at = Some(now);
    }

    /// After how long without an answer a request is slow.
    pub fn slow_after(&self) -> Duration {
        let usual = self.usual.unwrap_or_default();
        (usual * SLOW_FACTOR).max(SLOW_FLOOR)
    }

    /// How long its requests usually take; `None` until one has succeeded.
    pub fn usual(&self) -> Option<Duration> {
        self.usual
    }

    /// How many may be in flight before long. A lane that never had to back off has its maximum within
    /// a few round trips, and is not slow for beginning with less.
    pub fn prospect(&self) -> f64 {
        self.backed_off_at.map_or(self.max, |_| self.limit)
    }

    /// Whether forgetting it loses nothing.
    pub fn is_pristine(&self) -> bool {
        self.limit >= INITIAL.min(self.max)
    }
}

fn as_limit(max: usize) -> f64 {
    f64::from(u32::try_from(max).unwrap_or(u32::MAX)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIME: Duration = Duration::from_millis(10);

    #[test]
    fn it_grows_only_while_it_holds_the_lane_back() {
        let mut pace = Pace::new(16);
        for _ in 0..100 {
            pace.delivered(TIME, false);
        }
        assert_eq!(pace.limit(), 4);
        for _ in 0..100 {
            pace.delivered(TIME, true);
        }
        assert_eq!(pace.limit(), 16);
    }

    #[test]
    fn a_receiver_that_is_back_is_met_with_one_then_two_then_four() {
        let mut pace = Pace::new(16);
        pace.unreachable(Instant::now());
        pace.restart();
        let mut limits = Vec::new();
        while pace.limit() < 16 {
            limits.push(pace.limit());
            for _ in 0..pace.limit() {
                pace.delivered(TIME, true);
            }
        }
        assert_eq!(limits, [1, 2, 4, 8]);
    }

    #[test]
    fn a_lane_that_has_just_begun_has_the_prospect_of_its_maximum_and_one_that_backed_off_has_not()
    {
        let mut pace = Pace::new(16);
        assert_eq!((pace.limit(), pace.prospect()), (4, 16.0));
        pace.unreachable(Instant::now());
        assert_eq!((pace.limit(), pace.prospect()), (1, 1.0));
    }

    #[test]
    fn an_overload_halves_it_once_for_all_that_was_in_flight() {
        let (mut pace, now) = (Pace::new(16), Instant::now());
        for _ in 0..100 {
            pace.delivered(TIME, true);
        }
        let later = now + TIME;
        pace.overloaded(now, later);
        pace.overloaded(now, later);
        assert_eq!(pace.limit(), 8);
        pace.overloaded(later + TIME, later + TIME);
        assert_eq!(pace.limit(), 4);
        // From here on by one each round trip.
        for _ in 0..4 {
            pace.delivered(TIME, true);
        }
        assert_eq!(pace.limit(), 4);
    }

    #[test]
    fn what_is_slow_depends_on_what_is_usual() {
        let mut pace = Pace::new(16);
        assert_eq!(pace.slow_after(), SLOW_FLOOR);
        pace.delivered(Duration::from_millis(500), false);
        assert_eq!(pace.slow_after(), Duration::from_secs(4));
    }

    proptest! {
        #[test]
        fn it_lies_between_one_and_its_maximum(
            max in 1usize..40,
            events in prop::collection::vec(0u8..5, 0..300),
        ) {
            let (mut pace, mut now) = (Pace::new(max), Instant::now());
            for event in events {
                now += TIME;
                match event {
                    0 => pace.overloaded(now, now),
                    1 => pace.unreachable(now),
                    2 => pace.restart(),
                    3 => pace.delivered(TIME, false),
                    _ => pace.delivered(TIME, true),
                }
                prop_assert!((1..=max).contains(&pace.limit()));
            }
        }
    }
}
