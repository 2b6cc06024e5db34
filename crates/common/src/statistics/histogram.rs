//! How long things took, counted in buckets that grow: eight an octave.
//!
//! Bucket 0 ends at 0.1 ms, each further one at `2^(1/8)` times the one before, up to 59.6 hours;
//! the last takes what is longer. Two histograms are merged by adding, in any order. A quantile is
//! interpolated within its bucket, so it differs from that of the values themselves by
//! [`RELATIVE_ERROR`] at most (below 0.1 ms: by 0.1 ms; beyond the last border it is that border).
//! Only buckets with something in them are kept, and written down.

use super::varint;

/// How far a quantile may be off, as a share of the true one: `2^(1/8) - 1`.
pub const RELATIVE_ERROR: f64 = 0.0906;

/// Where bucket 0 ends, in microseconds.
const FIRST_BORDER_US: f64 = 100.0;

/// How many buckets double the time.
const AN_OCTAVE: f64 = 8.0;

/// The bucket of what is longer than all borders, which lie in 31 octaves.
const LAST: u8 = 31 * 8 + 1;

/// Counts by bucket, in the order of the buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(Vec<(u8, u64)>);

impl Histogram {
    /// Counts a time, in microseconds.
    pub fn record(&mut self, time_us: u64) {
        self.add(bucket(time_us), 1);
    }

    /// Adds all that another has counted.
    pub fn merge(&mut self, other: &Self) {
        // Most sums are of one.
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (bucket, count) in &other.0 {
            self.add(*bucket, *count);
        }
    }

    fn add(&mut self, bucket: u8, count: u64) {
        match self.0.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (bucket, count)),
        }
    }

    /// How many times it has counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The time, in microseconds, that a share `q` of all did not exceed; `None` of nothing.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q.clamp(0.0, 1.0) * self.count() as f64;
        let mut before = 0.0;
        for (bucket, count) in &self.0 {
            let within = *count as f64;
            if before + within >= rank {
                let (low, high) = (border(i32::from(*bucket) - 1), border((*bucket).into()));
                if *bucket == LAST {
                    return Some(low);
                }
                return Some(low + (high - low) * (rank - before).max(0.0) / within);
            }
            before += within;
        }
        None
    }

    /// As bytes: each bucket, and its count.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(3 * self.0.len());
        for (bucket, count) in &self.0 {
            bytes.push(*bucket);
            varint::put(&mut bytes, *count);
        }
        bytes
    }

    /// Reads [`to_bytes`](Self::to_bytes); `None` of what it cannot have written.
    #[must_use]
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut buckets: Vec<(u8, u64)> = Vec::new();
        while let Some((bucket, rest)) = bytes.split_first() {
            bytes = rest;
            let count = varint::take(&mut bytes)?;
            let follows = buckets.last().is_none_or(|(last, _)| last < bucket);
            if count == 0 || !follows || *bucket > LAST {
                return None;
            }
            buckets.push((*bucket, count));
        }
        Some(Self(buckets))
    }
}

/// Where a bucket ends, in microseconds; before the first is nothing.
fn border(bucket: i32) -> f64 {
    if bucket < 0 {
        return 0.0;
    }
    FIRST_BORDER_US * (f64::from(bucket) / AN_OCTAVE).exp2()
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the index is cut to what a bucket may be, and a time need not be exact"
)]
fn bucket(time_us: u64) -> u8 {
    let index = (time_us as f64 / FIRST_BORDER_US).log2() * AN_OCTAVE;
    index.ceil().clamp(0.0, LAST.into()) as u8
}

#[cfg(test)]
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks of some hundred values, and times that need not be exact"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Up to the last border.
    const LONGEST_US: u64 = 214_748_364_800;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for time in times {
            histogram.record(*time);
        }
        histogram
    }

    #[test]
    fn the_borders_are_what_the_head_says() {
        assert_eq!((bucket(0), bucket(100), bucket(101)), (0, 0, 1));
        assert_eq!((bucket(200), bucket(201)), (8, 9));
        assert_eq!(bucket(LONGEST_US), LAST - 1);
        assert_eq!((bucket(LONGEST_US + 1_000), bucket(u64::MAX)), (LAST, LAST));
        assert!((border(8) - 200.0).abs() < 1e-9);
        let of_a_ratio = border(9) / border(8);
        assert!((of_a_ratio - 1.0 - RELATIVE_ERROR).abs() < 1e-4);
    }

    #[test]
    fn nothing_has_no_quantile_and_what_is_beyond_all_borders_is_the_last() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(of(&[u64::MAX]).quantile(0.99), Some(border(248)));
        assert_eq!(of(&[0, 0]).quantile(0.0), Some(0.0));
    }

    fn times() -> impl Strategy<Value = Vec<u64>> {
        let anything = prop_oneof![0..200_u64, 100..10_000_000_u64, 0..LONGEST_US];
        proptest::collection::vec(anything, 1..200)
    }

    proptest! {
        #[test]
        fn a_quantile_is_off_by_no_more_than_a_bucket(mut values in times(), q in 0.001..1.0_f64) {
            let estimate = of(&values).quantile(q).expect("it has some");
            values.sort_unstable();
            let rank = (q * values.len() as f64).ceil() as usize;
            let exact = values[rank.clamp(1, values.len()) - 1] as f64;
            let off = (estimate - exact).abs();
            prop_assert!(off <= 100.0 || off <= exact * RELATIVE_ERROR, "{estimate} for {exact}");
        }

        #[test]
        fn merging_is_the_same_as_counting_together(a in times(), b in times(), c in times()) {
            let together = of(&[a.clone(), b.clone(), c.clone()].concat());
            let (a, b, c) = (of(&a), of(&b), of(&c));
            for order in [[&a, &b, &c], [&c, &a, &b], [&b, &c, &a]] {
                let mut merged = Histogram::default();
                for one in order {
                    merged.merge(one);
                }
                prop_assert_eq!(&merged, &together);
            }
        }

        #[test]
        fn it_is_read_as_it_was_written(values in times()) {
            let histogram = of(&values);
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(Histogram::from_bytes(&histogram.to_bytes()), Some(histogram));
        }

        #[test]
        fn what_it_has_not_written_is_refused_or_read_and_nothing_panics(bytes: Vec<u8>) {
            if let Some(read) = Histogram::from_bytes(&bytes) {
                prop_assert_eq!(Histogram::from_bytes(&read.to_bytes()), Some(read));
            }
        }
    }
}
