//! An attempt from its turn to its outcome, and those that become slow on the way.

use std::sync::Arc;

use chrono::Utc;
use outbound::Attempt;
use tokio::time::Instant;
use traces::Span;
use tracing::Instrument;

use super::{Engine, Flying};
use crate::delivery::{Delivery, Outcome, Source};
use crate::lanes::Turn;
use crate::recorder::{Entry, Settled};
use crate::spans;
use crate::subscription::Subscription;

impl Engine {
    pub(super) fn begin(&mut self, turn: Turn) {
        let now = Instant::now();
        let Turn {
            delivery,
            subscription,
        } = turn;
        // With half as long again, for what comes after the attempt.
        let longest = subscription.target.timeout() * 3 / 2;
        if delivery
            .lease()
            .is_some_and(|lease| lease.ends_at < now + longest)
        {
            // Another may hold it by now, and will say what becomes of it.
            self.lanes.finished(&delivery, None, false, now);
            return;
        }
        if is_too_old(&subscription, &delivery) {
            self.lanes.finished(&delivery, None, false, now);
            self.settle(delivery, Outcome::Expired);
            return;
        }
        self.ownership.begin(&delivery.ticket);
        let (sender, number) = (self.sender.clone(), delivery.attempts + 1);
        let span = tracing::debug_span!(
            "delivery",
            event.id = delivery.event.id,
            subscription.id = %subscription.id,
            attempt = number,
            trace_id = delivery.event.trace_id(),
        );
        let told = spans::attempt(&self.settings.traces, &delivery, &subscription);
        let (to, event, replay) = (
            subscription.clone(),
            delivery.event.clone(),
            delivery.replay,
        );
        let attempting = async move {
            let traceparent = told.as_ref().map(Span::traceparent);
            let mut outgoing = event.outgoing(number, replay);
            outgoing.traceparent = traceparent.as_deref().or(outgoing.traceparent);
            let attempt = sender.attempt(&to.target, &outgoing).await;
            if let Some(told) = told {
                spans::attempted(told, &attempt);
            }
            tracing::debug!(verdict = ?attempt.verdict, failure = ?attempt.failure, "attempted");
            attempt
        };
        self.flight
            .begin(delivery, subscription, attempting.instrument(span));
    }

    pub(super) fn finish(&mut self, flying: Flying, attempt: Attempt) {
        let Flying {
            mut delivery,
            subscription,
            is_slow,
            ..
        } = flying;
        if let Some(content) = &attempt.content {
            delivery.hold.grow(content.bytes());
        }
        let changed = self
            .lanes
            .finished(&delivery, Some(&attempt), is_slow, Instant::now());
        self.ownership.finish(&delivery.ticket);
        let made = delivery.attempts + 1;
        let own = subscription.policy.schedule.as_ref();
        let schedule = own.unwrap_or(&self.settings.schedule);
        let outcome = Outcome::of(attempt.verdict, made, schedule, rand::random());
        self.meters.observe(&delivery, &attempt);
        tell_dead(&delivery, &attempt, outcome);
        self.heed(&subscription, &attempt, changed);
        self.keep_order(&subscription, &delivery, outcome);
        if matches!(delivery.source, Source::CatchUp) {
            self.plan_soon();
        }
        // What was postponed is no attempt: nothing of it is recorded, and it has as many left.
        let was_made = !matches!(outcome, Outcome::Postponed { .. });
        self.outbox.push_back(Entry::Settled(Settled {
            delivery,
            attempt: was_made.then_some(attempt),
            outcome,
            supersedes: subscription.policy.coalesces,
        }));
        self.end_releases();
    }

    /// Where deliveries are ordered, the later ones of a key wait behind one that is pending, and
    /// go on when it is not any more.
    fn keep_order(
        &mut self,
        subscription: &Arc<Subscription>,
        delivery: &Delivery,
        outcome: Outcome,
    ) {
        let Some(key) = delivery.event.key.as_deref() else {
            return;
        };
        if !subscription.policy.ordered {
            return;
        }
        let ticket = &delivery.ticket;
        let lane = (subscription.id, ticket.partition);
        if !outcome.is_pending() {
            self.blocked.remove(lane, key, ticket.offset);
            return;
        }
        self.blocked.add(lane, key, ticket.offset);
        let later = |queued: &Delivery| {
            queued.lease().is_none()
                && queued.event.key.as_deref() == Some(key)
                && queued.ticket.partition == ticket.partition
                && queued.ticket.offset > ticket.offset
        };
        for waiting in self.lanes.withdraw_from(subscription.id, later) {
            self.blocked.add(lane, key, waiting.ticket.offset);
            self.settle(waiting, Outcome::PARKED);
        }
    }

    /// Queues a delivery, unless its policy or its order says otherwise.
    pub(super) fn queue(&mut self, subscription: &Arc<Subscription>, delivery: Delivery) {
        if is_too_old(subscription, &delivery) {
            return self.settle(delivery, Outcome::Expired);
        }
        if subscription.policy.ordered
            && delivery.lease().is_none()
            && let Some(key) = &delivery.event.key
        {
            let (lane, offset) = (
                (subscription.id, delivery.ticket.partition),
                delivery.ticket.offset,
            );
            if self.blocked.holds_back(lane, key, offset) {
                self.blocked.add(lane, key, offset);
                return self.settle(delivery, Outcome::PARKED);
            }
        }
        for older in self.lanes.queue(subscription, delivery) {
            self.settle(older, Outcome::Superseded);
        }
    }

    /// Hands a delivery on to the recorder that no attempt was made of.
    pub(super) fn settle(&mut self, delivery: Delivery, outcome: Outcome) {
        if let Some(key) = &delivery.event.key
            && delivery.lease().is_some()
            && !outcome.is_pending()
        {
            let lane = (delivery.subscription_id, delivery.ticket.partition);
            self.blocked.remove(lane, key, delivery.ticket.offset);
        }
        let settled = Settled::unattempted(delivery, outcome);
        self.outbox.push_back(Entry::Settled(settled));
    }

    /// Requests that do not answer give their place to others; too many of them, and the oldest
    /// ends, with its lane.
    pub(super) fn slow_down(&mut self) {
        let now = Instant::now();
        let lanes = &mut self.lanes;
        let slowed = self
            .flight
            .slow_down(now, |delivery| lanes.slow_after(delivery.subscription_id));
        for delivery in slowed {
            lanes.became_slow(delivery);
        }
        for (flying, attempt) in self.flight.abort_oldest(now) {
            let subscription = flying.subscription.clone();
            self.trip(&subscription, &attempt, std::time::Duration::ZERO);
            self.finish(flying, attempt);
        }
    }
}

/// Whether its subscription does not want it any more. A policy, by the clocks of producer and
/// processor; nothing else hangs on it.
fn is_too_old(subscription: &Subscription, delivery: &Delivery) -> bool {
    let Some((max_age, published_at)) =
        subscription.policy.max_age.zip(delivery.event.published_at)
    else {
        return false;
    };
    let age = Utc::now() - published_at;
    age.to_std().is_ok_and(|age| age > max_age)
}

fn tell_dead(delivery: &Delivery, attempt: &Attempt, outcome: Outcome) {
    if let Outcome::DeadLettered { reason } = outcome {
        tracing::warn!(
            event.id = delivery.event.id,
            subscription.id = %delivery.subscription_id,
            attempts = delivery.attempts + 1,
            reason = reason.label(),
            failure = ?attempt.failure,
            trace_id = delivery.event.trace_id(),
            "a delivery is dead",
        );
    }
}
