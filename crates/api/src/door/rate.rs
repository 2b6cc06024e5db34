//! How often something may be done: a rate with a burst, and who has used how much of it. Pure.
//!
//! A bucket is one time: when it will be full again (the generic cell rate algorithm). What is full
//! need not be remembered, so that [`Buckets`] can forget it; there are [`MAX_BUCKETS`] at most, and
//! who comes when all are taken shares one more with everybody else who does.

use std::collections::HashMap;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many are told apart at once.
pub const MAX_BUCKETS: usize = 65_536;

/// How often those that are full are looked for, where there is no place left.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The burst of a rate that names none, in seconds of it.
const BURST_SECONDS: f64 = 5.0;

/// The highest that can be said.
const MAX: f64 = 1_000_000.0;

/// So many a second, and so many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// From one to the next; `None`: as many as one likes.
    every: Option<Duration>,
    burst: u32,
}

impl Rate {
    /// As many as one likes.
    pub const UNLIMITED: Self = Self {
        every: None,
        burst: 1,
    };

    /// How long to wait for the next, if there is none now.
    fn wait(self, full_at: Instant, now: Instant) -> Option<Duration> {
        let every = self.every?;
        let used = (full_at.max(now) + every).duration_since(now);
        used.checked_sub(every * self.burst)
            .filter(|wait| !wait.is_zero())
    }

    /// When it is full again, with one more taken.
    fn taken(self, full_at: Instant, now: Instant) -> Instant {
        full_at.max(now) + self.every.unwrap_or_default()
    }
}

/// `RATE` or `RATE:BURST`; 0: as many as one likes.
impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "it must be RATE or RATE:BURST, from 0.001 to 1000000 a second and 1 to \
             1000000 at once; 0 is no limit";
        let (rate, burst) = text
            .split_once(':')
            .map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let rate: f64 = rate.parse().map_err(|_| FORM)?;
        if rate == 0.0 && burst.is_none() {
            return Ok(Self::UNLIMITED);
        }
        let burst = burst.map_or(Ok((rate * BURST_SECONDS).clamp(1.0, MAX)), str::parse);
        let burst = burst.map_err(|_| FORM)?;
        if !(0.001..=MAX).contains(&rate) || !(1.0..=MAX).contains(&burst) {
            return Err(FORM);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is 1 to 1,000,000"
        )]
        let burst = burst as u32;
        Ok(Self {
            every: Some(Duration::from_secs_f64(1.0 / rate)),
            burst,
        })
    }
}

/// A bucket each.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    used: Mutex<Used<K>>,
}

