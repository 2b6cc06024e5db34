//! How far each stretch of the log is settled: the cursors as they are to be written. Pure.
//!
//! The same rule as for a partition: a cursor never passes an offset with an unsettled delivery.
//! A stretch that is settled to its end is gone with the commit that says so.

use std::collections::{HashMap, HashSet};

use common::store::cursors::Columns;

use crate::stretches::Key;
use crate::watermark::Watermark;

/// What one commit says of stretches.
#[derive(Debug, Default)]
pub struct Cursors {
    pub detached: Columns,
    pub replays: Columns,
}

/// Every stretch of the partitions that are owned.
#[derive(Debug, Default)]
pub struct Stretches {
    all: HashMap<(i32, Key), Tracked>,
    /// What something happened in since the last commit.
    touched: HashSet<(i32, Key)>,
}

#[derive(Debug)]
struct Tracked {
    watermark: Watermark,
    end: Option<i64>,
    settled: i64,
}

impl Stretches {
    /// A stretch that a row tells of already.
    pub fn open(&mut self, partition: i32, key: Key, next: i64, end: Option<i64>) {
        let tracked = Tracked {
            watermark: Watermark::starting_at(next),
            end,
            settled: 0,
        };
        self.all.entry((partition, key)).or_insert(tracked);
    }

    /// A subscription is detached from there on. What is in flight, of the log or of a stretch that
    /// is not settled yet, holds the cursor; the rest is read again.
    pub fn detach(&mut self, partition: i32, key: Key, from: i64, in_flight: &[i64]) {
        let tracked = self.all.entry((partition, key)).or_insert_with(|| Tracked {
            watermark: Watermark::starting_at(from),
            end: None,
            settled: 0,
        });
        tracked.watermark.rewind(from);
        for offset in in_flight.iter().filter(|offset| **offset < from) {
            tracked.watermark.hold(*offset);
        }
        // What lies between was settled as it came.
        tracked.watermark.receive(from - 1, 0);
        tracked.end = None;
        self.touched.insert((partition, key));
    }

    /// What was read from there on is read again; what is in flight before keeps its hold.
    pub fn rewind(&mut self, partition: i32, key: Key, to: i64) {
        if let Some(tracked) = self.all.get_mut(&(partition, key)) {
            tracked.watermark.rewind(to);
            self.touched.insert((partition, key));
        }
    }

    /// It gets what comes from `end` on as it comes.
    pub fn attach(&mut self, partition: i32, key: Key, end: i64) {
        if let Some(tracked) = self.all.get_mut(&(partition, key)) {
            tracked.end = Some(end);
            self.touched.insert((partition, key));
        }
    }

    /// An offset of it was read, with that many deliveries for its subscription.
    pub fn read(&mut self, partition: i32, key: Key, offset: i64, deliveries: usize) {
        if let Some(tracked) = self.all.get_mut(&(partition, key)) {
            tracked.watermark.receive(offset, deliveries);
            self.touched.insert((partition, key));
        }
    }

    /// A delivery of it is settled.
    pub fn settle(&mut self, partition: i32, key: Key, offset: i64) {
        if let Some(tracked) = self.all.get_mut(&(partition, key)) {
            tracked.watermark.settle(offset);
            tracked.settled += 1;
            self.touched.insert((partition, key));
        }
    }

    /// Nobody wants it any more.
    pub fn close(&mut self, partition: i32, key: Key) {
        self.all.remove(&(partition, key));
        self.touched.remove(&(partition, key));
    }

    /// The partition is another's.
    pub fn forget(&mut self, partition: i32) {
        self.all.retain(|(of, _), _| *of != partition);
        self.touched.retain(|(of, _)| *of != partition);
    }

