//! What the recorder takes in: where each entry counts.

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Entry, NoEvent, Positions, Recorder, Settled};
use crate::delivery::{Source, Ticket};
use crate::stretches::Key;

impl Recorder {
    /// Takes an entry in; what a release asks for is answered when all before it is committed.
    pub(super) fn take(&mut self, entry: Entry) -> Option<(Vec<i32>, oneshot::Sender<Positions>)> {
        match entry {
            Entry::Assigned {
                partition,
                epoch,
                next_offset,
            } => {
                // Also one that is assigned again, after it could not be taken at once.
                self.stretches.forget(partition);
                self.partitions.add(partition, epoch, next_offset);
            }
            Entry::Received { at, deliveries } => {
                self.partitions.receive(&at, deliveries);
                self.statistics.receive(Instant::now());
            }
            Entry::Settled(settled) => self.take_settled(settled),
            Entry::Malformed(malformed) => self.take_malformed(malformed),
            Entry::Noted {
                subscription_id,
                note,
            } => self.circuits.note(subscription_id, note),
            Entry::Opened {
                partition,
                key,
                next,
                end,
            } => self.stretches.open(partition, key, next, end),
            Entry::Closed { partition, key } => self.stretches.close(partition, key),
            Entry::Detached {
                subscription_id,
                cursors,
                withdrawn,
                in_flight,
            } => self.detach(subscription_id, &cursors, &withdrawn, &in_flight),
            Entry::Attached { key, at } => {
                if self.partitions.touch(&at) {
                    self.stretches.attach(at.partition, key, at.offset);
                }
            }
            Entry::Rewound { key, at } => {
                if self.partitions.touch(&at) {
                    self.stretches.rewind(at.partition, key, at.offset);
                }
            }
            Entry::Read {
                key,
                at,
                deliveries,
            } => {
                if self.partitions.touch(&at) {
                    self.stretches
                        .read(at.partition, key, at.offset, deliveries);
                }
            }
            Entry::Release { partitions, done } => return Some((partitions, done)),
            Entry::Lost { partitions } => self.forget(&partitions),
        }
        None
    }

    fn take_settled(&mut self, settled: Settled) {
        let (delivery, ticket) = (&settled.delivery, &settled.delivery.ticket);
        let owned = match delivery.source {
            Source::Pending(_) => true,
            Source::Log => self.partitions.settle(ticket),
            Source::CatchUp => self.partitions.touch(ticket),
        };
        if !owned {
            return;
        }
        let key = match delivery.source {
            Source::Pending(_) => None,
            // It may have been in flight when its subscription was detached.
            Source::Log => Some(Key::detached(delivery.subscription_id)),
            Source::CatchUp => Some(delivery.key()),
        };
        if let Some(key) = key {
            self.stretches.settle(ticket.partition, key, ticket.offset);
        }
        self.bytes += settled.bytes_to_write();
        self.settled.push(settled);
    }

    /// From here on the cursor holds what the tickets held; both are written at once.
    fn detach(
        &mut self,
        subscription_id: Uuid,
        cursors: &[Ticket],
        withdrawn: &[Ticket],
        in_flight: &[(i32, i64)],
    ) {
        let key = Key::detached(subscription_id);
        for at in cursors {
            if self.partitions.touch(at) {
                let there = in_flight.iter().filter(|(of, _)| *of == at.partition);
                let there: Vec<i64> = there.map(|(_, offset)| *offset).collect();
                self.stretches.detach(at.partition, key, at.offset, &there);
            }
        }
        for ticket in withdrawn {
            self.partitions.settle(ticket);
        }
    }

    fn take_malformed(&mut self, malformed: NoEvent) {
        let record = &malformed.record;
        if self.partitions.settle(&record.ticket()) {
            self.bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
            self.malformed.push(malformed);
        }
    }
}
