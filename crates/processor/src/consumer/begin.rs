//! Begins partitions that were assigned: claims each in Postgres, under a new epoch, and records
//! where it is read from.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use common::store::cursors::{self, Cursor};
use common::store::pending_deliveries;
use common::store::replays::{self, Range};
use metrics::counter;
use sqlx::PgPool;
use uuid::Uuid;

use super::start::{self, Found, Why};
use crate::observe;
use crate::store::{progress, settled_ahead};

/// A partition, claimed, and where it is read from.
#[derive(Debug)]
pub struct Begun {
    pub partition: i32,
    pub epoch: i64,
    pub offset: i64,
    pub why: Why,
    /// Offsets and subscriptions settled beyond that.
    pub ahead: HashSet<(i64, Uuid)>,
    /// What subscriptions have yet to get of it besides.
    pub cursors: Vec<Cursor>,
    pub replays: Vec<Range>,
    /// Keys of ordered subscriptions that wait for a pending delivery.
    pub blocked: Vec<(Uuid, String, i64)>,
}

/// Claims the partitions for `owner`, and decides where each begins by what Kafka knows of it.
///
/// # Errors
/// The database's. What was claimed by then is claimed again, under a higher epoch.
pub async fn all(
    db: &PgPool,
    (topic, owner): (&str, &str),
    found: &HashMap<i32, Found>,
) -> anyhow::Result<Vec<Begun>> {
    let partitions: Vec<i32> = found.keys().copied().collect();
    let claimed = progress::claim(db, topic, &partitions, owner)
        .await
        .context("claiming partitions")?;
    let mut begun = Vec::new();
    for claimed in claimed {
        let mut found = found[&claimed.partition];
        found.recorded = claimed.next_offset;
        begun.push(one(db, topic, &claimed, start::decide(&found)).await?);
    }
    let running = replays::running(db, topic)
        .await
        .context("reading the replays")?;
    for begun in &mut begun {
        let theirs = running
            .iter()
            .filter(|range| range.partition == begun.partition);
        begun.replays = theirs.copied().collect();
    }
    Ok(begun)
}

/// Records where a partition begins, and reads what is settled beyond that and what is yet to be
/// caught up with, but for replays.
async fn one(
    db: &PgPool,
    topic: &str,
    claimed: &progress::Claimed,
    (offset, why): (i64, Why),
) -> anyhow::Result<Begun> {
    let (partition, epoch) = (claimed.partition, claimed.epoch);
    if matches!(why, Why::Reset | Why::Anew) {
        settled_ahead::clear(db, topic, partition)
            .await
            .context("forgetting what was settled ahead")?;
    }
    if why == Why::Anew {
        cursors::clear(db, topic, partition)
            .await
            .context("forgetting cursors into another log")?;
        replays::end_ranges(db, topic, partition)
            .await
            .context("ending replays of another log")?;
    }
    if claimed.next_offset != Some(offset) {
        let columns: (&[i32], &[i64], &[i64]) = (&[partition], &[epoch], &[offset]);
        progress::advance(db, topic, columns, Uuid::now_v7())
            .await
            .context("recording where a partition begins")?;
    }
    let loaded = settled_ahead::load(db, topic, partition)
        .await
        .context("reading what is settled ahead")?;
    let pairs = loaded
        .into_iter()
        .flat_map(|pairs| pairs.offsets.into_iter().zip(pairs.subscription_ids));
    Ok(Begun {
        cursors: cursors::load(db, topic, partition)
            .await
            .context("reading the cursors")?,
        blocked: pending_deliveries::ordered(db, topic, partition)
            .await
            .context("reading what later deliveries wait for")?,
        replays: Vec::new(),
        partition,
        epoch,
        offset,
        why,
        ahead: pairs.collect(),
    })
}

impl Begun {
    /// Says where it begins, as loudly as that deserves, and counts what is missing.
    pub fn report(&self) {
        let (partition, offset) = (self.partition, self.offset);
        match self.why {
            Why::First => tracing::info!(partition, offset, "reading for the first time"),
            Why::Progress => tracing::info!(partition, offset, "going on"),
            Why::Reset => tracing::warn!(
                partition,
                offset,
                "the group's offset was reset; going there"
            ),
            Why::Anew => tracing::warn!(
                partition,
                offset,
                "the topic was made anew; beginning at its start"
            ),
            Why::Passed { missing } => {
                counter!(observe::MISSING).increment(missing.unsigned_abs());
                tracing::error!(
                    partition,
                    offset,
                    missing,
                    "retention removed records before they were read"
                );
            }
        }
    }
}
