//! What the engine takes in: records, subscriptions that change, and pending deliveries.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use common::event::trace_id;
use common::store::circuits::Circuit;
use common::store::pending_deliveries::Claimed;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::catch_up::event_of;
use super::{All, Change, Engine, Pending, Room};
use crate::delivery::{DELIVERY_BYTES, Delivery, Lease, Outcome, Source, Ticket};
use crate::event::{self, Event, Record, Subject};
use crate::filtered::Filtered;
use crate::recorder::{Entry, NoEvent};
use crate::spans;
use crate::subscription::Subscription;

impl Engine {
    /// Queues a record's event for everyone who wants it. A record of a partition that was given
    /// up since it was fetched is another's.
    pub(super) fn fan_out(&mut self, record: Record) {
        if self.ownership.epoch(record.partition) != Some(record.epoch) {
            return;
        }
        self.meters.count_event();
        self.ownership.see(record.partition, record.offset);
        match event::read(&record, &self.settings.topic, self.settings.kind) {
            Ok((id, subject)) => self.queue_for_all(record, id, &subject),
            Err(why) => self.bury(record, &why),
        }
    }

    fn queue_for_all(&mut self, mut record: Record, id: String, subject: &Subject) {
        let mut span = spans::fan_out(&self.settings, &record, &id);
        let at = record.ticket();
        let (partition, epoch, offset) = (at.partition, at.epoch, at.offset);
        let mut wanted = self.index.matches(subject);
        wanted.retain(|id| {
            !self.ownership.is_ahead(partition, offset, *id)
                && !self.stretches.covers(partition, *id, offset)
        });
        let filtered = Filtered::new(record.value.clone().unwrap_or_default());
        let wanted: Vec<_> = wanted
            .iter()
            .filter_map(|id| self.index.get(*id).cloned())
            .filter(|subscription| filtered.passes(subscription))
            .collect();
        self.outbox.push_back(Entry::Received {
            at,
            deliveries: wanted.len(),
        });
        if let Some(span) = &mut span {
            span.set(
                "deliveries",
                i64::try_from(wanted.len()).unwrap_or(i64::MAX),
            );
            record.traceparent = Some(span.traceparent());
        }
        let event = Arc::new(event_of(record, id, subject));
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
                source: Source::Log,
                replay: None,
                queued_at: Instant::now(),
                hold: self.budget.hold(DELIVERY_BYTES),
            };
            self.queue(&subscription, delivery);
        }
    }

    fn bury(&mut self, record: Record, why: &str) {
        tracing::warn!(
            partition = record.partition,
            offset = record.offset,
            why,
            trace_id = record.traceparent.as_deref().and_then(trace_id),
            "a record is no event"
        );
        let at = record.ticket();
        self.outbox.push_back(Entry::Received { at, deliveries: 1 });
        let why = why.replace('\0', "\u{fffd}");
        self.outbox
            .push_back(Entry::Malformed(NoEvent { record, why }));
    }

    pub(super) fn change(&mut self, change: Change) {
        match change {
            Change::All(all) => self.change_all(all),
            Change::Held(held) => self.hold(&held),
            Change::Upsert(subscription, circuit) => self.upsert(&subscription, circuit.as_ref()),
            Change::Removed(id) => self.remove(id),
            Change::Replays(ranges) => self.replays(&ranges),
            Change::Spill { partition, before } => self.spill_before(partition, before),
        }
    }

    fn change_all(&mut self, all: All) {
        let usable = all.subscriptions.iter().chain(&all.held);
        let usable = usable.map(|subscription| subscription.id);
        let as_known = all.unchanged.iter().chain(&all.unusable).copied();
        let kept: HashSet<Uuid> = usable.chain(as_known).collect();
        let removed: Vec<Uuid> = self.index.ids().filter(|id| !kept.contains(id)).collect();
        for id in removed {
            self.remove(id);
        }
        let circuits = all.circuits.iter();
        let circuits: HashMap<Uuid, &Circuit> = circuits
            .map(|circuit| (circuit.subscription_id, circuit))
            .collect();
        for subscription in all.subscriptions {
            let circuit = circuits.get(&subscription.id).copied();
            self.upsert(&subscription, circuit);
        }
        for id in all.unchanged {
            if let Some(subscription) = self.index.get(id).cloned() {
                self.learn_circuit(id, circuits.get(&id).copied());
                self.admit(&subscription);
            }
        }
        self.hold(&all.held);
    }

    fn hold(&mut self, held: &[Arc<Subscription>]) {
        for subscription in held {
            if self.index.get(subscription.id).is_none() {
                self.upsert(subscription, None);
            }
        }
    }

    fn upsert(&mut self, subscription: &Arc<Subscription>, circuit: Option<&Circuit>) {
        self.learn_circuit(subscription.id, circuit);
        self.lanes.change(subscription, Instant::now());
        self.index.upsert(subscription.clone());
        self.admit(subscription);
    }

    fn remove(&mut self, id: Uuid) {
        self.index.remove(id);
        self.circuits.remove(&id);
        self.blocked.forget(id);
        for (partition, key) in self.stretches.of(|key| key.subscription_id == id) {
            self.close_stretch(partition, key);
        }
        for delivery in self.lanes.withdraw_from(id, |_| true) {
            self.settle(delivery, Outcome::Ended);
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

    fn answer_rooms(&self, subscription_ids: &[Uuid], reply: oneshot::Sender<Vec<Room>>) {
        let busy = self.budget.spent() || !self.outbox.is_empty();
        let rooms = subscription_ids.iter().map(|id| {
            let known = self.index.get(*id).filter(|_| self.is_let_through(*id));
            let Some(subscription) = known.filter(|_| !busy) else {
                return Room::default();
            };
            Room {
                rows: i64::try_from(self.lanes.room_for_retries(*id)).unwrap_or(i64::MAX),
                ordered: subscription.policy.ordered,
            }
        });
        if reply.send(rooms.collect()).is_err() {
            tracing::debug!("nobody waits for the rooms any more");
        }
    }

    /// Queues a claimed delivery, or gives its lease up where it has no place any more.
    fn queue_claimed(&mut self, row: Claimed, lease: Lease) {
        let epoch = self.ownership.epoch(row.partition);
        let known = self.index.get(row.subscription_id).cloned();
        let active = known.filter(|known| self.is_let_through(known.id));
        let delivery = self.claimed(row, lease, epoch.unwrap_or_default());
        match (epoch, active) {
            (Some(_), Some(subscription)) => self.queue(&subscription, delivery),
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
            source: Source::Pending(lease),
            replay: row.replay_id,
            queued_at: Instant::now(),
            hold: self.budget.hold(DELIVERY_BYTES),
            event: Arc::new(Event {
                id: row.event_id,
                hold: self.budget.hold(row.payload.len()),
                payload: Bytes::from(row.payload),
                content_type: row.content_type,
                traceparent: row.traceparent,
                key: row.event_key,
                published_at: row.published_at,
            }),
        }
    }
}
