//! What is typical of many numbers that come one by one: their lower quartile, estimated in
//! constant space. Pure.
//!
//! It says how fast the faster lanes are, so that one is called slow by comparison with them and
//! not with itself: with all of them slow, as on a busy machine, none is.

use std::time::Duration;

/// How far one sample moves the estimate: it doubles or halves within some tens of them.
const STEP: f64 = 0.05;

/// The share of samples below the estimate.
const QUANTILE: f64 = 0.25;

/// The running estimate.
#[derive(Debug, Default)]
pub struct Typical(Option<f64>);

impl Typical {
    /// One more.
    pub fn add(&mut self, sample: Duration) {
        let seconds = sample.as_secs_f64().max(1e-9);
        let Some(estimate) = &mut self.0 else {
            self.0 = Some(seconds);
            return;
        };
        let step = if seconds < *estimate {
            -STEP * (1.0 - QUANTILE)
        } else {
            STEP * QUANTILE
        };
        *estimate *= step.exp();
    }

    /// The estimate; nothing before the first sample.
    pub fn get(&self) -> Option<Duration> {
        self.0.map(Duration::from_secs_f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_faster_ones_among_slow_ones() {
        let mut typical = Typical::default();
        for n in 0..4000 {
            typical.add(Duration::from_millis(if n % 2 == 0 { 100 } else { 2 }));
        }
        assert!(typical.get().unwrap() < Duration::from_millis(4));
    }

    #[test]
    fn where_all_are_alike_it_is_what_they_are() {
        let mut typical = Typical::default();
        typical.add(Duration::from_millis(1));
        for _ in 0..4000 {
            typical.add(Duration::from_millis(50));
        }
        let estimate = typical.get().unwrap();
        assert!((40..=60).contains(&estimate.as_millis()), "{estimate:?}");
    }
}
