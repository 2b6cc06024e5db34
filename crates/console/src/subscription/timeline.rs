//! What happened to a subscription, and what was done to it, as one list. Pure.

use crate::answers::{At, Entry, OperationalEvent};
use crate::{cause, moment, number};

/// Who does something where nobody is asked for a key.
const NOBODY: &str = "off";

/// One line of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Moment {
    pub at: At,
    /// By which it is coloured.
    pub tone: &'static str,
    pub text: String,
    /// Who did it, where somebody did.
    pub who: Option<String>,
}

/// The `shown` latest of both, newest first.
pub fn of(events: &[OperationalEvent], changes: Vec<Entry>, shown: usize) -> Vec<Moment> {
    let events = events.iter().map(happened);
    let mut moments: Vec<_> = events.chain(changes.into_iter().map(done)).collect();
    moments.sort_by_key(|it| std::cmp::Reverse(it.at));
    moments.truncate(shown);
    moments
}

fn happened(event: &OperationalEvent) -> Moment {
    let why = event.last_failure.as_deref().or(event.reason.as_deref());
    let why = why.map_or(String::new(), |why| format!(": {}", cause::words(why)));
    let (tone, text) = match event.event_type.as_str() {
        "subscription.circuit_opened" => {
            let after = event.failing_seconds.filter(|seconds| *seconds >= 1.0);
            let after = after.map_or(String::new(), |seconds| {
                format!(", after {} of nothing else", moment::length_of(seconds))
            });
            ("bad", format!("Circuit opened{why}{after}"))
        }
        "subscription.circuit_closed" => ("good", "Circuit closed: it answers again".into()),
        "subscription.recovered" => ("good", "Caught up with all it had missed".into()),
        "subscription.disabled" => ("bad", format!("Disabled{why}")),
        "delivery.dead_lettered" => {
            let many = match event.count {
                Some(many @ 2..) => format!("{} deliveries", number::count(many)),
                _ => "A delivery".into(),
            };
            ("bad", format!("{many} given up{why}"))
        }
        other => ("plain", other.to_owned()),
    };
    Moment {
        at: event.timestamp,
        tone,
        text,
        who: None,
    }
}

fn done(entry: Entry) -> Moment {
    let text = match entry.action.as_str() {
        "create" => "Subscribed",
        "update" => "Changed",
        "pause" => "Paused",
        "resume" => "Resumed",
        "enable" => "Enabled",
        "rotate_secret" => "Secret exchanged",
        other => other,
    };
    Moment {
        at: entry.at,
        tone: "plain",
        text: text.to_owned(),
        who: Some(entry.who).filter(|who| who != NOBODY),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(at: &str, event_type: &str, more: &Value) -> OperationalEvent {
        let mut whole = json!({"type": event_type, "timestamp": at});
        for (name, value) in more.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        serde_json::from_value(whole).expect("an event")
    }

    #[test]
    fn what_happened_and_what_was_done_are_one_list_newest_first() {
        let opened = json!({"last_failure": "connect_refused", "failing_seconds": 10.4});
        let events = [
            event(
                "2026-11-23T14:07:00Z",
                "subscription.circuit_closed",
                &json!({}),
            ),
            event(
                "2026-11-23T14:02:00Z",
                "subscription.circuit_opened",
                &opened,
            ),
            event(
                "2026-11-23T14:00:00Z",
                "delivery.dead_lettered",
                &json!({"count": 3}),
            ),
        ];
        let paused = serde_json::from_value(json!({
            "at": "2026-11-23T14:05:00Z", "who": "key:1", "action": "pause",
            "kind": "subscription", "object_id": "1", "changes": {},
        }))
        .expect("an entry");
        let moments = of(&events, vec![paused], 3);
        let told: Vec<_> = moments.iter().map(|it| (it.tone, &*it.text)).collect();
        assert_eq!(
            told,
            [
                ("good", "Circuit closed: it answers again"),
                ("plain", "Paused"),
                (
                    "bad",
                    "Circuit opened: connection refused, after 10 s of nothing else"
                ),
            ]
        );
        assert_eq!(moments[1].who.as_deref(), Some("key:1"));
    }
}
