//! How far the processors are behind the log, in offsets: progress of Postgres against Kafka's end.
//!
//! `api` asks Kafka itself, so that it is told too while no processor runs. Offsets that compaction
//! or transactions left empty count as events.

use std::time::Duration;

use serde::Serialize;
use sqlx::PgPool;
use tokio::time::timeout;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::log::Log;
use crate::store::backlog;

/// How long Kafka may take, which others may be asking too.
const LIMIT: Duration = Duration::from_secs(1);

/// How far the processors are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lag {
    /// Over all partitions of which somebody has begun.
    events: i64,
    /// How many these are.
    partitions: usize,
}

impl Lag {
    /// `None` where Kafka does not answer in time.
    pub async fn of(db: &PgPool, log: &Log) -> sqlx::Result<Option<Self>> {
        let settled = backlog::settled(db, log.topic()).await?;
        Ok(behind(log, &settled).await.map(|events| Self {
            events,
            partitions: settled.len(),
        }))
    }
}

/// How many offsets a subscription that is held back has before it; `None` where it is not, or
/// Kafka does not answer in time. Not all of them need be for it.
pub async fn held_back(db: &PgPool, log: &Log, id: Uuid) -> sqlx::Result<Option<i64>> {
    let cursors = backlog::cursors(db, log.topic(), id).await?;
    if cursors.is_empty() {
        return Ok(None);
    }
    Ok(behind(log, &cursors).await)
}

async fn behind(log: &Log, places: &[(i32, i64)]) -> Option<i64> {
    match timeout(LIMIT, log.ends()).await {
        Ok(Ok(ends)) => Some(distance(places, &ends)),
        Ok(Err(error)) => {
            let error = anyhow::Error::new(error);
            tracing::warn!("the lag is not known: {error:#}");
            None
        }
        Err(_) => {
            tracing::warn!("the lag is not known: Kafka takes too long");
            None
        }
    }
}

fn distance(places: &[(i32, i64)], ends: &[(i32, i64)]) -> i64 {
    let of = |partition: i32| ends.iter().find(|(at, _)| *at == partition);
    let distances = places.iter().map(|(partition, offset)| {
        // A topic that was made anew is shorter than what was settled of the old one.
        of(*partition).map_or(0, |(_, end)| (end - offset).max(0))
    });
    distances.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_is_from_each_place_to_its_end() {
        let ends = [(0, 10), (1, 5), (2, 3)];
        assert_eq!(distance(&[(0, 4), (1, 5)], &ends), 6);
        // Longer than the log, and a partition that is gone.
        assert_eq!(distance(&[(2, 9), (7, 1)], &ends), 0);
    }
}
