//! Replays that run, and what else concerns stretches from outside: those that nobody wants any
//! more, and those that retention comes near to.

use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use crate::bucket::Bucket;
use crate::delivery::{Delivery, Source};
use crate::recorder::Entry;
use crate::stretches::{Key, Stretch};
use common::store::replays::Range;

/// A running replay.
#[derive(Debug)]
pub struct Replay {
    rate: Option<f64>,
    pub(super) bucket: Option<Bucket>,
}

impl Engine {
    /// Progress of stretches that wanted nothing of what they read, and those that are over.
    pub(super) fn tidy_stretches(&mut self) {
        for (partition, key) in self.stretches.riders() {
            self.tell_read(partition, key);
        }
        for partition in self.ownership.open() {
            if let Some(head) = self.ownership.head(partition) {
                self.stretches.close_passed(partition, head.offset);
            }
        }
    }

    /// The replays that run, with what is left of them.
    pub(super) fn replays(&mut self, ranges: &[Range]) {
        let running = |id: &Uuid| ranges.iter().any(|range| range.replay_id == *id);
        self.replays.retain(|id, _| running(id));
        let over = self
            .stretches
            .of(|key| key.replay.is_some_and(|id| !running(&id)));
        for (partition, key) in over {
            self.close_stretch(partition, key);
        }
        for range in ranges {
            self.open_replay(range);
        }
        self.plan_at = Instant::now();
    }

    pub(super) fn open_replay(&mut self, range: &Range) {
        let Some(epoch) = self.ownership.epoch(range.partition) else {
            return;
        };
        tracing::debug!(replay.id = %range.replay_id, partition = range.partition, epoch, "replaying");
        let share = self.lanes.share();
        self.replays
            .entry(range.replay_id)
            .or_insert_with(|| Replay {
                rate: range.rate,
                bucket: range
                    .rate
                    .map(|rate| Bucket::new(rate * share, Instant::now())),
            });
        let key = Key {
            subscription_id: range.subscription_id,
            replay: Some(range.replay_id),
        };
        let stretch = Stretch::new(range.next_offset, Some(range.end_offset));
        if self.stretches.open(range.partition, key, stretch) {
            self.outbox.push_back(Entry::Opened {
                partition: range.partition,
                key,
                next: range.next_offset,
                end: Some(range.end_offset),
            });
        }
    }

    /// Nobody wants a stretch any more: what is queued of it is dropped.
    pub(super) fn close_stretch(&mut self, partition: i32, key: Key) {
        let theirs = |delivery: &Delivery| {
            matches!(delivery.source, Source::CatchUp)
                && delivery.key() == key
                && delivery.ticket.partition == partition
        };
        drop(self.lanes.withdraw_from(key.subscription_id, theirs));
        self.stretches.close(partition, key);
        self.release_held(partition, key);
        self.outbox.push_back(Entry::Closed { partition, key });
    }

    /// Retention comes near: what lies before this offset goes to pending rows.
    pub(super) fn spill_before(&mut self, partition: i32, offset: i64) {
        let keys = self.stretches.of(|key| key.replay.is_none());
        for (of, key) in keys {
            let spills = self
                .index
                .get(key.subscription_id)
                .is_some_and(|known| known.spills);
            if of == partition
                && spills
                && let Some(stretch) = self.stretches.get_mut(partition, key)
            {
                stretch.spill_until = stretch.spill_until.max(offset);
            }
        }
        self.plan_soon();
    }

    /// Of the rates of replays too, a replica has the share of the partitions it has.
    pub(super) fn share_replays(&mut self, share: f64) {
        let now = Instant::now();
        for replay in self.replays.values_mut() {
            if let Some((rate, bucket)) = replay.rate.zip(replay.bucket.as_mut()) {
                bucket.set_rate(rate * share, now);
            }
        }
    }
}
