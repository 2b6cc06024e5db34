//! What the pure core costs by itself: to match an event, to follow a watermark, to ask a breaker, and
//! to turn outcomes into rows. It is the code that the processor runs, each with what it owns around
//! it left out.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::attempt_log::AttemptLog;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use outbound::{Attempt, Failure, Target, Verdict};
use processor::breaker::Breaker;
use processor::budget::Budget;
use processor::delivery::{Delivery, Outcome, Source, Ticket};
use processor::event::{About, Event, Subject};
use processor::fan_out::Index;
use processor::policy::Policy;
use processor::recorder::{Partitions, Rows, Settled};
use processor::subscription::Subscription;
use processor::watermark::Watermark;
use tokio::time::Instant;
use uuid::Uuid;

/// How many subscriptions want each event, and what is wanted.
const WANTING: i64 = 10;
const CITY: &str = "Oslo";

/// How many subscriptions want no event.
const OTHERS: [u32; 3] = [0, 10_000, 100_000];

/// How many events of a partition are under way at once.
const OPEN_EVENTS: i64 = 500;

/// How many outcomes are written at once, as `FLUSH_OUTCOMES` has it.
const FLUSH_EVENTS: i64 = 500;

const TIMEOUT: Duration = Duration::from_secs(10);

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("match");
    let subject = Subject {
        event_type: "temperature.updated".into(),
        about: About::City(CITY.into()),
    };
    for others in OTHERS {
        let mut index = Index::default();
        (0..WANTING).for_each(|_| index.upsert(subscription(CITY)));
        (0..others).for_each(|n| index.upsert(subscription(&format!("City {n}"))));
        group.bench_with_input(BenchmarkId::new("others", others), &index, |b, index| {
            b.iter(|| index.matches(black_box(&subject)));
        });
    }
    group.finish();
}

fn watermark(c: &mut Criterion) {
    let mut group = c.benchmark_group("watermark");
    group.throughput(Throughput::Elements((OPEN_EVENTS * WANTING).unsigned_abs()));
    let offsets: Vec<i64> = (0..OPEN_EVENTS).collect();
    let backwards: Vec<i64> = offsets.iter().rev().copied().collect();
    for (order, settled) in [("in order", &offsets), ("backwards", &backwards)] {
        group.bench_with_input(order, settled, |b, settled| {
            b.iter(|| follow(&offsets, settled));
        });
    }
    group.finish();
}

fn follow(received: &[i64], settled: &[i64]) -> i64 {
    let mut watermark = Watermark::starting_at(0);
    let deliveries = usize::try_from(WANTING).unwrap_or_default();
    for offset in received {
        watermark.receive(*offset, deliveries);
    }
    for offset in settled {
        (0..WANTING).for_each(|_| watermark.settle(*offset));
    }
    watermark.next_offset()
}

fn breaker(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker");
    let now = Instant::now();
    group.bench_function("delivered", |b| {
        let mut breaker = Breaker::default();
        b.iter(|| breaker.record(black_box(false), now));
    });
    group.bench_function("one in two failed", |b| {
        let (mut breaker, mut n) = (Breaker::default(), 0_u32);
        b.iter(|| {
            n = n.wrapping_add(1);
            breaker.record(black_box(n.is_multiple_of(2)), now)
        });
    });
    group.finish();
}

fn flush(c: &mut Criterion) {
    let mut group = c.benchmark_group("flush");
    group.throughput(Throughput::Elements(
        (FLUSH_EVENTS * WANTING).unsigned_abs(),
    ));
    let now = Instant::now();
    let retry = Outcome::Retry {
        after: Duration::from_secs(5),
    };
    let partitions = partitions();
    for (became, outcome) in [("delivered", Outcome::Delivered), ("retry", retry)] {
        let settled = settled(outcome, now);
        group.bench_with_input(became, &settled, |b, settled| {
            let rows = || Rows::of(settled, &partitions, AttemptLog::All, now);
            // What it takes to let go of them is not what is asked.
            b.iter_batched(|| (), |()| rows(), BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn subscription(city: &str) -> Arc<Subscription> {
    Arc::new(Subscription {
        id: Uuid::now_v7(),
        active: true,
        spills: true,
        policy: Policy::default(),
        target: Target::new("http://localhost:9099", TIMEOUT).expect("it is a URL"),
        event_types: None,
        cities: Some([city.into()].into()),
        filter: None,
    })
}

/// Partition 0 with all that is flushed received, of which nothing is passed.
fn partitions() -> Partitions {
    let mut partitions = Partitions::default();
    partitions.add(0, 1, 0);
    for offset in 0..FLUSH_EVENTS {
        partitions.receive(
            &ticket(offset),
            usize::try_from(WANTING).unwrap_or_default(),
        );
    }
    partitions
}

/// A flush of deliveries of which the same became.
fn settled(outcome: Outcome, now: Instant) -> Vec<Settled> {
    let subscriptions: Vec<Uuid> = (0..WANTING).map(|_| Uuid::now_v7()).collect();
    let of_event = |offset| {
        let event = Arc::new(event(offset));
        let settled = subscriptions.iter().map(move |id| Settled {
            delivery: delivery(*id, &event, offset, now),
            attempt: Some(attempt(outcome, now)),
            outcome,
            supersedes: false,
        });
        settled.collect::<Vec<_>>()
    };
    (0..FLUSH_EVENTS).flat_map(of_event).collect()
}

fn delivery(subscription_id: Uuid, event: &Arc<Event>, offset: i64, now: Instant) -> Delivery {
    Delivery {
        ticket: ticket(offset),
        subscription_id,
        event: event.clone(),
        attempts: 0,
        source: Source::Log,
        replay: None,
        queued_at: now,
        hold: Budget::new(1).hold(0),
    }
}

fn event(offset: i64) -> Event {
    Event {
        id: format!("event-{offset}"),
        payload: Bytes::from(vec![b'x'; 400]),
        content_type: None,
        traceparent: None,
        key: Some(CITY.into()),
        published_at: None,
        hold: Budget::new(1).hold(0),
    }
}

fn ticket(offset: i64) -> Ticket {
    Ticket {
        partition: 0,
        epoch: 1,
        offset,
    }
}

fn attempt(outcome: Outcome, now: Instant) -> Attempt {
    let latency = Duration::from_millis(2);
    let failed = Attempt::failed(Failure::Timeout, now, latency);
    match outcome {
        Outcome::Delivered => Attempt {
            verdict: Verdict::Delivered,
            status: Some(200),
            failure: None,
            first_byte: Some(latency),
            ..failed
        },
        _ => failed,
    }
}

criterion_group!(core, matching, watermark, breaker, flush);
criterion_main!(core);