    /// What is to be written, in the order of the rows' keys.
    pub fn cursors(&self) -> Cursors {
        let mut touched: Vec<_> = self.touched.iter().collect();
        touched.sort_unstable_by_key(|(partition, key)| (*key, *partition));
        let mut cursors = Cursors::default();
        for (partition, key) in touched {
            let Some(tracked) = self.all.get(&(*partition, *key)) else {
                continue;
            };
            let (columns, id) = match key.replay {
                Some(replay) => (&mut cursors.replays, replay),
                None => (&mut cursors.detached, key.subscription_id),
            };
            columns.ids.push(id);
            columns.partitions.push(*partition);
            columns.next_offsets.push(tracked.next_offset());
            columns.end_offsets.push(tracked.end);
            columns.settled.push(tracked.settled);
        }
        cursors
    }

    /// All of it is committed.
    pub fn committed(&mut self) {
        for at in self.touched.drain() {
            if self.all.get(&at).is_some_and(Tracked::is_done) {
                self.all.remove(&at);
            } else if let Some(tracked) = self.all.get_mut(&at) {
                tracked.settled = 0;
            }
        }
    }
}

impl Tracked {
    /// Never beyond its end: what comes after is not its own.
    fn next_offset(&self) -> i64 {
        let next = self.watermark.next_offset();
        self.end.map_or(next, |end| next.min(end))
    }

    fn is_done(&self) -> bool {
        self.end
            .is_some_and(|end| self.watermark.next_offset() >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn cursor(stretches: &Stretches) -> Option<(i64, Option<i64>)> {
        let columns = stretches.cursors().detached;
        let next = columns.next_offsets.first()?;
        Some((*next, columns.end_offsets[0]))
    }

    #[test]
    fn a_cursor_stands_at_the_lowest_offset_that_is_not_settled() {
        let (mut stretches, key) = (Stretches::default(), Key::detached(Uuid::now_v7()));
        stretches.detach(0, key, 5, &[]);
        assert_eq!(cursor(&stretches), Some((5, None)));
        stretches.read(0, key, 6, 1);
        stretches.read(0, key, 7, 0);
        stretches.read(0, key, 9, 1);
        stretches.settle(0, key, 9);
        assert_eq!(cursor(&stretches), Some((5, None)));
        stretches.settle(0, key, 6);
        assert_eq!(cursor(&stretches), Some((10, None)));
    }

    #[test]
    fn it_is_gone_when_it_is_settled_to_its_end() {
        let (mut stretches, key) = (Stretches::default(), Key::detached(Uuid::now_v7()));
        stretches.detach(0, key, 5, &[]);
        stretches.read(0, key, 5, 1);
        stretches.attach(0, key, 6);
        stretches.committed();
        assert_eq!(cursor(&stretches), None);
        stretches.settle(0, key, 5);
        assert_eq!(cursor(&stretches), Some((6, Some(6))));
        stretches.committed();
        assert!(stretches.all.is_empty());
    }

    #[test]
    fn detached_again_what_is_in_flight_keeps_its_hold_and_the_rest_is_read_again() {
        let (mut stretches, key) = (Stretches::default(), Key::detached(Uuid::now_v7()));
        stretches.detach(0, key, 5, &[]);
        for offset in 5..10 {
            stretches.read(0, key, offset, 1);
        }
        stretches.attach(0, key, 10);
        // 5 is in flight; 6 to 9 were queued, and are taken out.
        stretches.detach(0, key, 6, &[]);
        assert_eq!(cursor(&stretches), Some((5, None)));
        stretches.read(0, key, 6, 1);
        stretches.settle(0, key, 6);
        assert_eq!(cursor(&stretches), Some((5, None)));
        stretches.settle(0, key, 5);
        assert_eq!(cursor(&stretches), Some((7, None)));
    }

    #[test]
    fn what_is_in_flight_from_the_log_holds_the_cursor_until_it_is_settled() {
        let (mut stretches, key) = (Stretches::default(), Key::detached(Uuid::now_v7()));
        stretches.detach(0, key, 20, &[10, 12, 25]);
        assert_eq!(cursor(&stretches), Some((10, None)));
        stretches.settle(0, key, 10);
        assert_eq!(cursor(&stretches), Some((11, None)));
        stretches.settle(0, key, 12);
        assert_eq!(cursor(&stretches), Some((20, None)));
    }
}
