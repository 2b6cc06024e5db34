//! Which traces are told: `OTEL_TRACES_SAMPLER`, and what it leaves out and must not.

use anyhow::{Context as _, bail, ensure};
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// The sampler of that name, which decides anew where a trace begins; without a name each trace is
/// told. All of a trace is, or nothing, unless the name says otherwise.
///
/// # Errors
/// That there is no such sampler, or that the argument is no share.
pub fn named(name: Option<&str>, argument: Option<&str>) -> anyhow::Result<Named> {
    let parent_based = |root| Sampler::ParentBased(Box::new(root));
    Ok(Named(match name.unwrap_or("parentbased_always_on") {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(share(argument)?),
        "parentbased_always_on" => parent_based(Sampler::AlwaysOn),
        "parentbased_always_off" => parent_based(Sampler::AlwaysOff),
        "parentbased_traceidratio" => parent_based(Sampler::TraceIdRatioBased(share(argument)?)),
        other => bail!("OTEL_TRACES_SAMPLER names no sampler that there is: {other}"),
    }))
}

fn share(argument: Option<&str>) -> anyhow::Result<f64> {
    let share: f64 = argument
        .unwrap_or("1")
        .parse()
        .context("OTEL_TRACES_SAMPLER_ARG is no number")?;
    ensure!(
        (0.0..=1.0).contains(&share),
        "OTEL_TRACES_SAMPLER_ARG ({share}) must be from 0 to 1"
    );
    Ok(share)
}

/// A sampler, but a trace that begins for several that are sampled is too: they are linked to it.
#[derive(Clone, Debug)]
pub struct Named(Sampler);

impl ShouldSample for Named {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let begins = !parent.is_some_and(TraceContextExt::has_active_span);
        if begins && links.iter().any(|link| link.span_context.is_sampled()) {
            return SamplingResult {
                decision: SamplingDecision::RecordAndSample,
                attributes: Vec::new(),
                trace_state: TraceState::NONE,
            };
        }
        self.0
            .should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context;

    fn is_sampled(sampler: &Named, parent: Option<&str>, links: &[Link]) -> bool {
        let parent = parent.and_then(context::parse);
        let parent = parent.map(|parent| Context::new().with_remote_span_context(parent));
        let (id, kind) = (TraceId::from(1), SpanKind::Internal);
        let result = sampler.should_sample(parent.as_ref(), id, "a", &kind, &[], links);
        result.decision == SamplingDecision::RecordAndSample
    }

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn a_trace_is_told_as_its_beginning_was_and_new_ones_as_the_name_says() {
        for (name, argument, begun) in [
            (None, None, true),
            (Some("parentbased_always_off"), None, false),
            (Some("parentbased_traceidratio"), Some("0"), false),
            (Some("parentbased_traceidratio"), Some("1.0"), true),
        ] {
            let sampler = named(name, argument).unwrap();
            assert!(is_sampled(&sampler, Some(SAMPLED), &[]));
            assert!(!is_sampled(&sampler, Some(UNSAMPLED), &[]));
            assert_eq!(is_sampled(&sampler, None, &[]), begun, "{name:?}");
        }
    }

    #[test]
    fn what_sampled_ones_are_linked_to_is_sampled() {
        let sampler = named(Some("parentbased_traceidratio"), Some("0")).unwrap();
        let link = |text| Link::with_context(context::parse(text).unwrap());
        assert!(is_sampled(&sampler, None, &[link(SAMPLED)]));
        assert!(!is_sampled(&sampler, None, &[link(UNSAMPLED)]));
        assert!(!is_sampled(&sampler, Some(UNSAMPLED), &[link(SAMPLED)]));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (name, argument, named_in_it) in [
            ("sometimes", None, "OTEL_TRACES_SAMPLER names no sampler"),
            ("traceidratio", Some("a"), "OTEL_TRACES_SAMPLER_ARG"),
            ("traceidratio", Some("2"), "OTEL_TRACES_SAMPLER_ARG (2)"),
        ] {
            let error = named(Some(name), argument).unwrap_err().to_string();
            assert!(error.contains(named_in_it), "{error}");
        }
    }
}
