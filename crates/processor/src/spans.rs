//! The spans of this program: an event's fan-out, under its publishing; each attempt, and each
//! recording of what became of a delivery, under the fan-out; and the flush, to which the recordings of
//! all its deliveries are linked.
//!
//! The event's `traceparent` carries the place, so that it is kept wherever the event is, in pending
//! deliveries and dead letters too. It names the fan-out where that is told; else it stays what the
//! producer said, and receivers get it as it is.

use std::time::Duration;

use outbound::{Attempt, Verdict};
use traces::{Span, SpanKind, Traces};

use crate::delivery::Delivery;
use crate::engine::Settings;
use crate::event::Record;
use crate::recorder::Settled;
use crate::subscription::Subscription;

/// Begins the fan-out of an event.
pub fn fan_out(settings: &Settings, record: &Record, id: &str) -> Option<Span> {
    let (topic, parent) = (&settings.topic, record.traceparent.as_deref());
    let name = || format!("process {topic}");
    let mut span = settings.traces.begin(SpanKind::Consumer, parent, name)?;
    span.set("messaging.system", "kafka");
    span.set("messaging.operation.name", "process");
    span.set("messaging.destination.name", topic.clone());
    span.set(
        "messaging.destination.partition.id",
        record.partition.to_string(),
    );
    span.set("messaging.kafka.offset", record.offset);
    span.set("event.id", id.to_owned());
    Some(span)
}

/// Begins an attempt. One that is aborted ends without a verdict.
pub fn attempt(traces: &Traces, delivery: &Delivery, to: &Subscription) -> Option<Span> {
    let parent = delivery.event.traceparent.as_deref();
    let mut span = traces.begin(SpanKind::Client, parent, || "POST".to_owned())?;
    span.set("http.request.method", "POST");
    span.set("http.request.resend_count", i64::from(delivery.attempts));
    span.set("subscription.id", to.id.to_string());
    span.set("event.id", delivery.event.id.clone());
    Some(span)
}

/// Says what came of an attempt, and ends it.
pub fn attempted(mut span: Span, attempt: &Attempt) {
    span.set("verdict", attempt.verdict.label());
    if let Some(status) = attempt.status {
        span.set("http.response.status_code", i64::from(status));
    }
    if attempt.verdict != Verdict::Delivered {
        let failure = attempt.failure.map(|failure| failure.label().to_owned());
        span.fail(failure.unwrap_or_else(|| attempt.verdict.label().to_owned()));
    }
}

/// Tells of a flush that took so long, and of each delivery that it recorded.
pub fn flushed(traces: &Traces, settled: &[Settled], took: Duration) {
    let parents = settled.iter().filter_map(parent);
    let Some(mut flush) = traces.begin_for_many("flush", took, parents) else {
        return;
    };
    flush.set("outcomes", i64::try_from(settled.len()).unwrap_or(i64::MAX));
    for settled in settled {
        let since = settled.attempt.as_ref().map_or(took, |attempt| {
            attempt.started_at.elapsed().saturating_sub(attempt.latency)
        });
        let Some(mut span) = traces.begin_linked(parent(settled), since, ("record", &flush)) else {
            continue;
        };
        let delivery = &settled.delivery;
        span.set("outcome", settled.outcome.label());
        span.set("subscription.id", delivery.subscription_id.to_string());
        span.set("event.id", delivery.event.id.clone());
    }
}

fn parent(settled: &Settled) -> Option<&str> {
    settled.delivery.event.traceparent.as_deref()
}
