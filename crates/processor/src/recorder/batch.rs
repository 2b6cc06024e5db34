//! What one transaction writes: outcomes, turned into rows column by column. Pure.
//!
//! | the delivery came from | delivered, ended | retry, postponed | dead |
//! | --- | --- | --- | --- |
//! | the log | no row | a pending row is added | a dead letter is added |
//! | a pending row under lease | the row goes | the row waits again | a dead letter takes its place |

use std::collections::BTreeMap;

use common::attempt_log::AttemptLog;
use common::store::attempts;
use common::store::dead_letters::{self, Reason as DeadReason};
use common::store::pending_deliveries::{self, Deliveries, Keys};
use common::store::undelivered;
use outbound::{Attempt, Control};
use tokio::time::Instant;
use uuid::Uuid;

use super::partitions::Partitions;
use super::record;
use crate::delivery::{Delivery, Outcome, Reason, Source};
use crate::store::settled_ahead;

/// Why a subscription is disabled whose receiver answered 410, …
const GONE: &str = "the receiver answered 410 Gone";
/// … or asked for it.
const ASKED: &str = "the receiver answered webhook-delivery: disable";

/// A delivery, the attempt that was made unless it was parked, and what becomes of it.
#[derive(Debug)]
pub struct Settled {
    pub delivery: Delivery,
    pub attempt: Option<Attempt>,
    pub outcome: Outcome,
    /// Whether its subscription wants no older one of its key any more.
    pub supersedes: bool,
}

impl Settled {
    /// A delivery without an attempt.
    pub fn unattempted(delivery: Delivery, outcome: Outcome) -> Self {
        Self {
            delivery,
            attempt: None,
            outcome,
            supersedes: false,
        }
    }

    /// Attempts made, this one included.
    pub fn attempts(&self) -> i32 {
        let made = self.delivery.attempts + u32::from(self.attempt.is_some());
        i32::try_from(made).unwrap_or(i32::MAX)
    }

    /// What the rows of it hold, in bytes.
    pub fn bytes_to_write(&self) -> usize {
        let content = self.attempt.as_ref().and_then(|it| it.content.as_ref());
        let payload = match self.outcome {
            Outcome::Delivered | Outcome::Ended | Outcome::Expired | Outcome::Superseded => 0,
            Outcome::Retry { .. } | Outcome::Postponed { .. } | Outcome::DeadLettered { .. } => {
                self.delivery.event.payload.len()
            }
        };
        payload + content.map_or(0, |content| content.bytes())
    }
}

/// Pending rows that wait again.
#[derive(Debug, Default)]
pub struct Rescheduled {
    pub keys: Keys,
    pub leases: Vec<Uuid>,
    pub attempts: Vec<i32>,
    pub delays_seconds: Vec<f64>,
}

/// Pending rows that go.
#[derive(Debug, Default)]
pub struct EndedRows {
    pub keys: Keys,
    pub leases: Vec<Uuid>,
}

/// The rows of one transaction.
#[derive(Debug, Default)]
pub struct Rows {
    pub attempts: attempts::Columns,
    pub added: pending_deliveries::Columns,
    pub rescheduled: Rescheduled,
    pub ended: EndedRows,
    pub dead: dead_letters::Columns,
    /// Subscriptions whose receiver wants no more, and how it said so.
    pub gone: BTreeMap<Uuid, &'static str>,
    /// What takes the place of older pending rows.
    pub newest: pending_deliveries::Newest,
    /// How many of each subscription ended by its policy, by outcome.
    pub undelivered: BTreeMap<(Uuid, &'static str), i64>,
    pub ahead: settled_ahead::Columns,
}

impl Rows {
    /// The rows of what was settled. A delivery from the log counts only while its partition is
    /// owned under its epoch; a pending one has its lease for that.
    pub fn of(settled: &[Settled], partitions: &Partitions, log: AttemptLog, now: Instant) -> Self {
        let mut rows = Self::default();
        for each in settled {
            let owned = partitions.next_offset(&each.delivery.ticket);
            match (each.delivery.source, owned) {
                (Source::Log, Some(next_offset)) => rows.push_ahead(&each.delivery, next_offset),
                (Source::CatchUp, Some(_)) | (Source::Pending(_), _) => {}
                (Source::Log | Source::CatchUp, None) => continue,
            }
            record::push(&mut rows.attempts, each, log, now);
            rows.push_wish(each);
            rows.push_outcome(each);
            rows.push_newest(each);
        }
        rows
    }

    /// The counts, as columns in the order of their keys.
    pub fn undelivered(&self) -> undelivered::Columns {
        let mut columns = undelivered::Columns::default();
        for ((subscription_id, outcome), count) in &self.undelivered {
            columns.subscription_ids.push(*subscription_id);
            columns.outcomes.push(outcome);
            columns.counts.push(*count);
        }
        columns
    }

