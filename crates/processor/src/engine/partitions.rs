//! Partitions that come and go: what begins with them, and what is withdrawn.

use tokio::time::Instant;

use super::{Assignment, Control, Engine};
use crate::delivery::{Delivery, Outcome};
use crate::reader::Command;
use crate::recorder::Entry;
use crate::stretches::{Key, Stretch};

impl Engine {
    pub(super) fn control(&mut self, control: Control) {
        match control {
            Control::Assigned(assignment) => self.assign(assignment),
            Control::Release {
                partitions,
                timeout,
                done,
            } => {
                self.withdraw(&partitions);
                let deadline = Instant::now() + timeout;
                self.ownership.release(partitions, deadline, done);
                self.end_releases();
            }
            Control::Lost { partitions } => self.lose(partitions),
        }
    }

    fn assign(&mut self, mut assignment: Assignment) {
        let partition = assignment.partition;
        // Also one that is assigned again, after it could not be taken at once.
        self.give_pass_up(partition);
        self.stretches.forget(partition);
        self.outbox.push_back(Entry::Assigned {
            partition,
            epoch: assignment.epoch,
            next_offset: assignment.next_offset,
        });
        for cursor in std::mem::take(&mut assignment.cursors) {
            let key = Key::detached(cursor.subscription_id);
            let (next, end) = (cursor.next_offset, cursor.end_offset);
            self.stretches.open(partition, key, Stretch::new(next, end));
            self.outbox.push_back(Entry::Opened {
                partition,
                key,
                next,
                end,
            });
        }
        for (id, key, offset) in std::mem::take(&mut assignment.blocked) {
            self.blocked.add((id, partition), &key, offset);
        }
        let (replays, of) = (std::mem::take(&mut assignment.replays), assignment.of);
        self.ownership.add(assignment);
        self.share_out(of);
        for range in &replays {
            self.open_replay(range);
        }
        self.meet_muted(partition);
        self.plan_at = Instant::now();
    }

    /// Who is detached everywhere else is so here too, or is heard again.
    fn meet_muted(&mut self, partition: i32) {
        for id in self.index.muted() {
            let open = self.stretches.get(partition, Key::detached(id));
            if open.is_some_and(|stretch| stretch.end.is_none()) {
                continue;
            }
            if self.is_let_through(id) {
                self.index.unmute(id);
            } else {
                self.detach(id, false);
            }
        }
    }

    /// Of rate limits, a replica has the share of the partitions it has.
    fn share_out(&mut self, partitions: usize) {
        if partitions > 0 {
            #[allow(clippy::cast_precision_loss, reason = "counts of partitions are small")]
            let share = self.ownership.open().len() as f64 / partitions as f64;
            self.lanes.set_share(share, Instant::now());
            self.share_replays(share);
        }
        self.partitions = partitions;
    }

    pub(super) fn fenced(&mut self, partition: i32, epoch: i64) {
        if self.ownership.epoch(partition) == Some(epoch) {
            self.lose(vec![partition]);
        }
    }

    fn lose(&mut self, partitions: Vec<i32>) {
        self.withdraw(&partitions);
        self.ownership.remove(&partitions);
        self.outbox.push_back(Entry::Lost { partitions });
        self.share_out(self.partitions);
    }

    /// Takes what is queued of those partitions out of the lanes: a new owner reads it from the
    /// log again, and finds the pending ones when their leases are given up.
    fn withdraw(&mut self, partitions: &[i32]) {
        let theirs = |delivery: &Delivery| partitions.contains(&delivery.ticket.partition);
        for delivery in self.lanes.withdraw(theirs) {
            if delivery.lease().is_some() {
                self.settle(delivery, Outcome::PARKED);
            }
        }
        for partition in partitions {
            self.blocked.forget_partition(*partition);
            let stop = Command::Stop {
                partition: *partition,
            };
            let read = self.stretches.forget(*partition);
            for key in read.iter().flat_map(|pass| &pass.riders) {
                self.release_held(*partition, *key);
            }
            if read.is_some() && self.reader.try_send(stop).is_err() {
                tracing::debug!(
                    partition,
                    "the reader is busy; what it brings is not wanted"
                );
            }
        }
    }

    pub(super) fn end_releases(&mut self) {
        for (partitions, done) in self.ownership.released(Instant::now()) {
            self.outbox.push_back(Entry::Release { partitions, done });
            self.share_out(self.partitions);
        }
    }
}
