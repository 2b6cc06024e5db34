//! What the record keeps of what was settled: a row a POST, and one for what became of a delivery
//! without one. Pure.

use std::time::Duration;

use chrono::Utc;
use common::attempt_log::AttemptLog;
use common::event::AnyEvent;
use common::store::attempts::{self, Columns, Posts};
use outbound::{Attempt, Failure, Tls};
use tokio::time::Instant;

use super::batch::{Settled, push_key};
use crate::delivery::{Delivery, Outcome};

/// Adds the row of a delivery, if it gets one.
pub fn push(rows: &mut Columns, settled: &Settled, log: AttemptLog, now: Instant) {
    let Some(outcome) = outcome(settled) else {
        return;
    };
    let number = settled.attempts();
    // Of what waited a row says so; without another it would be taken for cancelled.
    let has_waited = settled.delivery.lease().is_some();
    let is_plain = settled.outcome == Outcome::Delivered && number == 1 && !has_waited;
    if log == AttemptLog::Failures && is_plain {
        return;
    }
    let (delivery, attempt) = (&settled.delivery, settled.attempt.as_ref());
    let age = attempt.map_or(Duration::ZERO, |attempt| now - attempt.started_at);
    push_key(&mut rows.keys, delivery);
    rows.replay_ids.push(delivery.replay);
    rows.event_keys.push(key(delivery));
    rows.ages_seconds.push(age.as_secs_f64());
    rows.numbers.push(number);
    rows.outcomes.push(outcome);
    push_post(&mut rows.posts, attempt);
}

/// What the row says became of it. There is none where the delivery ended with its subscription, or
/// waits on as it did.
fn outcome(settled: &Settled) -> Option<attempts::Outcome> {
    let is_new = settled.attempt.is_some() || settled.delivery.lease().is_none();
    match settled.outcome {
        Outcome::Delivered => Some(attempts::Outcome::Delivered),
        Outcome::Retry { .. } | Outcome::Postponed { .. } => {
            is_new.then_some(attempts::Outcome::Pending)
        }
        Outcome::DeadLettered { .. } => Some(attempts::Outcome::Dead),
        Outcome::Ended => None,
        Outcome::Expired => Some(attempts::Outcome::Expired),
        Outcome::Superseded => Some(attempts::Outcome::Superseded),
    }
}

/// The city. One that was a dead letter has no key, so that nothing waits for it; its event knows.
fn key(delivery: &Delivery) -> Option<String> {
    let known = delivery.event.key.clone();
    known.or_else(|| Some(AnyEvent::parse(&delivery.event.payload).ok()?.city.into()))
}

fn push_post(rows: &mut Posts, attempt: Option<&Attempt>) {
    let phases = attempt.map(Attempt::phases);
    let step = |of: Option<Duration>| of.map(microseconds);
    rows.total_us.push(step(phases.map(|all| all.total)));
    rows.dns_us.push(step(phases.and_then(|all| all.dns)));
    rows.connect_us
        .push(step(phases.and_then(|all| all.connect)));
    rows.tls_us.push(step(phases.and_then(|all| all.tls)));
    rows.first_byte_us
        .push(step(phases.and_then(|all| all.first_byte)));
    let status = attempt.and_then(|attempt| attempt.status);
    rows.statuses.push(status.map(i32::from));
    let failure = attempt.and_then(|attempt| attempt.failure);
    rows.failures.push(failure.map(Failure::label));
    push_connection(rows, attempt);
    push_content(rows, attempt);
}

fn push_connection(rows: &mut Posts, attempt: Option<&Attempt>) {
    let connection = attempt.and_then(|attempt| attempt.connection.as_deref());
    let reused = attempt.filter(|_| connection.is_some()).map(|it| it.reused);
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    let days = tls.and_then(|tls| tls.certificate_days(Utc::now()));
    rows.reused.push(reused);
    rows.remote_addresses
        .push(connection.map(|connection| connection.remote_addr.to_string()));
    rows.tls_versions.push(tls.and_then(Tls::version_name));
    rows.certificate_days
        .push(days.and_then(|days| i32::try_from(days).ok()));
}

fn push_content(rows: &mut Posts, attempt: Option<&Attempt>) {
    let content = attempt.and_then(|attempt| attempt.content.as_deref());
    let request = content.map(|content| content.request_headers.clone());
    rows.request_headers.push(request);
    let response = content.and_then(|content| content.response_headers.clone());
    rows.response_headers.push(response);
    let body = content.and_then(|content| content.response.clone());
    rows.responses.push(body);
}

