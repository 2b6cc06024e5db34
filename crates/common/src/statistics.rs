//! What counts are made of: by whom or what they are about, by what became of the deliveries, and
//! how long those took. Pure.
//!
//! The processor counts, and folds what it counted into the table `statistics`; `api` reads it.

mod args;
mod cell;
mod histogram;
pub mod varint;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use args::StatisticsArgs;
pub use cell::{Cell, Timing};
pub use histogram::{Histogram, RELATIVE_ERROR};

/// The outcome under which events are counted that were taken from the topic; only for all.
pub const RECEIVED: &str = "received";

/// How long a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub enum Granularity {
    /// A minute.
    #[serde(rename = "1m")]
    Minute,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// A day, of UTC.
    #[serde(rename = "1d")]
    Day,
}

impl Granularity {
    /// As the table `statistics` has it.
    #[must_use]
    pub fn seconds(self) -> i32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    /// The same as a difference of times.
    #[must_use]
    pub fn step(self) -> TimeDelta {
        TimeDelta::seconds(self.seconds().into())
    }

    /// Where the cell begins in which a time lies.
    #[must_use]
    pub fn begin(self, time: DateTime<Utc>) -> DateTime<Utc> {
        // Fails for times of before 1677 and after 2262 only.
        time.duration_trunc(self.step()).unwrap_or(time)
    }

    /// As requests name it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
        }
    }
}

/// By what is counted. Subscriptions and cities are families beside each other, not multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Family {
    /// Everything; the key is empty.
    All,
    /// By whose the subscription was; the key names the owner.
    Owner,
    /// By subscription; the key is its id.
    Subscription,
    /// By city, up to a number of them a cell.
    City,
    /// All other cities; the key is empty.
    OtherCities,
}

/// What one cell counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// By what.
    pub family: Family,
    /// Whose, or which.
    pub key: String,
    /// What became of the deliveries, as metrics name it.
    pub outcome: String,
    /// The class of the failure; empty where nothing failed.
    pub failure: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_begins_at_its_border_and_includes_it() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().expect(text);
        for (granularity, at, begin) in [
            (
                Granularity::Minute,
                "2026-11-24T23:59:59.999Z",
                "2026-11-24T23:59:00Z",
            ),
            (
                Granularity::Hour,
                "2026-11-24T23:59:59.999Z",
                "2026-11-24T23:00:00Z",
            ),
            (
                Granularity::Day,
                "2026-11-24T23:59:59.999Z",
                "2026-11-24T00:00:00Z",
            ),
            (
                Granularity::Day,
                "2026-11-25T00:00:00Z",
                "2026-11-25T00:00:00Z",
            ),
        ] {
            assert_eq!(granularity.begin(time(at)), time(begin), "{granularity:?}");
        }
    }
}
