//! What the API answers, each text of it hostile.

use serde_json::{Value, json};

use crate::fake::{HOSTILE, ID};

/// When dead letters were sent again.
const REQUEUED_AT: &str = "2026-11-23T21:00:00.480172Z";

fn minute() -> String {
    let now = chrono::Utc::now() - chrono::TimeDelta::minutes(2);
    now.format("%Y-%m-%dT%H:%M:00Z").to_string()
}

pub fn subscription() -> Value {
    json!({
        "id": ID, "name": HOSTILE, "description": HOSTILE, "owner": HOSTILE,
        "url": format!("javascript:alert('{HOSTILE}')"), "auth": {"kind": "bearer"}, "header_names": [HOSTILE],
        "cities": [HOSTILE], "event_types": [HOSTILE], "filter": HOSTILE,
        "retry_schedule": ["5s"], "ordering": "none", "coalesce": "none", "state": "active",
        "circuit": {"state": "open", "failing_since": "2026-11-23T21:00:00Z", "last_failure": HOSTILE,
                    "next_probe_at": "2026-11-23T21:00:45Z"},
        "held_back": {"since": "2026-11-23T21:00:00Z", "partitions": 3, "warning": HOSTILE},
        "signing_algorithm": "hmac_sha256", "public_keys_url": HOSTILE, "expired": 1, "superseded": 2,
        "created_at": "2026-11-23T20:00:00Z", "updated_at": "2026-11-23T20:00:00Z",
    })
}

pub fn stats() -> Value {
    json!({
        "as_of": "2026-11-23T21:00:00Z", "attempts_per_second": 1.0, "deliveries_per_second": 1.0,
        "success_share": 0.5, "latency_ms": {"p50": 1.0, "p99": 2.0}, "delay_ms": null,
        "events_per_second": 1.0, "lag": {"events": 7, "partitions": 12},
        "oldest_undelivered_seconds": 35.0, "pending": {"count": 1, "exact": true},
        "dead_letters": {"count": 20000, "exact": false}, "open_circuits": 1, "held_back": 1,
        "totals": {"attempts": 9, "delivered": 8, "failed": 1},
        "top_failing": [{"subscription_id": ID, "name": HOSTILE, "failure": HOSTILE,
                         "since": "2026-11-23T20:00:00Z"}],
        "health": {"success_share_1h": 0.5, "consecutive_failures": 212,
                   "pending": {"count": 1, "exact": true}, "held_back_events": 18240,
                   "dead_letters": {"count": 1, "exact": true},
                   "budget": {"target": 99.9, "left_30d": -1.0}},
    })
}

pub fn delivery() -> Value {
    json!({
        "id": "AZmw", "subscription_id": ID, "event_id": HOSTILE, "city": HOSTILE,
        "status": "pending", "at": "2026-11-23T21:00:00Z", "attempts_made": 2, "failure": HOSTILE,
        "last_status": null, "latency_ms": 78.1, "next_attempt_at": "2026-11-23T21:00:05Z",
        "replay_id": ID, "topic": HOSTILE, "partition": 3, "offset": 4711,
    })
}

pub fn attempt() -> Value {
    json!({
        "at": "2026-11-23T21:00:00Z", "number": 1, "posted": true, "outcome": "pending",
        "status": 500, "failure": HOSTILE, "hint": HOSTILE,
        "latency_ms": {"dns": 1.0, "connect": 2.0, "total": 4.0}, "remote_address": HOSTILE,
        "tls_version": HOSTILE, "request_headers": {HOSTILE: HOSTILE},
        "response_headers": {HOSTILE: HOSTILE}, "response": format!("{HOSTILE}\u{1b}[31m\u{202e}"),
    })
}

pub fn test() -> Value {
    json!({
        "event_id": HOSTILE, "verdict": "retry", "failure": HOSTILE, "status": 500, "hint": HOSTILE,
        "latency_ms": {"total": 4.0}, "remote_address": HOSTILE, "response": HOSTILE,
    })
}

pub fn dead_letter(id: u64) -> Value {
    json!({
        "id": id, "subscription_id": ID, "event_id": HOSTILE, "payload": {"city": HOSTILE},
        "partition": 3, "offset": 4711, "payload_bytes": 20, "reason": "exhausted", "attempts": 9, "last_status": 500,
        "last_error": HOSTILE, "created_at": "2026-11-23T21:00:00Z",
    })
}