    fn push_ahead(&mut self, delivery: &Delivery, next_offset: i64) {
        if delivery.ticket.offset >= next_offset {
            self.ahead.partitions.push(delivery.ticket.partition);
            self.ahead.offsets.push(delivery.ticket.offset);
            self.ahead.subscription_ids.push(delivery.subscription_id);
        }
    }

    fn push_wish(&mut self, settled: &Settled) {
        let control = settled.attempt.as_ref().and_then(|it| it.control);
        if control == Some(Control::Disable) {
            self.gone.insert(settled.delivery.subscription_id, ASKED);
        }
    }

    fn push_outcome(&mut self, settled: &Settled) {
        let lease = settled.delivery.lease().map(|lease| lease.id);
        if matches!(settled.outcome, Outcome::Expired | Outcome::Superseded) {
            let at = (settled.delivery.subscription_id, settled.outcome.label());
            *self.undelivered.entry(at).or_default() += 1;
        }
        match (settled.outcome, lease) {
            (
                Outcome::Delivered | Outcome::Ended | Outcome::Expired | Outcome::Superseded,
                lease,
            ) => {
                if let Some(lease) = lease {
                    self.end(settled, lease);
                }
            }
            (Outcome::Retry { after } | Outcome::Postponed { after }, None) => {
                self.add(settled, after.as_secs_f64());
            }
            (Outcome::Retry { after } | Outcome::Postponed { after }, Some(lease)) => {
                let rows = &mut self.rescheduled;
                push_key(&mut rows.keys, &settled.delivery);
                rows.leases.push(lease);
                rows.attempts.push(settled.attempts());
                rows.delays_seconds.push(after.as_secs_f64());
            }
            (Outcome::DeadLettered { reason }, lease) => {
                self.bury(settled, reason, lease);
                if let Some(lease) = lease {
                    self.end(settled, lease);
                }
            }
        }
    }

    fn push_newest(&mut self, settled: &Settled) {
        let delivery = &settled.delivery;
        let delivered = settled.outcome == Outcome::Delivered;
        if settled.supersedes
            && delivered
            && let Some(key) = &delivery.event.key
        {
            push_key(&mut self.newest.keys, delivery);
            self.newest.event_keys.push(key.clone());
        }
    }

    fn end(&mut self, settled: &Settled, lease: Uuid) {
        push_key(&mut self.ended.keys, &settled.delivery);
        self.ended.leases.push(lease);
    }

    fn add(&mut self, settled: &Settled, delay_seconds: f64) {
        push(&mut self.added.deliveries, settled);
        self.added
            .event_keys
            .push(settled.delivery.event.key.clone());
        self.added.delays_seconds.push(delay_seconds);
    }

