//! What the engine takes in: records, subscriptions that change, and pending deliveries.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use common::store::pending_deliveries::Claimed;
use metrics::counter;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Change, Engine, Pending};
use crate::delivery::{DELIVERY_BYTES, Delivery, Lease, Outcome, Ticket};
use crate::event::{self, Event, Record, Subject};
use crate::observe;
use crate::recorder::{Entry, NoEvent};
use crate::subscription::Subscription;

impl Engine {
    /// Queues a record's event for everyone who wants it. A record of a partition that was given
    /// up since it was fetched is another's.
    pub(super) fn fan_out(&mut self, record: Record) {
        if self.ownership.epoch(record.partition) != Some(record.epoch) {
            return;
        }
        counter!(observe::EVENTS).increment(1);
        match event::read(&record, &self.settings.topic) {
            Ok((id, subject)) => self.queue_for_all(record, id, &subject),
            Err(why) => self.bury(record, &why),
        }
    }

    fn queue_for_all(&mut self, record: Record, id: String, subject: &Subject) {
        let mut wanted = self.index.matches(subject);
        wanted.retain(|id| {
            !self
                .ownership
                .is_ahead(record.partition, record.offset, *id)
        });
        let wanted: Vec<_> = wanted
            .iter()
            .filter_map(|id| self.index.get(*id).cloned())
            .collect();
        self.outbox.push_back(Entry::Received {
            at: record.ticket(),
            deliveries: wanted.len(),
        });
        let Ticket {
            partition,
            epoch,
            offset,
        } = record.ticket();
        let event = Arc::new(Event {
            id,
            payload: record.value.unwrap_or_default(),
            content_type: record.content_type,
            traceparent: record.traceparent,
            hold: record.hold,
        });
        for subscription in wanted {
            let delivery = Delivery {
                ticket: Ticket {
                    partition,
                    epoch,
                    offset,
                },
                subscription_id: subscription.id,
                event: event.clone(),
                attempts: 0,
                lease: None,
                queued_at: Instant::now(),
                hold: self.budget.hold(DELIVERY_BYTES),
            };
            self.queue_or_park(&subscription, delivery);
        }
    }

    fn bury(&mut self, record: Record, why: &str) {
        tracing::warn!(
            partition = record.partition,
            offset = record.offset,
            why,
            "a record is no event"
        );
        let at = record.ticket();
        self.outbox.push_back(Entry::Received { at, deliveries: 1 });
        let why = why.replace('\0', "\u{fffd}");
        self.outbox
            .push_back(Entry::Malformed(NoEvent { record, why }));
    }

    fn queue_or_park(&mut self, subscription: &Arc<Subscription>, delivery: Delivery) {
        if let Err(delivery) = self.lanes.queue(subscription, delivery) {
            self.settle(delivery, Outcome::PARKED);
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        match change {
            Change::All(subscriptions) => {
                let kept: HashSet<Uuid> = subscriptions.iter().map(|kept| kept.id).collect();
                let removed: Vec<Uuid> = self.index.ids().filter(|id| !kept.contains(id)).collect();
                for id in removed {
                    self.remove(id);
                }
                for subscription in subscriptions {
                    self.upsert(subscription);
                }
            }
            Change::Upsert(subscription) => self.upsert(subscription),
            Change::Removed(id) => self.remove(id),
        }
    }

    fn upsert(&mut self, subscription: Arc<Subscription>) {
        self.lanes.change(&subscription);
        if !subscription.active {
            self.end_queued(subscription.id, Outcome::PARKED);
        }
        self.index.upsert(subscription);
    }

    fn remove(&mut self, id: Uuid) {
        self.index.remove(id);
        self.end_queued(id, Outcome::Ended);
    }

    fn end_queued(&mut self, id: Uuid, outcome: Outcome) {
        for delivery in self.lanes.withdraw(|queued| queued.subscription_id == id) {
            self.settle(delivery, outcome);
        }
    }

    pub(super) fn pending(&mut self, pending: Pending) {
        match pending {
            Pending::Rooms {
                subscription_ids,
                reply,
            } => self.answer_rooms(&subscription_ids, reply),
            Pending::Claimed { lease, rows } => {
                for row in rows {
                    self.queue_claimed(row, lease);
                }
            }
        }
    }

    fn answer_rooms(&self, subscription_ids: &[Uuid], reply: oneshot::Sender<Vec<i64>>) {
        let busy = self.budget.spent() || !self.outbox.is_empty();
        let rooms = subscription_ids.iter().map(|id| {
            let active = self.index.get(*id).is_some_and(|known| known.active);
            if busy || !active {
                return 0;
            }
            i64::try_from(self.lanes.room_for_retries(*id)).unwrap_or(i64::MAX)
        });
        if reply.send(rooms.collect()).is_err() {
            tracing::debug!("nobody waits for the rooms any more");
        }
    }

    /// Queues a claimed delivery, or gives its lease up where it has no place any more.
    fn queue_claimed(&mut self, row: Claimed, lease: Lease) {
        let epoch = self.ownership.epoch(row.partition);
        let active = self.index.get(row.subscription_id).cloned();
        let active = active.filter(|known| known.active);
        let delivery = self.claimed(row, lease, epoch.unwrap_or_default());
        match (epoch, active) {
            (Some(_), Some(subscription)) => self.queue_or_park(&subscription, delivery),
            _ => self.settle(delivery, Outcome::PARKED),
        }
    }

    fn claimed(&self, row: Claimed, lease: Lease, epoch: i64) -> Delivery {
        Delivery {
            ticket: Ticket {
                partition: row.partition,
                epoch,
                offset: row.event_offset,
            },
            subscription_id: row.subscription_id,
            attempts: u32::try_from(row.attempts).unwrap_or_default(),
            lease: Some(lease),
            queued_at: Instant::now(),
            hold: self.budget.hold(DELIVERY_BYTES),
            event: Arc::new(Event {
                id: row.event_id,
                hold: self.budget.hold(row.payload.len()),
                payload: Bytes::from(row.payload),
                content_type: row.content_type,
                traceparent: row.traceparent,
            }),
        }
    }
}
