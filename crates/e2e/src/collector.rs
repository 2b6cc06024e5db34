//! A collector of traces over OTLP/HTTP, which keeps what it is told.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::stage::until;

/// A span, and the program that told it.
#[derive(Clone)]
pub struct Told {
    pub service: String,
    pub span: Span,
}

impl Told {
    /// What it says under that name; nothing is `None`.
    pub fn attribute(&self, name: &str) -> String {
        let mut attributes = self.span.attributes.iter();
        let found = attributes.find(|attribute| attribute.key == name);
        text(found.and_then(|found| found.value.clone()?.value))
    }

    /// As the header `traceparent` names it.
    pub fn traceparent(&self) -> String {
        let (trace_id, span_id) = (hex(&self.span.trace_id), hex(&self.span.span_id));
        format!("00-{trace_id}-{span_id}-01")
    }
}

fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// As ids are written.
pub fn hex(bytes: &[u8]) -> String {
    let hex = |mut hex: String, byte: &u8| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    };
    bytes.iter().fold(String::new(), hex)
}

type Spans = Arc<Mutex<Vec<Told>>>;

/// An OTLP receiver that keeps what it is told.
pub struct Collector {
    url: String,
    spans: Spans,
    _server: JoinSet<()>,
}

impl Collector {
    /// Listens on a port of its own.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let spans = Spans::default();
        let routes = Router::new()
            .route("/v1/traces", post(take))
            .with_state(spans.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            spans,
            _server: server,
        }
    }

    /// Under which a program tells what it does here, soon.
    pub fn settings(&self) -> [(&str, &str); 2] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url),
            ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ]
    }

    /// All that it was told.
    pub fn all(&self) -> Vec<Told> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.clone()
    }

    /// Those of that name, in the order in which they came.
    pub fn named(&self, name: &str) -> Vec<Told> {
        let mut named = self.all();
        named.retain(|told| told.span.name == name);
        named
    }

    /// Waits for the one of that id.
    pub async fn until_told_of(&self, span_id: &[u8]) -> Told {
        let mut found = None;
        until(&format!("the span {} is told", hex(span_id)), async || {
            let mut all = self.all().into_iter();
            found = all.find(|told| told.span.span_id == span_id);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Waits for so many of that name; more are wrong.
    pub async fn until_told(&self, name: &str, count: usize) -> Vec<Told> {
        until(&format!("{count} spans are told: {name}"), async || {
            self.named(name).len() >= count
        })
        .await;
        let told = self.named(name);
        assert_eq!(told.len(), count, "{name}");
        told
    }
}

async fn take(State(spans): State<Spans>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for from in request.resource_spans {
        let resource = from.resource.unwrap_or_default();
        let mut attributes = resource.attributes.into_iter();
        let service = attributes.find(|attribute| attribute.key == "service.name");
        let service = text(service.and_then(|service| service.value?.value));
        let told = from.scope_spans.into_iter().flat_map(|scope| scope.spans);
        let told = told.map(|span| Told {
            service: service.clone(),
            span,
        });
        let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(told);
    }
}
