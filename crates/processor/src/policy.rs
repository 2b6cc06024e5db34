//! What a subscription asks for of its own; what it leaves open is the processor's default.

use std::time::Duration;

use common::store::subscriptions::{Coalesce, Ordering, Row};

use crate::retry::Schedule;

/// One subscription's.
#[derive(Debug, Default)]
pub struct Policy {
    pub schedule: Option<Schedule>,
    /// Older events expire.
    pub max_age: Option<Duration>,
    /// Deliveries a second, over all replicas.
    pub rate_limit: Option<f64>,
    pub max_in_flight: Option<usize>,
    /// Events of one key go out one after another.
    pub ordered: bool,
    /// Of what waits, only the newest of each key goes out.
    pub coalesces: bool,
}

impl TryFrom<&Row> for Policy {
    type Error = String;

    /// Fails for a row that `api` would not have written.
    fn try_from(row: &Row) -> Result<Self, String> {
        let steps = row.retry_schedule_ms.as_ref();
        let schedule = steps.map(|steps| steps.iter().copied().map(duration).collect());
        Ok(Self {
            schedule: schedule.map(Schedule::from_steps).transpose()?,
            max_age: row.max_age_ms.map(duration),
            rate_limit: row.rate_limit,
            max_in_flight: row.max_in_flight.and_then(|max| usize::try_from(max).ok()),
            ordered: row.ordering == Ordering::PerKey,
            coalesces: row.coalesce == Coalesce::LatestPerKey,
        })
    }
}

/// Milliseconds, as the table keeps durations.
pub fn duration(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}