    fn bury(&mut self, settled: &Settled, reason: Reason, lease: Option<Uuid>) {
        let rows = &mut self.dead;
        let attempt = settled.attempt.as_ref();
        let failure = attempt.and_then(|attempt| attempt.failure);
        push(&mut rows.deliveries, settled);
        rows.reasons.push(match reason {
            Reason::Exhausted => DeadReason::Exhausted,
            Reason::Gone => DeadReason::Gone,
        });
        rows.last_statuses
            .push(attempt.and_then(|attempt| attempt.status).map(i32::from));
        rows.last_errors
            .push(failure.map(|failure| failure.label().to_owned()));
        rows.leases.push(lease);
        if reason == Reason::Gone {
            self.gone.insert(settled.delivery.subscription_id, GONE);
        }
    }
}

fn push(rows: &mut Deliveries, settled: &Settled) {
    let event = &settled.delivery.event;
    push_key(&mut rows.keys, &settled.delivery);
    rows.payloads.push(event.payload.to_vec());
    rows.content_types.push(event.content_type.clone());
    rows.traceparents.push(event.traceparent.clone());
    rows.published_at.push(event.published_at);
    rows.replay_ids.push(settled.delivery.replay);
    rows.attempts.push(settled.attempts());
}

pub fn push_key(keys: &mut Keys, delivery: &Delivery) {
    let ticket = &delivery.ticket;
    keys.push(
        delivery.subscription_id,
        ticket.partition,
        ticket.offset,
        &delivery.event.id,
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use outbound::Failure;

    use super::*;
    use crate::delivery::Lease;
    use crate::delivery::tests::delivery;

    fn settled(offset: i64, lease: Option<Uuid>, outcome: Outcome) -> Settled {
        let now = Instant::now();
        let source = lease.map_or(Source::Log, |id| {
            Source::Pending(Lease { id, ends_at: now })
        });
        let mut delivery = delivery(Uuid::nil(), offset, source, None);
        delivery.attempts = 2;
        let attempt = Attempt::failed(Failure::Timeout, now, Duration::from_millis(7));
        Settled {
            delivery,
            attempt: Some(attempt),
            outcome,
            supersedes: false,
        }
    }

    /// Partition 0 under epoch 1, with the offsets 5 and 6 received.
    fn partitions() -> Partitions {
        let mut partitions = Partitions::default();
        partitions.add(0, 1, 5);
        for offset in [5, 6] {
            let at = settled(offset, None, Outcome::Delivered).delivery.ticket;
            partitions.receive(&at, 1);
        }
        partitions
    }

    /// How many rows one outcome makes: (added, rescheduled, ended, dead).
    fn made(lease: Option<Uuid>, outcome: Outcome) -> (usize, usize, usize, usize) {
        let rows = Rows::of(
            &[settled(5, lease, outcome)],
            &partitions(),
            AttemptLog::All,
            Instant::now(),
        );
        let is_recorded = outcome != Outcome::Ended;
        assert_eq!(rows.attempts.numbers, vec![3; usize::from(is_recorded)]);
        (
            rows.added.delays_seconds.len(),
            rows.rescheduled.attempts.len(),
            rows.ended.leases.len(),
            rows.dead.reasons.len(),
        )
    }

    #[test]
    fn each_outcome_makes_the_rows_of_its_place() {
        let lease = Some(Uuid::max());
        let dead = Outcome::DeadLettered {
            reason: Reason::Exhausted,
        };
        assert_eq!(made(None, Outcome::Delivered), (0, 0, 0, 0));
        assert_eq!(made(None, Outcome::PARKED), (1, 0, 0, 0));
        assert_eq!(made(None, dead), (0, 0, 0, 1));
        assert_eq!(made(lease, Outcome::Delivered), (0, 0, 1, 0));
        assert_eq!(made(lease, Outcome::Ended), (0, 0, 1, 0));
        assert_eq!(made(lease, Outcome::PARKED), (0, 1, 0, 0));
        assert_eq!(made(lease, dead), (0, 0, 1, 1));
    }

    #[test]
    fn what_is_postponed_waits_with_as_many_attempts_as_before_and_is_recorded_once() {
        let after = Duration::from_secs(4);
        for lease in [None, Some(Uuid::max())] {
            let postponed = Settled {
                attempt: None,
                ..settled(5, lease, Outcome::Postponed { after })
            };
            let rows = Rows::of(&[postponed], &partitions(), AttemptLog::All, Instant::now());
            assert_eq!(rows.attempts.numbers.is_empty(), lease.is_some());
            let (made, waits) = match lease {
                None => (&rows.added.deliveries.attempts, &rows.added.delays_seconds),
                Some(_) => (&rows.rescheduled.attempts, &rows.rescheduled.delays_seconds),
            };
            assert_eq!((&**made, &**waits), (&[2][..], &[4.0][..]));
        }
    }

    #[test]
    fn what_is_settled_beyond_the_watermark_is_kept_for_a_new_owner() {
        let mut partitions = partitions();
        let six = settled(6, None, Outcome::Delivered);
        assert!(partitions.settle(&six.delivery.ticket));
        let ahead = Rows::of(
            std::slice::from_ref(&six),
            &partitions,
            AttemptLog::All,
            Instant::now(),
        )
        .ahead;
        assert_eq!((&*ahead.partitions, &*ahead.offsets), (&[0][..], &[6][..]));
        partitions.settle(&settled(5, None, Outcome::Delivered).delivery.ticket);
        assert!(
            Rows::of(&[six], &partitions, AttemptLog::All, Instant::now())
                .ahead
                .offsets
                .is_empty()
        );
    }

    #[test]
    fn of_a_partition_that_is_anothers_only_the_leased_are_written() {
        let none = Partitions::default();
        let lease = Some(Uuid::max());
        let both = [
            settled(5, None, Outcome::PARKED),
            settled(6, lease, Outcome::PARKED),
        ];
        let rows = Rows::of(&both, &none, AttemptLog::All, Instant::now());
        assert!(rows.added.delays_seconds.is_empty());
        assert_eq!(rows.rescheduled.keys.event_offsets, [6]);
    }

    #[test]
    fn a_receiver_that_is_gone_disables_its_subscription() {
        let reason = Reason::Gone;
        let gone = settled(5, None, Outcome::DeadLettered { reason });
        let rows = Rows::of(&[gone], &partitions(), AttemptLog::All, Instant::now());
        assert_eq!(rows.gone, BTreeMap::from([(Uuid::nil(), GONE)]));
    }
}