/// More than are sent again at once.
pub fn group() -> Value {
    json!({
        "subscription_id": ID, "reason": "exhausted", "last_error": HOSTILE, "count": 12480,
        "oldest_at": "2026-11-23T20:00:00Z", "newest_at": "2026-11-23T21:00:00Z",
    })
}

pub fn replay() -> Value {
    json!({
        "id": ID, "since": "2026-11-23T20:00:00Z", "until": "2026-11-23T21:00:00Z", "rate": 5.0,
        "state": "running", "count": 10, "settled": 5, "progress": 0.5,
        "created_at": "2026-11-23T21:00:00Z",
    })
}

pub fn key() -> Value {
    json!({
        "id": ID, "name": HOSTILE, "prefix": HOSTILE, "role": "subscriber", "owner": HOSTILE,
        "scopes": ["read"], "created_at": "2026-11-23T21:00:00Z", "created_by": HOSTILE,
    })
}

pub fn entry() -> Value {
    json!({
        "at": "2026-11-23T21:00:00Z", "who": HOSTILE, "action": HOSTILE, "kind": "subscription",
        "object_id": HOSTILE, "address": HOSTILE, "changes": {HOSTILE: HOSTILE},
    })
}

/// Two that run and differ, and one that is silent.
pub fn instances() -> Value {
    let instance = |slo: &str, running: bool| {
        let setting = |name: &str, source: &str, value: Option<&str>, default: Option<&str>| {
            json!({
                "name": name, "flag": HOSTILE, "help": HOSTILE, "source": source,
                "secret": value.is_none(), "value": value, "default": default,
            })
        };
        json!({
            "id": ID, "service": "api", "version": HOSTILE, "host": HOSTILE, "pid": 4711,
            "started_at": "2026-11-23T20:00:00Z", "seen_at": "2026-11-23T21:00:00Z",
            "running": running,
            "settings": [
                setting("ATTEMPT_TIMEOUT", "default", Some(HOSTILE), Some(HOSTILE)),
                setting("SECRETS_KEYS", "environment", None, None),
                setting(HOSTILE, "command_line", Some(HOSTILE), Some("another")),
                setting("SLO_SUCCESS", HOSTILE, Some(slo), Some("99.9")),
            ],
        })
    };
    json!({"items": [instance("99.9", true), instance("95", true), instance("90", false)]})
}

pub fn preview() -> Value {
    json!({
        "looked_at": 100, "matching": 7, "matching_per_hour": 3.5, "unanswered": 1,
        "samples": [{"event": {"city": HOSTILE}}],
    })
}

pub fn timeseries() -> Value {
    json!({
        "as_of": chrono::Utc::now(),
        "series": [{
            "subscription_id": ID, "failure": HOSTILE,
            "points": [{"at": minute(), "delivered": 3, "failed": 2, "events": 9,
                        "latency_ms_p50": 4.5}],
        }],
    })
}

pub fn dry_run(exact: bool) -> Value {
    json!({
        "since": "2026-11-23T20:00:00Z", "until": "2026-11-23T21:00:00Z", "count": 1000,
        "matching": 12, "exact": exact, "scanned": 10, "unanswered": 0,
    })
}

pub fn event() -> Value {
    json!({
        "id": HOSTILE, "city": HOSTILE, "topic": HOSTILE, "partition": 3, "offset": 4,
        "payload": {"city": HOSTILE}, "payload_from": "topic", "recorded": "all",
        "deliveries": [delivery()],
    })
}

pub fn reprocessed() -> Value {
    json!({
        "requeued": [1, 2], "not_found": [3], "refused": [{"id": 4, "reason": "malformed"}],
        "requeued_at": REQUEUED_AT,
    })
}

pub fn requeued_group() -> Value {
    json!({"requeued": 10000, "remaining": 2480, "requeued_at": REQUEUED_AT})
}

pub fn sent_again() -> Value {
    let mut failed = delivery();
    failed["status"] = json!("dead");
    json!({
        "at": REQUEUED_AT, "count": 2, "delivered": 1, "pending": 0, "dead": 1, "expired": 0,
        "superseded": 0, "cancelled": 0, "failed_again": [failed],
    })
}

pub fn operational_event() -> Value {
    json!({
        "id": ID, "type": HOSTILE, "timestamp": "2026-11-23T21:00:00Z", "last_failure": HOSTILE,
        "failing_seconds": 10.4, "reason": HOSTILE, "count": 2,
    })
}
