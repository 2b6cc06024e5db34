//! A span that is recorded. It ends when it is dropped.

use opentelemetry::trace::{Span as _, SpanContext, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace;

use crate::context;

/// One that is recorded, and will be told. In a box, for it waits where there mostly is none.
#[derive(Debug)]
pub struct Span(Box<trace::Span>);

impl Span {
    pub(crate) fn recorded(span: trace::Span) -> Option<Self> {
        span.is_recording().then(|| Self(Box::new(span)))
    }

    pub(crate) fn context(&self) -> SpanContext {
        self.0.span_context().clone()
    }

    /// What names it to those under it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        context::format(self.0.span_context())
    }

    /// Says something of it, by a name of OpenTelemetry's semantic conventions where there is one.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.set_attribute(KeyValue::new(name, value));
    }

    /// What it is about failed, with an error of that type.
    pub fn fail(&mut self, error: impl Into<String>) {
        let error = error.into();
        self.set("error.type", error.clone());
        self.0.set_status(Status::error(error));
    }
}
