//! What is typical of many numbers that come one by one: their lower quartile, estimated in
//! constant space; and how a lane compares with it. Pure.
//!
//! It says how fast the faster lanes are, so that one is called slow by comparison with them and
//! not with itself: with all of them slow, as on a busy machine, none is. Each delivery is compared
//! with what is typical at its time: what was usual when the machine was busier says nothing now.

use std::time::Duration;

/// How far one sample moves the estimate: it doubles or halves within some tens of them.
const STEP: f64 = 0.1;

/// The share of samples below the estimate.
const QUANTILE: f64 = 0.25;

/// A lane's slowness is the average of so many round trips, about: each delivery weighs the less the
/// more are in flight, for those are late together where the machine stood still.
const ROUND_TRIPS: f64 = 8.0;

/// A delivery counts as no slower than so many times what is typical: a lane that was a little slow does
/// not become slow by one round trip, and three are enough for one that is.
const SLOWEST: f64 = 12.0;

/// A lane that takes so many times as long for a delivery as is typical is slow.
const SLOW: f64 = 4.0;

/// The running estimate.
#[derive(Debug, Default)]
pub struct Typical(Option<f64>);

impl Typical {
    /// One more. Gives the estimate, this one included.
    pub fn add(&mut self, sample: Duration) -> Duration {
        let seconds = sample.as_secs_f64().max(1e-9);
        let estimate = self.0.get_or_insert(seconds);
        let step = if seconds < *estimate {
            -STEP * (1.0 - QUANTILE)
        } else {
            STEP * QUANTILE
        };
        *estimate *= step.exp();
        Duration::from_secs_f64(*estimate)
    }
}

/// How many times as long as is typical one lane takes for a delivery.
#[derive(Debug)]
pub struct Slowness(f64);

impl Default for Slowness {
    /// As is typical.
    fn default() -> Self {
        Self(1.0)
    }
}

impl Slowness {
    /// A delivery, of so many at once, took so long where so much was typical.
    pub fn add(&mut self, took: Duration, typical: Duration, at_once: f64) {
        let ratio = took.div_duration_f64(typical).min(SLOWEST);
        self.0 += (ratio - self.0) / (ROUND_TRIPS * at_once);
    }

    /// Whether it is behind by its own doing.
    pub fn is_slow(&self) -> bool {
        self.0 > SLOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_faster_ones_among_slow_ones() {
        let mut typical = Typical::default();
        let mut add = |millis| typical.add(Duration::from_millis(millis));
        for n in 0..4000 {
            add(if n % 2 == 0 { 100 } else { 2 });
        }
        assert!(add(2) < Duration::from_millis(4));
    }

    #[test]
    fn where_all_are_alike_it_is_what_they_are() {
        let mut typical = Typical::default();
        typical.add(Duration::from_millis(1));
        let samples = std::iter::repeat_n(Duration::from_millis(50), 4000);
        let estimate = samples.map(|sample| typical.add(sample)).last();
        let millis = estimate.unwrap().as_millis();
        assert!((40..=60).contains(&millis), "{millis}");
    }

    #[test]
    fn one_round_trip_does_not_make_a_lane_slow_and_three_do_however_many_are_at_once() {
        let ms = Duration::from_millis;
        for at_once in [1_u32, 16, 1000] {
            let mut slowness = Slowness(1.5);
            let mut late = |round_trips| {
                for _ in 0..round_trips * at_once {
                    slowness.add(ms(1000), ms(1), f64::from(at_once));
                }
                slowness.is_slow()
            };
            assert_eq!((late(1), late(2)), (false, true), "{at_once} at once");
        }
    }

    #[test]
    fn a_lane_is_not_slow_where_all_become_much_slower() {
        for lanes in [2, 10] {
            let mut typical = Typical::default();
            let mut all: Vec<_> = (0..lanes).map(|_| Slowness::default()).collect();
            for took in [1, 50].map(Duration::from_millis) {
                for _ in 0..1000 {
                    for slowness in &mut all {
                        slowness.add(took, typical.add(took), 16.0);
                        assert!(!slowness.is_slow(), "{lanes} lanes");
                    }
                }
            }
        }
    }
}
