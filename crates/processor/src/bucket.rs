//! A token bucket: what one lane may send a second. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// How much of a second's worth may be sent at once after a pause.
const BURST_SECONDS: f64 = 0.25;

/// One lane's.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket of that many a second.
    pub fn new(per_second: f64, now: Instant) -> Self {
        Self {
            per_second,
            tokens: burst(per_second),
            filled_at: now,
        }
    }

    /// The rate changed: another limit, or another share of it.
    pub fn set_rate(&mut self, per_second: f64, now: Instant) {
        self.fill(now);
        self.per_second = per_second;
        self.tokens = self.tokens.min(burst(per_second));
    }

    /// Takes one, or says when there will be one.
    ///
    /// # Errors
    /// When to try again.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let ready_at = self.ready_at(now);
        if ready_at > now {
            return Err(ready_at);
        }
        self.spend();
        Ok(())
    }

    /// When there is one: `now`, or later.
    pub fn ready_at(&mut self, now: Instant) -> Instant {
        self.fill(now);
        if self.tokens >= 1.0 {
            return now;
        }
        let wait = (1.0 - self.tokens) / self.per_second;
        // A millisecond more, so that rounding does not make it one look too early.
        now + Duration::from_secs_f64(wait.min(MAX_WAIT_SECONDS)) + Duration::from_millis(1)
    }

    /// Takes the one that is there.
    pub fn spend(&mut self) {
        self.tokens -= 1.0;
    }

    /// Whether all that may be sent at once is there.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= burst(self.per_second)
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(burst(self.per_second));
        self.filled_at = now;
    }
}

/// The longest it waits before it looks again.
const MAX_WAIT_SECONDS: f64 = 60.0;

fn burst(per_second: f64) -> f64 {
    (per_second * BURST_SECONDS).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_one_says_when_it_has_a_token_again() {
        let now = Instant::now();
        let mut bucket = Bucket::new(2.0, now);
        assert_eq!(bucket.take(now), Ok(()));
        let again = bucket.take(now).unwrap_err();
        assert!(again >= now + Duration::from_millis(500));
        assert_eq!(bucket.take(again), Ok(()));
    }

    proptest! {
        #[test]
        fn it_never_gives_more_than_its_rate_and_burst(
            rate in 0.5..500.0f64,
            pauses in prop::collection::vec(0u64..300, 1..500),
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (Bucket::new(rate, start), start, 0.0);
            for pause in pauses {
                now += Duration::from_millis(pause);
                while bucket.take(now).is_ok() {
                    taken += 1.0;
                }
                let most = burst(rate) + (now - start).as_secs_f64() * rate;
                prop_assert!(taken <= most + 1e-6);
            }
        }
    }
}
