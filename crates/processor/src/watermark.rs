//! The watermark of one partition: the lowest offset that is not settled, which is what may be
//! recorded as progress.
//!
//! It counts offsets *received*, because compaction and transactions leave gaps in a log. It
//! never passes an event with an unsettled delivery. Pure: no clock, no I/O.

use std::collections::VecDeque;

/// The events of a partition that are received and not yet passed.
#[derive(Debug)]
pub struct Watermark {
    next_offset: i64,
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    offset: i64,
    unsettled: usize,
}

impl Watermark {
    /// A partition read from `next_offset` on.
    pub fn starting_at(next_offset: i64) -> Self {
        Self {
            next_offset,
            open: VecDeque::new(),
        }
    }

    /// An event arrived, with that many deliveries to settle. Offsets arrive in order; one that
    /// arrived before says nothing new.
    pub fn receive(&mut self, offset: i64, deliveries: usize) {
        let known = self.open.back().is_some_and(|last| offset <= last.offset);
        if known || offset < self.next_offset {
            return;
        }
        self.open.push_back(Open {
            offset,
            unsettled: deliveries,
        });
        self.advance();
    }

    /// One delivery of the event at `offset` is settled.
    pub fn settle(&mut self, offset: i64) {
        if let Ok(at) = self.open.binary_search_by_key(&offset, |open| open.offset) {
            self.open[at].unsettled = self.open[at].unsettled.saturating_sub(1);
            self.advance();
        }
    }

    /// The one delivery at `offset`, which is under way already, holds it too.
    pub fn hold(&mut self, offset: i64) {
        match self.open.binary_search_by_key(&offset, |open| open.offset) {
            // Held already: it is one delivery, however often that is said.
            Ok(at) => self.open[at].unsettled = self.open[at].unsettled.max(1),
            Err(at) => self.open.insert(
                at,
                Open {
                    offset,
                    unsettled: 1,
                },
            ),
        }
        self.next_offset = self.next_offset.min(offset);
    }

    /// What was received from `offset` on is received again; the rest keeps its hold.
    pub fn rewind(&mut self, offset: i64) {
        self.open.retain(|open| open.offset < offset);
        self.next_offset = match self.open.front() {
            Some(_) => self.next_offset,
            None => self.next_offset.min(offset),
        };
    }

    /// The lowest offset not settled: where a new owner has to start.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    fn advance(&mut self) {
        while let Some(open) = self.open.pop_front_if(|open| open.unsettled == 0) {
            self.next_offset = open.offset + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_nobody_wants_is_passed_at_once() {
        let mut watermark = Watermark::starting_at(5);
        watermark.receive(5, 0);
        assert_eq!(watermark.next_offset(), 6);
    }

    #[test]
    fn gaps_in_the_log_do_not_hold_it_up() {
        let mut watermark = Watermark::starting_at(0);
        watermark.receive(3, 1);
        watermark.receive(90, 0);
        assert_eq!(watermark.next_offset(), 0);
        watermark.settle(3);
        assert_eq!(watermark.next_offset(), 91);
    }

    #[test]
    fn settling_what_was_never_received_changes_nothing() {
        let mut watermark = Watermark::starting_at(7);
        watermark.settle(9);
        assert_eq!(watermark.next_offset(), 7);
    }

    #[test]
    fn what_is_under_way_holds_it_until_it_is_settled() {
        let mut watermark = Watermark::starting_at(20);
        watermark.hold(10);
        watermark.hold(12);
        watermark.hold(10);
        watermark.receive(19, 0);
        assert_eq!(watermark.next_offset(), 10);
        watermark.settle(12);
        assert_eq!(watermark.next_offset(), 10);
        watermark.settle(10);
        assert_eq!(watermark.next_offset(), 20);
    }

    #[test]
    fn what_arrives_again_changes_nothing() {
        let mut watermark = Watermark::starting_at(0);
        watermark.receive(3, 1);
        watermark.receive(5, 1);
        watermark.receive(3, 1);
        watermark.settle(3);
        watermark.receive(3, 1);
        assert_eq!(watermark.next_offset(), 4);
        watermark.settle(5);
        assert_eq!(watermark.next_offset(), 6);
    }

    proptest! {
        #[test]
        fn it_never_passes_an_unsettled_offset_and_ends_past_the_last(
            events in prop::collection::vec((1i64..5, 0usize..4), 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 240),
        ) {
            let mut watermark = Watermark::starting_at(0);
            let mut unsettled = Vec::new();
            let mut offset = 0;
            for (gap, deliveries) in events {
                offset += gap;
                watermark.receive(offset, deliveries);
                unsettled.extend(std::iter::repeat_n(offset, deliveries));
            }
            for index in order {
                let lowest = unsettled.iter().min().copied();
                prop_assert!(watermark.next_offset() <= lowest.unwrap_or(offset + 1));
                if unsettled.is_empty() { break }
                watermark.settle(unsettled.swap_remove(index.index(unsettled.len())));
            }
            if unsettled.is_empty() {
                prop_assert_eq!(watermark.next_offset(), offset + 1);
            }
        }
    }
}
