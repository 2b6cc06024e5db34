//! The partitions whose outcomes are recorded, and how far each is settled. Pure.
//!
//! A watermark moves when an outcome is taken into a batch. What it says is told to others only
//! when that batch is committed; a partition whose batch is refused is forgotten.

use std::collections::HashMap;

use crate::delivery::Ticket;
use crate::watermark::Watermark;

/// Every partition that is owned, under its epoch.
#[derive(Debug, Default)]
pub struct Partitions(HashMap<i32, Tracked>);

#[derive(Debug)]
struct Tracked {
    epoch: i64,
    watermark: Watermark,
    /// Whether anything happened in it since the last commit.
    touched: bool,
}

/// What a transaction says of progress, column by column.
#[derive(Debug, Default)]
pub struct Moves {
    pub partitions: Vec<i32>,
    pub epochs: Vec<i64>,
    pub next_offsets: Vec<i64>,
}

impl Partitions {
    /// A partition is owned from now on, and read from `next_offset`.
    pub fn add(&mut self, partition: i32, epoch: i64, next_offset: i64) {
        let tracked = Tracked {
            epoch,
            watermark: Watermark::starting_at(next_offset),
            touched: false,
        };
        self.0.insert(partition, tracked);
    }

    /// A partition is another's.
    pub fn remove(&mut self, partition: i32) {
        self.0.remove(&partition);
    }

    /// An event arrived there, with that many deliveries.
    pub fn receive(&mut self, at: &Ticket, deliveries: usize) {
        if let Some(tracked) = self.tracked(at) {
            tracked.watermark.receive(at.offset, deliveries);
        }
    }

    /// A delivery is settled; `false` if its partition is not owned under the ticket's epoch.
    pub fn settle(&mut self, ticket: &Ticket) -> bool {
        let tracked = self.tracked(ticket);
        let settled = tracked.map(|tracked| tracked.watermark.settle(ticket.offset));
        settled.is_some()
    }

    /// Something happened there; `false` if it is not owned under the ticket's epoch.
    pub fn touch(&mut self, at: &Ticket) -> bool {
        self.tracked(at).is_some()
    }

    /// Where the owner of the ticket's partition has to start, if that is us.
    pub fn next_offset(&self, ticket: &Ticket) -> Option<i64> {
        let tracked = self.0.get(&ticket.partition)?;
        (tracked.epoch == ticket.epoch).then(|| tracked.watermark.next_offset())
    }

    /// The partitions in which something happened since the last commit.
    pub fn moves(&self) -> Moves {
        let mut moves = Moves::default();
        for (partition, tracked) in self.0.iter().filter(|(_, tracked)| tracked.touched) {
            moves.partitions.push(*partition);
            moves.epochs.push(tracked.epoch);
            moves.next_offsets.push(tracked.watermark.next_offset());
        }
        moves
    }

    /// All that happened is committed.
    pub fn committed(&mut self) {
        for tracked in self.0.values_mut() {
            tracked.touched = false;
        }
    }

    fn tracked(&mut self, ticket: &Ticket) -> Option<&mut Tracked> {
        let tracked = self.0.get_mut(&ticket.partition)?;
        if tracked.epoch != ticket.epoch {
            return None;
        }
        tracked.touched = true;
        Some(tracked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: i64, offset: i64) -> Ticket {
        Ticket {
            partition: 3,
            epoch,
            offset,
        }
    }

    #[test]
    fn what_happens_moves_the_partition_until_it_is_committed() {
        let mut partitions = Partitions::default();
        partitions.add(3, 1, 10);
        assert!(partitions.moves().partitions.is_empty());
        partitions.receive(&at(1, 10), 1);
        assert_eq!(partitions.moves().next_offsets, [10]);
        assert!(partitions.settle(&at(1, 10)));
        assert_eq!(partitions.moves().next_offsets, [11]);
        partitions.committed();
        assert!(partitions.moves().partitions.is_empty());
    }

    #[test]
    fn a_ticket_of_another_epoch_settles_nothing() {
        let mut partitions = Partitions::default();
        partitions.add(3, 1, 10);
        partitions.receive(&at(1, 10), 1);
        partitions.add(3, 2, 10);
        partitions.receive(&at(2, 10), 1);
        assert!(!partitions.settle(&at(1, 10)));
        assert_eq!(partitions.next_offset(&at(1, 10)), None);
        assert_eq!(partitions.next_offset(&at(2, 10)), Some(10));
        partitions.remove(3);
        assert!(!partitions.settle(&at(2, 10)));
    }
}
