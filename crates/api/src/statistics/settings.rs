//! What the statistics are judged by.

use std::time::Duration;

use common::statistics::StatisticsArgs;

/// How many deliveries should succeed, in percent, unless an operator says otherwise.
const SLO_SUCCESS: f64 = 99.9;

/// For how long a subscription may do nothing but fail, unless an operator says otherwise.
const DISABLE_AFTER: Duration = Duration::from_hours(5 * 24);

/// The part of the configuration that statistics need.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For how long they are kept.
    pub kept: StatisticsArgs,
    /// How many attempts should succeed, in percent.
    pub slo_success: f64,
    /// When a subscription is disabled that does not say.
    pub disable_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kept: StatisticsArgs::default(),
            slo_success: SLO_SUCCESS,
            disable_after: DISABLE_AFTER,
        }
    }
}

/// Reads a target in percent.
///
/// # Errors
/// Says what is none.
pub fn percent(text: &str) -> Result<f64, String> {
    let share: f64 = text
        .trim()
        .parse()
        .map_err(|_| format!("{text:?} is not a number"))?;
    if (1.0..100.0).contains(&share) {
        Ok(share)
    } else {
        Err("must be 1 or more, and less than 100: a target of 100 % has no error budget".into())
    }
}
