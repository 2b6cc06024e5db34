//! Which partitions are ours, how much of each is in flight, and which are being given up. Pure,
//! but for telling who claims pending deliveries.

use std::collections::{HashMap, HashSet};

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::Assignment;
use crate::delivery::Ticket;
use crate::recorder::Positions;

#[derive(Debug)]
pub struct Ownership {
    partitions: HashMap<i32, Owned>,
    releasing: Vec<Releasing>,
    published: watch::Sender<Vec<i32>>,
}

#[derive(Debug)]
struct Owned {
    epoch: i64,
    in_flight: usize,
    /// The next offset to be fanned out.
    seen: i64,
    ahead: HashSet<(i64, Uuid)>,
    /// No more of it is taken.
    closed: bool,
}

#[derive(Debug)]
struct Releasing {
    partitions: Vec<i32>,
    deadline: Instant,
    done: oneshot::Sender<Positions>,
}

impl Ownership {
    pub fn new(published: watch::Sender<Vec<i32>>) -> Self {
        Self {
            partitions: HashMap::new(),
            releasing: Vec::new(),
            published,
        }
    }

    pub fn count(&self) -> usize {
        self.partitions.len()
    }

    /// The epoch of a partition of which more is taken.
    pub fn epoch(&self, partition: i32) -> Option<i64> {
        let owned = self.partitions.get(&partition)?;
        (!owned.closed).then_some(owned.epoch)
    }

    /// Whether an owner before us settled that delivery already.
    pub fn is_ahead(&self, partition: i32, offset: i64, subscription_id: Uuid) -> bool {
        let owned = self.partitions.get(&partition);
        owned.is_some_and(|owned| owned.ahead.contains(&(offset, subscription_id)))
    }

    /// A record of it is fanned out.
    pub fn see(&mut self, partition: i32, offset: i64) {
        if let Some(owned) = self.partitions.get_mut(&partition) {
            owned.seen = offset + 1;
        }
    }

    /// Of a partition of which more is taken: a ticket for the next offset to be fanned out.
    pub fn head(&self, partition: i32) -> Option<Ticket> {
        let owned = self.partitions.get(&partition)?;
        (!owned.closed).then_some(Ticket {
            partition,
            epoch: owned.epoch,
            offset: owned.seen,
        })
    }

    /// The partitions of which more is taken.
    pub fn open(&self) -> Vec<i32> {
        let open = self.partitions.iter().filter(|(_, owned)| !owned.closed);
        open.map(|(partition, _)| *partition).collect()
    }

    pub fn add(&mut self, assignment: Assignment) {
        let owned = Owned {
            epoch: assignment.epoch,
            in_flight: 0,
            seen: assignment.next_offset,
            ahead: assignment.ahead,
            closed: false,
        };
        self.partitions.insert(assignment.partition, owned);
        self.publish();
        if assignment.taken.send(()).is_err() {
            tracing::debug!(
                partition = assignment.partition,
                "the consumer stopped waiting"
            );
        }
    }

    /// An attempt begins.
    pub fn begin(&mut self, ticket: &Ticket) {
        if let Some(owned) = self.under(ticket) {
            owned.in_flight += 1;
        }
    }

    /// An attempt ended.
    pub fn finish(&mut self, ticket: &Ticket) {
        if let Some(owned) = self.under(ticket) {
            owned.in_flight = owned.in_flight.saturating_sub(1);
        }
    }

    pub fn release(
        &mut self,
        partitions: Vec<i32>,
        deadline: Instant,
        done: oneshot::Sender<Positions>,
    ) {
        for partition in &partitions {
            if let Some(owned) = self.partitions.get_mut(partition) {
                owned.closed = true;
            }
        }
        self.releasing.push(Releasing {
            partitions,
            deadline,
            done,
        });
        self.publish();
    }

    pub fn remove(&mut self, partitions: &[i32]) {
        self.partitions
            .retain(|partition, _| !partitions.contains(partition));
        self.publish();
    }

    /// The releases of which nothing is in flight any more, or whose time is over.
    pub fn released(&mut self, now: Instant) -> Vec<(Vec<i32>, oneshot::Sender<Positions>)> {
        let partitions = &self.partitions;
        let in_flight =
            |partition: &i32| partitions.get(partition).map_or(0, |owned| owned.in_flight);
        let ended: Vec<Releasing> = self
            .releasing
            .extract_if(.., |releasing| {
                releasing.deadline <= now || releasing.partitions.iter().all(|p| in_flight(p) == 0)
            })
            .collect();
        for releasing in &ended {
            self.remove(&releasing.partitions);
        }
        let answers = ended.into_iter();
        answers
            .map(|releasing| (releasing.partitions, releasing.done))
            .collect()
    }

    fn under(&mut self, ticket: &Ticket) -> Option<&mut Owned> {
        let owned = self.partitions.get_mut(&ticket.partition)?;
        (owned.epoch == ticket.epoch).then_some(owned)
    }

    fn publish(&self) {
        self.published.send_replace(self.open());
    }
}
