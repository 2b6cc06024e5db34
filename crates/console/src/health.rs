//! How a subscription is, in a sentence or a few. Pure.

use chrono::TimeDelta;

use crate::answers::{At, Circuit, Count, Health, Subscription, SubscriptionStats, Times};
use crate::moment::{length, length_of, since};
use crate::{cause, number};

/// What is said of a subscription.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// `good`, `fair` or `bad`, by which it is coloured.
    pub tone: &'static str,
    pub text: String,
}

/// How long it has to go on before what fails once in a while is said to fail: as long as failures
/// must spread before they trip a circuit.
const STEADY: TimeDelta = TimeDelta::seconds(10);

/// Whether what has failed since then is to be said to fail now.
pub fn is_steady(since: At, now: At) -> bool {
    now - since >= STEADY
}

/// Whether nothing gets through to it.
fn fails(circuit: &Circuit, now: At) -> bool {
    let steadily = circuit
        .failing_since
        .is_some_and(|since| is_steady(since, now));
    circuit.state != "closed" || steadily
}

/// What there is to say then.
pub fn said(of: &Subscription, stats: &SubscriptionStats, now: At) -> Said {
    let health = &stats.health;
    let more = (health.consecutive_failures, stats.now.latency_ms);
    let mut said = begun(of, health.success_share_1h, now, more);
    said.text
        .extend(held_back(of, health.held_back_events, now));
    said.text.extend(waiting(health));
    if fails(&of.circuit, now) && of.state == "active" {
        said.text.extend(will_be_disabled(health, now));
    }
    said.finish()
}

/// The same in short, with which share of attempts succeeded in the last hour.
pub fn brief(of: &Subscription, share: Option<f64>, now: At) -> Said {
    let mut said = begun(of, share, now, (0, None));
    said.text.extend(held_back(of, None, now));
    said.finish()
}

/// Sentences, to be joined.
struct Saying {
    tone: &'static str,
    text: Vec<String>,
}

impl Saying {
    fn finish(self) -> Said {
        Said {
            tone: self.tone,
            text: self.text.join(" "),
        }
    }
}

fn begun(
    of: &Subscription,
    share: Option<f64>,
    now: At,
    (attempts, times): (i64, Option<Times>),
) -> Saying {
    let (tone, text) = match of.state.as_str() {
        "disabled" => ("bad", vec![disabled(of, now)]),
        "paused" => (
            "fair",
            vec!["Paused: what happens meanwhile waits for it.".to_owned()],
        ),
        _ if fails(&of.circuit, now) => ("bad", failing(&of.circuit, attempts, now)),
        _ if of.held_back.is_some() => ("fair", vec!["It is catching up.".to_owned()]),
        _ => well(share, times),
    };
    Saying { tone, text }
}

fn disabled(of: &Subscription, now: At) -> String {
    let when = of.disabled_at;
    let when = when.map_or(String::new(), |at| format!(" since {}", since(at, now)));
    let why = of.disabled_reason.as_deref().unwrap_or("by somebody");
    let why = cause::words(why);
    format!("Disabled{when}: {why}. Nothing is sent until it is enabled again.")
}

fn failing(circuit: &Circuit, attempts: i64, now: At) -> Vec<String> {
    let class = circuit.last_failure.as_deref();
    let class = class.unwrap_or("for reasons unknown");
    let attempts = match attempts {
        0 => String::new(),
        1 => ", 1 attempt".to_owned(),
        many => format!(", {} attempts", number::count(many)),
    };
    let begun = circuit.failing_since;
    let begun = begun.map_or("Failing".into(), |at| {
        format!("Failing since {}", since(at, now))
    });
    let mut said = vec![format!("{begun}: {}{attempts}.", cause::words(class))];
    match (circuit.state.as_str(), circuit.next_probe_at) {
        ("open", Some(at)) if at > now => said.push(format!("Next probe in {}.", length(at - now))),
        ("open", _) => said.push("A probe is due.".into()),
        ("half_open", _) => said.push("It is being probed.".into()),
        _ => {}
    }
    said
}

fn held_back(of: &Subscription, events: Option<i64>, now: At) -> Option<String> {
    let held = of.held_back.as_ref()?;
    let oldest = length(now - held.since);
    let warning = held.warning.as_ref();
    let warning = warning.map_or(String::new(), |it| format!(" Mind: {it}."));
    Some(match events {
        Some(1) => format!("Held back: 1 event, for {oldest}.{warning}"),
        Some(events) => {
            let events = number::count(events);
            format!("Held back: {events} events, the oldest for {oldest}.{warning}")
        }
        None => format!("Held back for {oldest}.{warning}"),
    })
}

fn waiting(health: &Health) -> Option<String> {
    let Count { count: 1.., .. } = health.pending else {
        return None;
    };
    let oldest = health.oldest_pending_seconds;
    let oldest = oldest.map_or(String::new(), |seconds| {
        format!(", the oldest for {}", length_of(seconds))
    });
    let verb = if health.pending.count == 1 {
        "waits"
    } else {
        "wait"
    };
    Some(format!(
        "{} {verb} to be tried again{oldest}.",
        health.pending.shown()
    ))
}