#[derive(Debug)]
struct Used<K> {
    full_at: HashMap<K, Instant>,
    /// Of all who found no place.
    others: Instant,
    swept_at: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Of that rate each, all full.
    pub fn new(rate: Rate, now: Instant) -> Self {
        let used = Used {
            full_at: HashMap::new(),
            others: now,
            swept_at: now,
        };
        Self {
            rate,
            used: Mutex::new(used),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// How long to wait for it.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        self.with(key, now, |rate, full_at| {
            if let Some(wait) = rate.wait(*full_at, now) {
                return Err(wait);
            }
            *full_at = rate.taken(*full_at, now);
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Whether one could be taken.
    ///
    /// # Errors
    /// How long to wait for it.
    pub fn look(&self, key: K, now: Instant) -> Result<(), Duration> {
        self.with(key, now, |rate, full_at| {
            rate.wait(*full_at, now).map_or(Ok(()), Err)
        })
        .unwrap_or(Ok(()))
    }

    /// Takes one, even where there is none: the wait is longer then.
    pub fn charge(&self, key: K, now: Instant) {
        self.with(key, now, |rate, full_at| {
            *full_at = rate.taken(*full_at, now);
        });
    }

    fn with<T>(
        &self,
        key: K,
        now: Instant,
        act: impl FnOnce(Rate, &mut Instant) -> T,
    ) -> Option<T> {
        self.rate.every?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(self.rate, used.bucket(key, now)))
    }
}

impl<K: Eq + Hash> Used<K> {
    fn bucket(&mut self, key: K, now: Instant) -> &mut Instant {
        if self.full_at.len() >= MAX_BUCKETS && now >= self.swept_at + SWEEP_INTERVAL {
            self.swept_at = now;
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.full_at.len() >= MAX_BUCKETS && !self.full_at.contains_key(&key) {
            return &mut self.others;
        }
        self.full_at.entry(key).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().expect(text)
    }

    #[test]
    fn a_rate_is_a_number_and_a_burst() {
        let of = |every: u64, burst| Rate {
            every: Some(Duration::from_millis(every)),
            burst,
        };
        assert_eq!(rate("10"), of(100, 50));
        assert_eq!(rate("10:7"), of(100, 7));
        assert_eq!(rate("0.1:10"), of(10_000, 10));
        assert_eq!(rate("0.1"), of(10_000, 1));
        assert_eq!(rate("0"), Rate::UNLIMITED);
        for wrong in [
            "", ":", "1:", ":1", "-1", "1:0", "0:5", "NaN", "inf", "1:NaN", "1:inf", "0.0001",
            "1e9", "1:1e9", "1:2:3", "ten",
        ] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_has_used_it_up_is_told_how_long_to_wait_and_nobody_else() {
        let now = Instant::now();
        let buckets = Buckets::new(rate("2:3"), now);
        for _ in 0..3 {
            assert_eq!(buckets.take("a", now), Ok(()));
        }
        let wait = Duration::from_millis(500);
        assert_eq!(buckets.look("a", now), Err(wait));
        assert_eq!(buckets.take("a", now), Err(wait));
        assert_eq!(buckets.take("b", now), Ok(()));
        assert_eq!(buckets.take("a", now + wait), Ok(()));
        assert_eq!(buckets.take("a", now + wait), Err(wait));
    }

    #[test]
    fn what_is_charged_beyond_it_lengthens_the_wait() {
        let now = Instant::now();
        let buckets = Buckets::new(rate("1:1"), now);
        for _ in 0..4 {
            buckets.charge((), now);
        }
        assert_eq!(buckets.look((), now), Err(Duration::from_secs(4)));
    }

    #[test]
    fn no_limit_is_none() {
        let now = Instant::now();
        let buckets = Buckets::new(Rate::UNLIMITED, now);
        assert!((0..10_000).all(|_| buckets.take((), now).is_ok()));
    }

    #[test]
    fn however_many_come_no_more_are_remembered_and_those_who_are_keep_their_own() {
        let now = Instant::now();
        let buckets = Buckets::new(rate("1:1"), now);
        assert!((0..MAX_BUCKETS).all(|key| buckets.take(key, now).is_ok()));
        // One more for all the others.
        assert_eq!(buckets.take(MAX_BUCKETS, now), Ok(()));
        assert!(buckets.take(MAX_BUCKETS + 1, now).is_err());
        assert!(buckets.take(0, now).is_err());
        // All are full again by then, and forgotten.
        let later = now + Duration::from_secs(2);
        assert_eq!(buckets.take(MAX_BUCKETS + 1, later), Ok(()));
        let used = buckets.used.lock().expect("nobody panicked");
        assert_eq!(used.full_at.len(), 1);
    }

    proptest! {
        #[test]
        fn it_never_gives_more_than_its_rate_and_burst(
            every in 1u64..2_000,
            burst in 1u32..100,
            pauses in prop::collection::vec(0u64..3_000, 1..300),
        ) {
            let start = Instant::now();
            let rate = Rate { every: Some(Duration::from_millis(every)), burst };
            let (buckets, mut now, mut taken) = (Buckets::new(rate, start), start, 0);
            for pause in pauses {
                now += Duration::from_millis(pause);
                while buckets.take((), now).is_ok() {
                    taken += 1;
                }
                let passed = u64::try_from((now - start).as_millis()).expect("minutes");
                prop_assert!(taken <= u64::from(burst) + passed / every);
            }
        }
    }
}
