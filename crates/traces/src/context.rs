//! A place in a trace, as the header `traceparent` carries it (W3C Trace Context, section 3.2).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// How long a `traceparent` of version 00 is; one of a later version begins like it.
const LENGTH: usize = 55;

/// What it names, if it is one.
pub fn parse(traceparent: &str) -> Option<SpanContext> {
    let (known, rest) = traceparent.split_at_checked(LENGTH)?;
    let mut parts = known.split('-');
    let mut part = |length| {
        let part = parts.next()?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (part.len() == length && part.bytes().all(is_hex)).then_some(part)
    };
    let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let fits = match version {
        "ff" => false,
        "00" => rest.is_empty(),
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let context = SpanContext::new(
        TraceId::from_hex(trace_id).ok()?,
        SpanId::from_hex(span_id).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    (fits && context.is_valid()).then_some(context)
}

/// The `traceparent` that names it.
pub fn format(context: &SpanContext) -> String {
    let (trace_id, span_id) = (context.trace_id(), context.span_id());
    format!("00-{trace_id}-{span_id}-{:02x}", context.trace_flags())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn what_is_read_is_written_the_same() {
        for flags in ["00", "01"] {
            let text = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            let context = parse(&text).unwrap();
            assert_eq!(context.is_sampled(), flags == "01");
            assert_eq!(format(&context), text);
        }
    }

    #[test]
    fn later_versions_may_say_more_and_are_read_as_far_as_they_are_known() {
        let text = format!("01-{TRACE}-00f067aa0ba902b7-03-more");
        let expected = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(format(&parse(&text).unwrap()), expected);
    }

    #[test]
    fn what_is_no_traceparent_names_nothing() {
        for text in [
            String::new(),
            "00-1-2-01".into(),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-00f067aa0ba902b7-0é"),
            format!("00_{TRACE}_00f067aa0ba902b7_01"),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }
}