fn will_be_disabled(health: &Health, now: At) -> Option<String> {
    let at = health.disabled_at?;
    (at > now).then(|| format!("Will be disabled in {}.", length(at - now)))
}

fn well(share: Option<f64>, times: Option<Times>) -> (&'static str, Vec<String>) {
    let Some(share) = share else {
        return (
            "good",
            vec!["Ready: nothing was due in the last hour.".into()],
        );
    };
    let took = times.map_or(String::new(), |times| {
        let (half, most) = (number::millis(times.p50), number::millis(times.p99));
        format!(", now half of them within {half}, 99 % within {most}")
    });
    let (tone, word) = if share >= 0.99 {
        ("good", "Well")
    } else {
        ("fair", "Delivering, with failures")
    };
    let share = number::percent(share);
    (
        tone,
        vec![format!(
            "{word}: {share} of the last hour’s attempts succeeded{took}."
        )],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subscription(state: &str, circuit: &Value, held_back: &Value) -> Subscription {
        serde_json::from_value(json!({
            "id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11", "name": "n", "url": "http://a",
            "auth": {"kind": "none"}, "ordering": "none", "coalesce": "none", "state": state,
            "circuit": circuit, "held_back": held_back, "expired": 0, "superseded": 0,
            "disabled_at": "2026-11-23T14:00:00Z", "disabled_reason": "gone",
            "created_at": "2026-11-23T14:00:00Z", "updated_at": "2026-11-23T14:00:00Z",
        }))
        .expect("a subscription")
    }

    fn stats(health: &Value) -> SubscriptionStats {
        let mut whole = json!({
            "consecutive_failures": 0, "pending": {"count": 0, "exact": true},
            "dead_letters": {"count": 0, "exact": true}, "budget": {"target": 99.9},
        });
        for (name, value) in health.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        serde_json::from_value(json!({
            "as_of": "2026-11-23T14:33:00Z", "attempts_per_second": 0.0,
            "deliveries_per_second": 0.0, "health": whole,
            "latency_ms": {"p50": 8.4, "p99": 64.2},
            "totals": {"attempts": 0, "delivered": 0, "failed": 0, "dead_lettered": 0},
        }))
        .expect("statistics")
    }

    fn now() -> At {
        "2026-11-23T14:33:00Z".parse().expect("a time")
    }

    #[test]
    fn what_fails_is_told_with_its_cause_and_what_comes_next() {
        let open = json!({
            "state": "open", "failing_since": "2026-11-23T14:02:00Z",
            "last_failure": "connect_refused", "next_probe_at": "2026-11-23T14:33:40Z",
        });
        let held =
            json!({"since": "2026-11-23T14:02:00Z", "partitions": 12, "retention_used": 0.1});
        let stats = stats(&json!({
            "consecutive_failures": 212, "held_back_events": 18240,
            "disabled_at": "2026-11-28T12:33:00Z",
        }));
        let said = said(&subscription("active", &open, &held), &stats, now());
        assert_eq!(
            said.text,
            "Failing since 14:02 UTC: connection refused, 212 attempts. Next probe in 40 s. \
             Held back: 18,240 events, the oldest for 31 min. Will be disabled in 4 d 22 h."
        );
        assert_eq!(said.tone, "bad");
    }

    #[test]
    fn each_state_has_its_sentence() {
        let closed = json!({"state": "closed"});
        let held = json!({"since": "2026-11-23T14:32:00Z", "partitions": 1, "retention_used": 0.0});
        for (state, held, health, tone, begins) in [
            (
                "disabled",
                json!(null),
                json!({}),
                "bad",
                "Disabled since 14:00 UTC: asked for no more (410).",
            ),
            ("paused", json!(null), json!({}), "fair", "Paused: "),
            (
                "active",
                held,
                json!({"held_back_events": 1}),
                "fair",
                "It is catching up. Held back: 1 event, for 1 min.",
            ),
            ("active", json!(null), json!({}), "good", "Ready: "),
            (
                "active",
                json!(null),
                json!({"success_share_1h": 1.0}),
                "good",
                "Well: 100 % of the last hour’s attempts succeeded, now half of them within 8.4 ms",
            ),
            (
                "active",
                json!(null),
                json!({"success_share_1h": 0.7}),
                "fair",
                "Delivering, with failures: 70 %",
            ),
        ] {
            let said = said(&subscription(state, &closed, &held), &stats(&health), now());
            assert_eq!(said.tone, tone, "{}", said.text);
            assert!(said.text.starts_with(begins), "{}", said.text);
        }
    }

    #[test]
    fn what_fails_once_in_a_while_is_not_said_to_fail() {
        let just_now = json!({"state": "closed", "failing_since": "2026-11-23T14:32:58Z"});
        let stats = stats(&json!({
            "success_share_1h": 0.7, "disabled_at": "2026-11-28T12:33:00Z", "consecutive_failures": 1,
        }));
        let of = subscription("active", &just_now, &json!(null));
        let said = said(&of, &stats, now());
        assert!(
            said.text.starts_with("Delivering, with failures") && !said.text.contains("disabled")
        );
        let short = brief(&of, Some(0.7), now());
        assert_eq!(
            short.text,
            "Delivering, with failures: 70 % of the last hour’s attempts succeeded."
        );
    }
}
