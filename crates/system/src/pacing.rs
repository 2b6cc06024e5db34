//! When events are due, at a steady rate. Pure: the time is an argument.
//!
//! Events come in batches, at most one batch every [`TICK`], so that a high rate costs few wake-ups.
//! What could not be published in time is caught up with, but for no more than [`CATCH_UP`]: after
//! an outage the rate is as before, not a flood.

use std::time::Duration;

/// The shortest time between two batches.
const TICK: Duration = Duration::from_millis(5);

/// How much delay is made up for.
const CATCH_UP: Duration = Duration::from_secs(1);

const NANOS_A_SECOND: u128 = 1_000_000_000;

/// Counts what is due. Times are since its start.
#[derive(Debug)]
pub struct Pace {
    /// Events a second; at least 1.
    rate: u32,
    /// The number of the last event that was taken or given up, from 1.
    taken: u128,
}

impl Pace {
    /// A pace of so many events a second, none of them taken.
    pub fn new(rate: u32) -> Self {
        Self { rate, taken: 0 }
    }

    /// Takes what is due at `now`.
    pub fn take(&mut self, now: Duration) -> u128 {
        let earned = self.earned(now);
        let most = self.earned(CATCH_UP);
        let due = earned.saturating_sub(self.taken).min(most);
        self.taken = self.taken.max(earned);
        due
    }

    /// When to take again: something is due then.
    pub fn next(&self, now: Duration) -> Duration {
        let nanos = ((self.taken + 1) * NANOS_A_SECOND).div_ceil(u128::from(self.rate));
        let next = Duration::from_nanos_u128(nanos);
        next.max(now + TICK)
    }

    /// How many events are due in all after that time.
    fn earned(&self, time: Duration) -> u128 {
        time.as_nanos() * u128::from(self.rate) / NANOS_A_SECOND
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes for `seconds`, always on time; how many events and how many batches.
    fn run(rate: u32, seconds: u64) -> (u128, usize) {
        let mut pace = Pace::new(rate);
        let (mut now, mut events, mut batches) = (Duration::ZERO, 0, 0);
        while now <= Duration::from_secs(seconds) {
            events += pace.take(now);
            now = pace.next(now);
            batches += 1;
        }
        (events, batches)
    }

    #[test]
    fn a_rate_is_met_in_no_more_than_two_hundred_batches_a_second() {
        for rate in [1, 3, 10, 199, 201, 12_345, 100_000] {
            let (events, batches) = run(rate, 10);
            assert_eq!(events, u128::from(rate) * 10, "{rate}");
            assert!(batches <= 2_002, "{rate}: {batches}");
        }
    }

    #[test]
    fn a_low_rate_wakes_once_an_event() {
        assert_eq!(run(2, 10), (20, 21));
    }

    #[test]
    fn after_an_outage_one_second_is_caught_up_with() {
        let mut pace = Pace::new(100);
        let now = Duration::from_hours(1);
        assert_eq!(pace.take(now), 100);
        assert_eq!(pace.take(now), 0);
        assert_eq!(pace.take(now + Duration::from_millis(50)), 5);
    }

    proptest! {
        #[test]
        fn something_is_due_whenever_it_says_to_take_again(rate in 1u32..=100_000, ms in 0u64..100_000_000) {
            let mut pace = Pace::new(rate);
            let now = Duration::from_millis(ms);
            pace.take(now);
            let next = pace.next(now);
            prop_assert!(next > now);
            prop_assert!(pace.take(next) >= 1);
        }
    }
}
