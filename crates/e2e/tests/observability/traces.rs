//! Traces, as a collector gets them: one for an event, from its publishing to its record.

use std::collections::BTreeSet;

use e2e::collector::{Collector, Told, hex};
use e2e::receiver::{Arrival, Receiver};
use e2e::stage::{Stage, until};

fn traceparents(arrivals: &[Arrival]) -> BTreeSet<Option<String>> {
    let all = arrivals.iter().map(|arrival| arrival.traceparent.clone());
    all.collect()
}

fn event(id: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","timestamp":"2026-11-23T21:00:00Z","city":"Tokyo","reading":23,"unit":"C"}}"#
    )
    .into_bytes()
}

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[tokio::test]
async fn an_event_is_one_trace_from_its_publishing_to_its_record() {
    let (stage, receiver, collector) = (
        Stage::new().await,
        Receiver::new().await,
        Collector::new().await,
    );
    for path in ["a", "b"] {
        let url = format!("{}/{path}", receiver.url);
        stage.subscribe(path, &url).await;
    }
    let _processor = stage.processor(&collector.settings());
    let system = stage.system_told(&collector.settings(), &["--count", "1"]);
    system.ended().await;
    let topic = &stage.broker.topic;
    let publish = collector.until_told(&format!("publish {topic}"), 1).await;
    let process = collector.until_told(&format!("process {topic}"), 1).await;
    let (attempts, records) = (
        collector.until_told("POST", 2).await,
        collector.until_told("record", 2).await,
    );

    let (publish, process) = (&publish[0], &process[0]);
    assert_eq!(
        (&*publish.service, &*process.service),
        ("system", "processor")
    );
    assert_eq!(publish.span.parent_span_id, [0_u8; 0]);
    assert_eq!(process.span.parent_span_id, publish.span.span_id);
    assert_eq!(process.attribute("deliveries"), "2");
    for told in [process].into_iter().chain(&attempts).chain(&records) {
        assert_eq!(told.span.trace_id, publish.span.trace_id);
    }
    for told in attempts.iter().chain(&records) {
        assert_eq!(told.span.parent_span_id, process.span.span_id);
        assert_eq!(told.attribute("event.id"), process.attribute("event.id"));
    }
    let of = |told: &[Told]| -> BTreeSet<String> {
        let ids = told.iter().map(|told| told.attribute("subscription.id"));
        ids.collect()
    };
    assert_eq!(of(&attempts).len(), 2);
    assert_eq!(of(&attempts), of(&records));
    assert!(
        attempts
            .iter()
            .all(|told| told.attribute("verdict") == "delivered")
    );

    // Each recording is linked to its flush, which ends after it, and that to what it is in.
    for record in &records {
        assert_eq!(record.attribute("outcome"), "delivered");
        let flush = record.span.links[0].span_id.clone();
        let flush = collector.until_told_of(&flush).await;
        assert_eq!(flush.span.name, "flush");
        assert_eq!(flush.span.links[0].span_id, process.span.span_id);
    }

    // Receivers are told which attempt it is.
    let sent = attempts
        .iter()
        .map(|told| Some(told.traceparent()))
        .collect();
    let arrivals = [receiver.arrivals("a"), receiver.arrivals("b")].concat();
    assert_eq!(traceparents(&arrivals), sent);
}

#[tokio::test]
async fn a_retry_is_in_the_trace_of_its_event_and_failures_are_told() {
    let (stage, receiver, collector) = (
        Stage::new().await,
        Receiver::new().await,
        Collector::new().await,
    );
    receiver.fail(1);
    stage.subscribe("a", &format!("{}/a", receiver.url)).await;
    let mut settings = collector.settings().to_vec();
    settings.push(("RETRY_SCHEDULE", "1s"));
    let _processor = stage.processor(&settings);
    stage.broker.publish_in_trace(&event("one"), SAMPLED);
    let attempts = collector.until_told("POST", 2).await;
    collector.until_told("record", 2).await;
    let parents: BTreeSet<_> = attempts
        .iter()
        .map(|told| &told.span.parent_span_id)
        .collect();
    assert_eq!(parents.len(), 1);
    for told in &attempts {
        assert_eq!(hex(&told.span.trace_id), SAMPLED[3..35]);
    }
    let said =
        |name: &str| -> Vec<_> { attempts.iter().map(|told| told.attribute(name)).collect() };
    assert_eq!(said("http.response.status_code"), ["500", "200"]);
    assert_eq!(said("http.request.resend_count"), ["0", "1"]);
    assert_eq!(attempts[0].attribute("error.type"), "http_5xx");
}

#[tokio::test]
async fn whether_a_trace_is_told_is_for_its_beginning_to_say() {
    let (stage, receiver, collector) = (
        Stage::new().await,
        Receiver::new().await,
        Collector::new().await,
    );
    stage.subscribe("a", &format!("{}/a", receiver.url)).await;
    let mut settings = collector.settings().to_vec();
    settings.push(("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"));
    settings.push(("OTEL_TRACES_SAMPLER_ARG", "0"));
    let processor = stage.processor(&settings);
    stage
        .broker
        .publish_in_trace(&event("unsampled"), UNSAMPLED);
    stage.broker.publish(&[event("of no trace")]);
    stage.broker.publish_in_trace(&event("sampled"), SAMPLED);
    until("all arrived", async || receiver.arrivals("a").len() == 3).await;
    // At its end it tells all.
    assert!(processor.stop().await.success());
    let mut names: Vec<_> = collector
        .all()
        .into_iter()
        .map(|told| told.span.name)
        .collect();
    names.sort_unstable();
    let process = format!("process {}", stage.broker.topic);
    assert_eq!(names, ["POST", "flush", &process, "record"]);
    for arrival in receiver.arrivals("a") {
        let traceparent = arrival.traceparent.as_deref();
        match &*arrival.id {
            "sampled" => assert_eq!(traceparent.unwrap()[..35], SAMPLED[..35]),
            "unsampled" => assert_eq!(traceparent, Some(UNSAMPLED)),
            _ => assert_eq!(traceparent, None),
        }
    }
}

#[tokio::test]
async fn where_traces_are_off_none_is_made_up_and_a_producers_is_passed_on() {
    let (stage, receiver, collector) = (
        Stage::new().await,
        Receiver::new().await,
        Collector::new().await,
    );
    stage.subscribe("a", &format!("{}/a", receiver.url)).await;
    let mut off = collector.settings().to_vec();
    off.push(("OTEL_SDK_DISABLED", "true"));
    let processor = stage.processor(&off);
    stage.system_told(&[], &["--count", "1"]).ended().await;
    stage.system_told(&off, &["--count", "1"]).ended().await;
    stage.broker.publish_in_trace(&event("theirs"), SAMPLED);
    until("all arrived", async || receiver.arrivals("a").len() == 3).await;
    let sent = BTreeSet::from([None, Some(SAMPLED.to_owned())]);
    assert_eq!(traceparents(&receiver.arrivals("a")), sent);
    assert!(processor.stop().await.success());
    assert!(collector.all().is_empty());
}
