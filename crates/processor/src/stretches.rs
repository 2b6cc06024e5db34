//! Stretches of the log that subscriptions have yet to get, and the passes that read them. Pure;
//! the engine owns them.
//!
//! A stretch without an end is a subscription that is detached from the log in that partition. It
//! gets an end when it is attached again, and is done when it has been read up to there. One pass
//! at a time reads a partition, for all whose turn it is: they ride along from where they stand,
//! and fall off when their lane has no room.

use std::collections::HashMap;

use uuid::Uuid;

/// Whose stretch it is: of a replay, or of a subscription that was detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub subscription_id: Uuid,
    pub replay: Option<Uuid>,
}

impl Key {
    /// What a subscription missed while it was detached.
    pub fn detached(subscription_id: Uuid) -> Self {
        Self {
            subscription_id,
            replay: None,
        }
    }
}

/// What is left of a stretch in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The next offset to be read.
    pub next: i64,
    /// `None` while its subscription is detached.
    pub end: Option<i64>,
    /// Up to here it is read into pending rows, lane or not: retention comes near.
    pub spill_until: i64,
    /// Up to where the recorder knows it to be read.
    pub told: i64,
}

impl Stretch {
    pub fn new(next: i64, end: Option<i64>) -> Self {
        Self {
            next,
            end,
            spill_until: next,
            told: next,
        }
    }

    /// Whether it has been read to its end.
    pub fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// Whether what is read next goes to pending rows.
    pub fn spills(&self) -> bool {
        self.next < self.spill_until
    }
}

/// One reading of a partition.
#[derive(Debug)]
pub struct Pass {
    pub id: u64,
    /// All before it that is not before the pass's start has been read.
    pub position: i64,
    pub riders: Vec<Key>,
}

/// All stretches of the partitions that are owned.
#[derive(Debug, Default)]
pub struct Stretches {
    by_partition: HashMap<i32, HashMap<Key, Stretch>>,
    passes: HashMap<i32, Pass>,
    last_pass: u64,
}

impl Stretches {
    /// Adds a stretch, unless it is there; whether it was added.
    pub fn open(&mut self, partition: i32, key: Key, stretch: Stretch) -> bool {
        let there = self.by_partition.entry(partition).or_default();
        let is_new = !there.contains_key(&key);
        there.entry(key).or_insert(stretch);
        is_new
    }

    pub fn get_mut(&mut self, partition: i32, key: Key) -> Option<&mut Stretch> {
        self.by_partition.get_mut(&partition)?.get_mut(&key)
    }

    pub fn get(&self, partition: i32, key: Key) -> Option<&Stretch> {
        self.by_partition.get(&partition)?.get(&key)
    }

    /// Whether the subscription gets this offset by its stretch, and so not from the log.
    pub fn covers(&self, partition: i32, subscription_id: Uuid, offset: i64) -> bool {
        let stretch = self.get(partition, Key::detached(subscription_id));
        stretch.is_some_and(|stretch| stretch.end.is_none_or(|end| offset < end))
    }

    pub fn close(&mut self, partition: i32, key: Key) {
        if let Some(there) = self.by_partition.get_mut(&partition) {
            there.remove(&key);
            if there.is_empty() {
                self.by_partition.remove(&partition);
            }
        }
        if let Some(pass) = self.passes.get_mut(&partition) {
            pass.riders.retain(|rider| *rider != key);
        }
    }

    /// Forgets a partition; its pass ends with it.
    pub fn forget(&mut self, partition: i32) -> Option<Pass> {
        self.by_partition.remove(&partition);
        self.passes.remove(&partition)
    }

    /// The partitions and keys of a subscription's, or of one replay's.
    pub fn of(&self, mut is_wanted: impl FnMut(&Key) -> bool) -> Vec<(i32, Key)> {
        let all = self.by_partition.iter();
        all.flat_map(|(partition, there)| there.keys().map(move |key| (*partition, *key)))
            .filter(|(_, key)| is_wanted(key))
            .collect()
    }

    /// The partitions that nothing reads and that have a stretch, in turn: from the one after
    /// `last` on.
    pub fn unread(&self, last: Option<i32>) -> Vec<i32> {
        let partitions = self.by_partition.keys();
        let unread = partitions.filter(|partition| !self.passes.contains_key(partition));
        let mut unread: Vec<i32> = unread.copied().collect();
        unread.sort_unstable_by_key(|partition| (Some(*partition) <= last, *partition));
        unread
    }

    /// In how many passes each subscription rides.
    pub fn riding(&self) -> HashMap<Uuid, usize> {
        let mut riding = HashMap::new();
        for rider in self.passes.values().flat_map(|pass| &pass.riders) {
            *riding.entry(rider.subscription_id).or_default() += 1;
        }
        riding
    }

    /// Begins to read a partition, for those that `may` ride: from where the last of them stands.
    /// `None` where there is nobody.
    pub fn begin_pass(
        &mut self,
        partition: i32,
        mut may: impl FnMut(&Key, &Stretch) -> bool,
    ) -> Option<&Pass> {
        let there = self.by_partition.get(&partition)?;
        let riders = there.iter().filter(|(key, stretch)| may(key, stretch));
        let riders: Vec<(Key, i64)> = riders.map(|(key, stretch)| (*key, stretch.next)).collect();
        let position = riders.iter().map(|(_, next)| *next).min()?;
        self.last_pass += 1;
        let pass = Pass {
            id: self.last_pass,
            position,
            riders: riders.into_iter().map(|(key, _)| key).collect(),
        };
        Some(self.passes.entry(partition).insert_entry(pass).into_mut())
    }

