//! What is typical of many numbers that come one by one: their lower quartile, estimated in
//! constant space; and how a lane compares with it. Pure.
//!
//! It says how fast the faster lanes are, so that one is called slow by comparison with them and
//! not with itself: with all of them slow, as on a busy machine, none is. Each delivery is compared
//! with what is typical at its time: what was usual when the machine was busier says nothing now.

use std::time::Duration;

/// How far one sample moves the estimate: it doubles or halves within some tens of them.
const STEP: f64 = 0.05;

/// The share of samples below the estimate.
const QUANTILE: f64 = 0.25;

/// The weight of a new delivery in a lane's slowness is one in so many, so that what is typical has
/// followed by then where all became slower.
const SMOOTHING: f64 = 128.0;

/// A delivery counts as no slower than so many times what is typical: so many as a lane has in flight
/// are all late after a moment in which the machine stood still, and must not outweigh the rest.
const SLOWEST: f64 = 24.0;

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
    /// A delivery took so long, when so much was typical.
    pub fn add(&mut self, took: Duration, typical: Duration) {
        let ratio = took.div_duration_f64(typical).min(SLOWEST);
        self.0 += (ratio - self.0) / SMOOTHING;
    }

    /// The running average.
    pub fn get(&self) -> f64 {
        self.0
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
    fn a_lane_is_slow_after_many_slow_deliveries_and_not_after_a_stall_or_when_all_are() {
        let (mut slowness, ms) = (Slowness::default(), Duration::from_millis);
        for _ in 0..16 {
            slowness.add(ms(1000), ms(1));
        }
        assert!(slowness.get() < 4.0);
        for _ in 0..200 {
            slowness.add(ms(1000), ms(900));
        }
        assert!(slowness.get() < 2.0);
        for _ in 0..200 {
            slowness.add(ms(6), ms(1));
        }
        assert!(slowness.get() > 4.0);
    }
}
