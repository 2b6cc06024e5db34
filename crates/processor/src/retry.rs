//! When a delivery is tried again: a schedule of steps, with full jitter over the upper half of
//! each. Pure: the randomness is an argument.

use std::str::FromStr;
use std::time::Duration;

use common::human;

/// The longest a receiver may ask us to wait by `Retry-After`.
pub const RETRY_AFTER_LIMIT: Duration = Duration::from_hours(1);

/// The longest step of a schedule.
pub const STEP_LIMIT: Duration = Duration::from_hours(30 * 24);

/// The steps between the attempts of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Vec<Duration>);

impl Schedule {
    /// How long to wait after that many attempts have failed, or `None` when all are used up.
    ///
    /// `jitter` is uniform in `[0, 1)`. A receiver that asks for longer gets it, up to
    /// [`RETRY_AFTER_LIMIT`].
    pub fn delay(&self, failed: u32, jitter: f64, asked: Option<Duration>) -> Option<Duration> {
        let step = self.0.get(usize::try_from(failed.checked_sub(1)?).ok()?)?;
        let jittered = step.mul_f64(0.5 + jitter / 2.0);
        Some(jittered.max(asked.unwrap_or_default().min(RETRY_AFTER_LIMIT)))
    }

    /// A schedule of those steps.
    ///
    /// # Errors
    /// Which step it is that none can be.
    pub fn from_steps(steps: Vec<Duration>) -> Result<Self, String> {
        if steps.is_empty() {
            return Err("a schedule has at least one step".into());
        }
        if steps.iter().any(Duration::is_zero) {
            return Err("a step takes no time at all".into());
        }
        if steps.iter().any(|step| *step > STEP_LIMIT) {
            return Err("a step is longer than 30 days".into());
        }
        Ok(Self(steps))
    }
}

impl FromStr for Schedule {
    type Err = String;

    /// Reads `5s,30s,2m`: at least one step, each longer than nothing and at most [`STEP_LIMIT`].
    fn from_str(text: &str) -> Result<Self, String> {
        let steps = text.split(',').map(human::duration);
        Self::from_steps(steps.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_steps_are_used_up_in_order() {
        let schedule: Schedule = "10s,1m".parse().unwrap();
        assert_eq!(schedule.delay(1, 0.0, None), Some(Duration::from_secs(5)));
        assert_eq!(schedule.delay(2, 0.0, None), Some(Duration::from_secs(30)));
        assert_eq!(schedule.delay(3, 0.0, None), None);
    }

    #[test]
    fn retry_after_lengthens_a_step_up_to_its_limit() {
        let schedule: Schedule = "10s".parse().unwrap();
        let delay = |asked| schedule.delay(1, 0.0, Some(Duration::from_secs(asked)));
        assert_eq!(delay(1), Some(Duration::from_secs(5)));
        assert_eq!(delay(90), Some(Duration::from_secs(90)));
        assert_eq!(delay(1_000_000), Some(RETRY_AFTER_LIMIT));
    }

    #[test]
    fn a_schedule_that_is_none_is_named() {
        for text in [
            "",
            "5s,,1m",
            "soon",
            "0s",
            "5s,0ms",
            "31days",
            "18446744073709551615s",
        ] {
            assert!(text.parse::<Schedule>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_delay_lies_in_the_upper_half_of_its_step(ms in 1u64..100_000_000, jitter in 0.0..1.0f64) {
            let step = Duration::from_millis(ms);
            let delay = Schedule(vec![step]).delay(1, jitter, None).unwrap();
            prop_assert!(step.div_f64(2.0) <= delay && delay <= step);
        }
    }
}
