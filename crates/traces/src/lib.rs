//! Traces: what an event went through from its publishing to its record, told over OTLP to a
//! collector, where one is configured.
//!
//! The settings are the `OTEL_*` variables of OpenTelemetry, read by its SDK. Without an endpoint all
//! of it is off: [`Traces::begin`] is then one look at an `Option`, which parses nothing, allocates
//! nothing and asks no clock. Spans are made by hand and not of `tracing`'s, which would be made (and
//! paid) for the logs too. A span that is not sampled is none.
//!
//! It promises that nobody waits for the collector: spans go through a bounded queue to a thread of
//! the SDK's, and what does not fit is dropped.

mod client;
mod context;
mod sampler;
mod span;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use opentelemetry::trace::{Link, SpanBuilder, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

pub use opentelemetry::trace::SpanKind;

pub use self::span::Span;

use self::client::Client;

/// How long the last spans may take to be told at the end.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// How many spans one of many is linked to at most; the SDK's default.
const LINKS: usize = 128;

/// The traces of a program, or none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<On>>);

#[derive(Debug)]
struct On {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// None.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// As the environment says, for a program of that name. Called within the runtime.
    ///
    /// # Errors
    /// Names the variable that cannot be used.
    pub fn init(service: &'static str) -> anyhow::Result<Self> {
        if !is_wanted() {
            return Ok(Self::off());
        }
        let protocol = variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
        if let Some(other) = protocol.filter(|protocol| protocol != "http/protobuf") {
            bail!("OTEL_EXPORTER_OTLP_PROTOCOL is {other}: there is http/protobuf only");
        }
        let sampler = sampler::named(
            variable("OTEL_TRACES_SAMPLER").as_deref(),
            variable("OTEL_TRACES_SAMPLER_ARG").as_deref(),
        )?;
        let client = Client::new(Handle::current()).context("setting up TLS for traces")?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .build()
            .context("reading where traces are told (OTEL_EXPORTER_OTLP_ENDPOINT)")?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource(service))
            .build();
        tracing::info!("traces are told");
        let tracer = provider.tracer("temperature-webhooks");
        Ok(Self(Some(Arc::new(On { provider, tracer }))))
    }

    /// Whether there may be spans at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins a span, in the trace and under the span that `parent` (a `traceparent`) names, or in a
    /// trace of its own; `None` where it is not recorded. It ends when it is dropped.
    #[must_use]
    pub fn begin(
        &self,
        kind: SpanKind,
        parent: Option<&str>,
        name: impl FnOnce() -> String,
    ) -> Option<Span> {
        let on = self.0.as_ref()?;
        let builder = on.tracer.span_builder(name()).with_kind(kind);
        on.begin(builder, parent)
    }

    /// A span that began so long ago under one that is sampled, with a link to another.
    #[must_use]
    pub fn begin_linked(
        &self,
        parent: Option<&str>,
        ago: Duration,
        (name, to): (&'static str, &Span),
    ) -> Option<Span> {
        let on = self.0.as_ref()?;
        let sampled = parent.and_then(context::parse)?.is_sampled();
        let builder = on.tracer.span_builder(name).with_start_time(past(ago));
        let builder = builder.with_links(vec![Link::with_context(to.context())]);
        sampled.then(|| on.begin(builder, parent))?
    }

    /// Begins a span, so long ago, that was for many: it is in a trace of its own, and linked to
    /// those that their `traceparent`s name, as far as they are sampled. `None` where none is.
    #[must_use]
    pub fn begin_for_many<'a>(
        &self,
        name: &'static str,
        ago: Duration,
        traceparents: impl Iterator<Item = &'a str>,
    ) -> Option<Span> {
        let on = self.0.as_ref()?;
        let sampled = traceparents.filter_map(context::parse);
        let sampled = sampled.filter(opentelemetry::trace::SpanContext::is_sampled);
        let links: Vec<Link> = sampled.take(LINKS).map(Link::with_context).collect();
        if links.is_empty() {
            return None;
        }
        let builder = on.tracer.span_builder(name).with_start_time(past(ago));
        on.begin(builder.with_links(links), None)
    }

    /// Tells what is not told yet, and no more after that.
    pub async fn end(self) {
        let Some(on) = self.0 else {
            return;
        };
        // It waits for the SDK's thread.
        let mut ending = JoinSet::new();
        ending.spawn_blocking(move || on.provider.shutdown_with_timeout(END_TIMEOUT));
        if let Some(Ok(Err(error))) = ending.join_next().await {
            tracing::warn!(%error, "the last spans were not told");
        }
    }
}

impl On {
    fn begin(&self, builder: SpanBuilder, parent: Option<&str>) -> Option<Span> {
        // Never the context of the thread: nothing here makes one.
        let none = Context::new();
        let parent = match parent.and_then(context::parse) {
            Some(parent) => none.with_remote_span_context(parent),
            None => none,
        };
        Span::recorded(self.tracer.build_with_context(builder, &parent))
    }
}

/// Whether spans are to be told, and somewhere.
fn is_wanted() -> bool {
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let elsewhere = variable("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter != "otlp");
    let endpoint = variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
    endpoint.is_some() && !disabled && !elsewhere
}

/// What is empty counts as not set (OpenTelemetry, "Environment Variable Specification").
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Who tells: `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say it, or the name of the program.
fn resource(service: &'static str) -> Resource {
    let name = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| service.to_owned());
    Resource::builder()
        .with_service_name(name)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

fn past(ago: Duration) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(ago).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_configured_nothing_begins_and_no_name_is_made() {
        let off = Traces::off();
        let name = || unreachable!("nobody asks for the name");
        let parent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        assert!(off.begin(SpanKind::Client, parent, name).is_none());
        let parents = std::iter::from_fn(|| unreachable!("nobody looks for parents"));
        assert!(
            off.begin_for_many("flush", Duration::ZERO, parents)
                .is_none()
        );
        assert!(!off.is_on());
    }
}