fn microseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_micros()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use outbound::{Content, Verdict};
    use uuid::Uuid;

    use super::*;
    use crate::delivery::tests::delivery;
    use crate::delivery::{Lease, Reason, Source};

    fn settled(source: Source, attempt: Option<Attempt>, outcome: Outcome) -> Settled {
        Settled {
            delivery: delivery(Uuid::nil(), 7, source, Some("Oslo")),
            attempt,
            outcome,
            supersedes: false,
        }
    }

    fn lease() -> Source {
        let ends_at = Instant::now();
        Source::Pending(Lease {
            id: Uuid::max(),
            ends_at,
        })
    }

    fn failed() -> Attempt {
        let took = Duration::from_micros(1234);
        let mut attempt = Attempt::failed(Failure::Http5xx, Instant::now(), took);
        attempt.content = Some(Box::new(Content {
            request_headers: "{}".into(),
            response_headers: None,
            response: Some("no disk".into()),
        }));
        attempt
    }

    fn delivered() -> Attempt {
        let took = Duration::from_micros(1234);
        let mut attempt = Attempt::failed(Failure::Http5xx, Instant::now(), took);
        attempt.failure = None;
        attempt.verdict = Verdict::Delivered;
        attempt
    }

    fn outcomes(log: AttemptLog, settled: &Settled) -> Vec<attempts::Outcome> {
        let mut rows = Columns::default();
        push(&mut rows, settled, log, Instant::now());
        assert_eq!(rows.outcomes.len(), rows.posts.responses.len());
        rows.outcomes
    }

    #[test]
    fn each_outcome_leaves_the_row_that_tells_it() {
        use attempts::Outcome as Kept;
        let dead = Outcome::DeadLettered {
            reason: Reason::Exhausted,
        };
        let later = Outcome::Retry {
            after: Duration::from_secs(1),
        };
        for (source, attempt, outcome, kept) in [
            (
                Source::Log,
                Some(delivered()),
                Outcome::Delivered,
                Some(Kept::Delivered),
            ),
            (lease(), Some(failed()), later, Some(Kept::Pending)),
            (Source::Log, Some(failed()), dead, Some(Kept::Dead)),
            (Source::Log, None, Outcome::PARKED, Some(Kept::Pending)),
            // It was pending before, and its row says so.
            (lease(), None, Outcome::PARKED, None),
            (Source::CatchUp, None, Outcome::Expired, Some(Kept::Expired)),
            (lease(), None, Outcome::Superseded, Some(Kept::Superseded)),
            (lease(), None, Outcome::Ended, None),
        ] {
            let settled = settled(source, attempt, outcome);
            let all = outcomes(AttemptLog::All, &settled);
            assert_eq!(all.first().copied(), kept, "{source:?} {outcome:?}");
        }
    }

    #[test]
    fn of_failures_only_deliveries_at_once_leave_no_row() {
        let log = AttemptLog::Failures;
        let mut good = settled(Source::Log, Some(delivered()), Outcome::Delivered);
        assert_eq!(outcomes(log, &good), []);
        let waited = settled(lease(), Some(delivered()), Outcome::Delivered);
        assert_eq!(outcomes(log, &waited), [attempts::Outcome::Delivered]);
        good.delivery.attempts = 1;
        assert_eq!(outcomes(log, &good), [attempts::Outcome::Delivered]);
        let bad = settled(Source::Log, Some(failed()), Outcome::PARKED);
        assert_eq!(outcomes(log, &bad), [attempts::Outcome::Pending]);
    }

    #[test]
    fn a_post_is_told_from_what_was_none() {
        let mut rows = Columns::default();
        let bad = settled(Source::Log, Some(failed()), Outcome::PARKED);
        let none = settled(Source::Log, None, Outcome::Expired);
        for settled in [bad, none] {
            push(&mut rows, &settled, AttemptLog::All, Instant::now());
        }
        assert_eq!(rows.posts.total_us, [Some(1234), None]);
        assert_eq!(rows.posts.responses, [Some("no disk".to_owned()), None]);
        assert_eq!(
            rows.event_keys,
            [Some("Oslo".to_owned()), Some("Oslo".to_owned())]
        );
        assert_eq!(rows.numbers, [1, 0]);
    }
}
