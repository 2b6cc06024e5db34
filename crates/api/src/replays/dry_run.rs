//! What a replay would send, without sending it.
//!
//! A stretch of up to [`MAX_SCANNED`] events is read whole; of a longer one the first part of each
//! partition is, and the rest is taken to be like it.

use chrono::{DateTime, Utc};
use common::store::replays::Extent;
use common::store::subscriptions::Row;
use serde::Serialize;
use utoipa::ToSchema;

use super::Period;
use crate::error::ApiError;
use crate::log::{Log, Stretch};
use crate::selection::{Selection, Tally};

/// How many events are read at most.
const MAX_SCANNED: i64 = 10_000;

/// What a replay would send.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "since": "2026-11-23T20:00:00Z", "until": "2026-11-23T21:00:00Z", "count": 36000,
    "matching": 7200, "exact": false, "scanned": 10000, "unanswered": 0,
    "earliest": "2026-11-20T00:00:00Z"
}))]
pub struct DryRun {
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    /// How many events the stretch has.
    count: i64,
    /// How many of them the subscription wants.
    matching: i64,
    /// Whether `matching` was counted. Else it is extrapolated from the `scanned` ones: of more
    /// than 10,000 events the first part of each partition is read.
    exact: bool,
    /// How many events were read.
    scanned: i64,
    /// For how many of these the filter had no answer, which are not sent.
    unanswered: i64,
    /// The earliest `since` that is possible; `null` while the log is empty.
    earliest: Option<DateTime<Utc>>,
}

impl DryRun {
    /// Reads what it needs from the log.
    pub(super) async fn of(
        log: &Log,
        subscription: Row,
        period: Period,
        stretch: Stretch,
    ) -> Result<Self, ApiError> {
        let selection = Selection::try_from(subscription)
            .map_err(|error| ApiError::Internal(anyhow::Error::new(error)))?;
        let count = stretch.ranges.iter().map(Extent::span).sum();
        let excerpt = log.read(first_part(stretch.ranges, count)).await?;
        let exact = excerpt.whole && count <= MAX_SCANNED;
        let tally = Tally::of(excerpt.records, selection).await;
        Ok(Self {
            since: period.since,
            until: period.until,
            count,
            matching: if exact {
                tally.wanted
            } else {
                tally.extrapolated(count)
            },
            exact,
            scanned: tally.scanned,
            unanswered: tally.unanswered,
            earliest: stretch.earliest,
        })
    }
}

/// Of each range its share of what is read at most.
fn first_part(mut ranges: Vec<Extent>, count: i64) -> Vec<Extent> {
    if count > MAX_SCANNED {
        for range in &mut ranges {
            let share = i128::from(range.span()) * i128::from(MAX_SCANNED) / i128::from(count);
            range.end = range.start + i64::try_from(share).unwrap_or(MAX_SCANNED).max(1);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(partition: i32, start: i64, end: i64) -> Extent {
        Extent {
            partition,
            start,
            end,
        }
    }

    #[test]
    fn of_a_long_stretch_each_partition_is_read_in_proportion() {
        let long = vec![range(0, 5, 150_005), range(1, 0, 50_000), range(2, 7, 8)];
        let read = first_part(long, 200_001);
        assert_eq!(read, [range(0, 5, 7504), range(1, 0, 2499), range(2, 7, 8)]);
        let short = vec![range(0, 5, 9), range(1, 2, 3)];
        assert_eq!(first_part(short.clone(), 5), short);
    }
}
