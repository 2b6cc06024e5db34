//! Whether something grows: a line through what was measured of it, by least squares. Pure.

use serde::Serialize;

/// What has grown by no more than so much of its mean over what is looked at stayed flat, …
pub const FLAT_PERCENT: f64 = 5.0;
/// … and so did what has grown by no more than so many standard errors: that is noise.
pub const FLAT_ERRORS: f64 = 2.0;

/// A line needs so many points to say how well it fits.
const FEWEST: usize = 3;

const HOUR_SECONDS: f64 = 3600.0;

/// How something changes over time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// The mean of what was measured.
    pub mean: f64,
    /// By how much of its mean it grows in an hour, in percent.
    pub percent_per_hour: f64,
    /// By how much it grew over what was looked at, …
    pub grown_percent: f64,
    /// … and the standard error of that.
    pub error_percent: f64,
}

impl Trend {
    /// Of points, each a time in seconds and a value; nothing where they are too few, or all at one
    /// time.
    pub fn of(points: &[(f64, f64)]) -> Option<Self> {
        if points.len() < FEWEST {
            return None;
        }
        let count = float(points.len());
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (at, value) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - at).powi(2)).sum();
        let both = points
            .iter()
            .map(|point| (point.0 - at) * (point.1 - value));
        if spread <= 0.0 {
            return None;
        }
        let slope = both.sum::<f64>() / spread;
        let off = |point: &(f64, f64)| point.1 - value - slope * (point.0 - at);
        let squares: f64 = points.iter().map(|point| off(point).powi(2)).sum();
        let error = (squares / (count - 2.0) / spread).sqrt();
        let times = points.iter().map(|point| point.0);
        let length = times.clone().fold(f64::MIN, f64::max) - times.fold(f64::MAX, f64::min);
        let percent = |change: f64| {
            if change == 0.0 {
                0.0
            } else {
                100.0 * change / value.abs()
            }
        };
        Some(Self {
            mean: value,
            percent_per_hour: percent(slope * HOUR_SECONDS),
            grown_percent: percent(slope * length),
            error_percent: percent(error * length),
        })
    }

    /// Whether it did not grow, as far as can be told. What shrinks does not grow.
    pub fn is_flat(&self) -> bool {
        self.grown_percent <= FLAT_PERCENT || self.grown_percent <= FLAT_ERRORS * self.error_percent
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(values: &[f64]) -> Trend {
        let at = |n: usize| float(n) * 60.0;
        let points = values.iter().enumerate();
        let points: Vec<_> = points.map(|(n, value)| (at(n), *value)).collect();
        Trend::of(&points).unwrap()
    }

    #[test]
    fn a_line_is_found_exactly() {
        let trend = trend(&[98.0, 99.0, 100.0, 101.0, 102.0]);
        for (found, expected) in [
            (trend.mean, 100.0),
            (trend.percent_per_hour, 60.0),
            (trend.grown_percent, 4.0),
            (trend.error_percent, 0.0),
        ] {
            assert!((found - expected).abs() < 1e-9, "{trend:?}");
        }
    }

    #[test]
    fn the_error_is_that_of_the_slope() {
        // By hand: slope 2, residuals -1, 2, -1, so that its variance is 6 / 1 / 2.
        let points = [(0.0, 1.0), (1.0, 6.0), (2.0, 5.0)];
        let trend = Trend::of(&points).unwrap();
        assert!((trend.grown_percent - 100.0).abs() < 1e-9, "{trend:?}");
        let expected = 100.0 * 2.0 * 3.0_f64.sqrt() / 4.0;
        assert!((trend.error_percent - expected).abs() < 1e-9, "{trend:?}");
    }

    #[test]
    fn what_grows_beyond_the_bound_and_beyond_noise_is_not_flat() {
        for (values, flat) in [
            (&[100.0, 101.0, 102.0, 103.0, 104.0][..], true),
            (&[100.0, 102.0, 104.0, 106.0, 108.0], false),
            (&[108.0, 106.0, 104.0, 102.0, 100.0], true),
            // A saw: it ends higher than it began, and says nothing.
            (&[10.0, 90.0, 20.0, 80.0, 30.0, 95.0], true),
            (&[0.0, 0.0, 0.0], true),
            (&[0.0, 0.0, 0.0, 4.0, 9.0, 9.0, 9.0], false),
        ] {
            assert_eq!(trend(values).is_flat(), flat, "{:?}", trend(values));
        }
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(Trend::of(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Trend::of(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