    /// The pass of that id, if it goes on.
    pub fn pass(&mut self, partition: i32, id: u64) -> Option<&mut Pass> {
        let pass = self.passes.get_mut(&partition)?;
        (pass.id == id).then_some(pass)
    }

    pub fn end_pass(&mut self, partition: i32) -> Option<Pass> {
        self.passes.remove(&partition)
    }

    pub fn resume_pass(&mut self, partition: i32, pass: Pass) {
        self.passes.insert(partition, pass);
    }

    /// Of a partition whose next offset is `head`, those that are detached and have read all.
    pub fn at_head(&self, partition: i32, head: i64) -> Vec<Key> {
        let there = self.by_partition.get(&partition).into_iter().flatten();
        let reached = there.filter(|(_, stretch)| stretch.end.is_none() && stretch.next >= head);
        reached.map(|(key, _)| *key).collect()
    }

    /// Forgets those that were read to an end before the next offset of their partition: what they
    /// covered has gone by.
    pub fn close_passed(&mut self, partition: i32, head: i64) {
        if let Some(there) = self.by_partition.get_mut(&partition) {
            there.retain(|key, stretch| {
                let passed = stretch.end.is_some_and(|end| end <= head);
                key.replay.is_some() || !stretch.is_done() || !passed
            });
            if there.is_empty() {
                self.by_partition.remove(&partition);
            }
        }
    }

    /// The riders of all passes, with their partitions.
    pub fn riders(&self) -> Vec<(i32, Key)> {
        let all = self.passes.iter();
        all.flat_map(|(partition, pass)| pass.riders.iter().map(move |key| (*partition, *key)))
            .collect()
    }

    pub fn count(&self) -> usize {
        self.by_partition.values().map(HashMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::detached(Uuid::now_v7())
    }

    #[test]
    fn a_detached_subscription_is_covered_from_nowhere_to_its_end() {
        let (mut stretches, key) = (Stretches::default(), key());
        stretches.open(3, key, Stretch::new(10, None));
        assert!(stretches.covers(3, key.subscription_id, 1_000_000));
        assert!(!stretches.covers(4, key.subscription_id, 10));
        stretches.get_mut(3, key).unwrap().end = Some(20);
        assert!(stretches.covers(3, key.subscription_id, 19));
        assert!(!stretches.covers(3, key.subscription_id, 20));
        stretches.close(3, key);
        assert!(!stretches.covers(3, key.subscription_id, 10));
        assert_eq!(stretches.count(), 0);
    }

    #[test]
    fn a_pass_begins_where_the_last_rider_stands() {
        let (mut stretches, [ahead, behind, barred]) =
            (Stretches::default(), [key(), key(), key()]);
        for (key, next) in [(ahead, 50), (behind, 20), (barred, 1)] {
            stretches.open(0, key, Stretch::new(next, None));
        }
        let pass = stretches.begin_pass(0, |key, _| *key != barred).unwrap();
        assert_eq!((pass.position, pass.riders.len()), (20, 2));
        let id = pass.id;
        assert!(stretches.pass(0, id).is_some() && stretches.pass(0, id + 1).is_none());
        assert_eq!(stretches.unread(None), Vec::<i32>::new());
        stretches.end_pass(0);
        assert_eq!(stretches.unread(None), [0]);
    }

    #[test]
    fn partitions_are_read_in_turn() {
        let (mut stretches, key) = (Stretches::default(), key());
        for partition in 0..4 {
            stretches.open(partition, key, Stretch::new(1, None));
        }
        assert_eq!(stretches.unread(None), [0, 1, 2, 3]);
        stretches.begin_pass(2, |_, _| true).unwrap();
        assert_eq!(stretches.unread(Some(2)), [3, 0, 1]);
        assert_eq!(stretches.riding()[&key.subscription_id], 1);
    }

    #[test]
    fn nobody_to_ride_is_no_pass() {
        let mut stretches = Stretches::default();
        stretches.open(0, key(), Stretch::new(1, None));
        assert!(stretches.begin_pass(0, |_, _| false).is_none());
        assert!(stretches.begin_pass(1, |_, _| true).is_none());
    }

    #[test]
    fn a_stretch_that_is_there_stays_as_it_is() {
        let (mut stretches, key) = (Stretches::default(), key());
        assert!(stretches.open(0, key, Stretch::new(5, None)));
        assert!(!stretches.open(0, key, Stretch::new(9, Some(10))));
        assert_eq!(stretches.get(0, key).unwrap().next, 5);
    }

    #[test]
    fn only_what_was_read_to_its_end_is_forgotten() {
        let (mut stretches, [read, unread]) = (Stretches::default(), [key(), key()]);
        stretches.open(0, read, Stretch::new(10, Some(10)));
        stretches.open(0, unread, Stretch::new(9, Some(10)));
        stretches.close_passed(0, 9);
        assert_eq!(stretches.count(), 2);
        stretches.close_passed(0, 10);
        assert!(stretches.get(0, read).is_none() && stretches.get(0, unread).is_some());
    }
}
