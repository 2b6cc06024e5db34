//! For how long statistics are kept, for who removes them and for who is asked for them.

use std::time::Duration;

use anyhow::ensure;

use super::Granularity;
use crate::human;

/// The shortest that minutes are kept: a subscription's health looks back an hour.
const LEAST: Duration = Duration::from_hours(2);

/// For how long each granularity is kept.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct StatisticsArgs {
    /// For how long statistics by the minute are kept
    #[arg(long, env = "STATISTICS_MINUTES_KEPT", default_value = "2days", value_parser = human::duration)]
    pub statistics_minutes_kept: Duration,
    /// For how long statistics by the hour are kept
    #[arg(long, env = "STATISTICS_HOURS_KEPT", default_value = "60days", value_parser = human::duration)]
    pub statistics_hours_kept: Duration,
    /// For how long statistics by the day are kept
    #[arg(long, env = "STATISTICS_DAYS_KEPT", default_value = "400days", value_parser = human::duration)]
    pub statistics_days_kept: Duration,
}

impl StatisticsArgs {
    /// For how long cells of that length are kept.
    #[must_use]
    pub fn kept(&self, granularity: Granularity) -> Duration {
        match granularity {
            Granularity::Minute => self.statistics_minutes_kept,
            Granularity::Hour => self.statistics_hours_kept,
            Granularity::Day => self.statistics_days_kept,
        }
    }

    /// Holds the settings against each other.
    ///
    /// # Errors
    /// Names those that do not fit.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.statistics_minutes_kept >= LEAST,
            "STATISTICS_MINUTES_KEPT ({:?}) must be {LEAST:?} or more",
            self.statistics_minutes_kept,
        );
        ensure!(
            self.statistics_hours_kept >= self.statistics_minutes_kept,
            "STATISTICS_HOURS_KEPT ({:?}) must not be less than STATISTICS_MINUTES_KEPT ({:?})",
            self.statistics_hours_kept,
            self.statistics_minutes_kept,
        );
        ensure!(
            self.statistics_days_kept >= self.statistics_hours_kept,
            "STATISTICS_DAYS_KEPT ({:?}) must not be less than STATISTICS_HOURS_KEPT ({:?})",
            self.statistics_days_kept,
            self.statistics_hours_kept,
        );
        Ok(())
    }
}

impl Default for StatisticsArgs {
    /// As they are without flags and environment.
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            statistics_minutes_kept: 2 * DAY,
            statistics_hours_kept: 60 * DAY,
            statistics_days_kept: 400 * DAY,
        }
    }
}
