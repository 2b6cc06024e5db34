//! An API that knows a few things, all of whose texts are hostile, and remembers what it was asked;
//! and a browser without eyes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LINK, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use common::secrets::Keyring;
use console::Settings;
use serde_json::{Value, json};
use tower::ServiceExt;

/// What ends any attribute, element and script it stands in, where it is not escaped.
pub const HOSTILE: &str =
    "\"'></td></script><script>alert(1)</script><img src=x onerror=alert(2)>&";

/// The one subscription that there is.
pub const ID: &str = "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11";

/// One that there is not.
pub const OTHER: &str = "0199b0c2-7c1e-7d52-a0a5-000000000000";

/// The keys that there are.
pub const ADMIN: &str = "tw_live_admin";
pub const SUBSCRIBER: &str = "tw_live_subscriber";

const SECRET: &str = "whsec_shown";

/// What it was asked: method, path with query, headers, body.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// The API.
#[derive(Clone, Debug)]
pub struct Fake {
    pub calls: Arc<Mutex<Vec<Call>>>,
    /// The keys that are in force.
    pub keys: Arc<Mutex<Vec<&'static str>>>,
    asks_for_keys: bool,
}

/// Somebody with a browser.
#[derive(Clone, Debug)]
pub struct Browser {
    router: Router,
    pub fake: Fake,
    pub cookie: Option<String>,
}

/// What a browser is shown.
#[derive(Debug)]
pub struct Shown {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Shown {
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("ASCII"))
    }
}

impl Browser {
    pub fn new(asks_for_keys: bool) -> Self {
        let fake = Fake {
            calls: Arc::default(),
            keys: Arc::new(Mutex::new(vec![ADMIN, SUBSCRIBER])),
            asks_for_keys,
        };
        let api = Router::new().fallback(answer).with_state(fake.clone());
        let keys = "test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let keyring = Keyring::new(&keys.into()).expect("a keyring");
        let settings = Settings {
            asks_for_keys,
            by_tls: false,
            idle: Duration::from_hours(1),
            lifetime: Duration::from_hours(12),
        };
        Self {
            router: console::in_front_of(api, &keyring, settings),
            fake,
            cookie: None,
        }
    }

    /// Shows a page.
    pub async fn get(&self, path: &str) -> Shown {
        let request = Request::get(path).header("accept", "text/html,*/*;q=0.8");
        self.send(request.body(Body::empty()).expect("a request"))
            .await
    }

    /// Sends a form of one of our own pages.
    pub async fn post(&self, path: &str, form: &str) -> Shown {
        let request = Request::post(path)
            .header("sec-fetch-site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let form = Body::from(form.to_owned());
        self.send(request.body(form).expect("a request")).await
    }

    pub async fn send(&self, mut request: Request) -> Shown {
        let headers = request.headers_mut();
        headers.insert(HOST, "console.example".parse().expect("a value"));
        if let Some(cookie) = &self.cookie {
            headers.insert(COOKIE, cookie.parse().expect("a value"));
        }
        let response = self.router.clone().oneshot(request).await;
        let (parts, body) = response.expect("routers do not fail").into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a whole answer");
        Shown {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).expect("UTF-8"),
        }
    }

    /// Signs in, and keeps the cookie.
    pub async fn sign_in(mut self, key: &str) -> Self {
        let shown = self
            .post("/console/sign-in", &format!("key={key}&next=%2F"))
            .await;
        assert_eq!(shown.status, StatusCode::SEE_OTHER, "{}", shown.text);
        let cookie = shown.header(SET_COOKIE.as_str()).split(';').next();
        self.cookie = cookie.map(str::to_owned);
        self
    }

    /// What changes things it was asked, without the reads.
    pub fn changes(&self) -> Vec<(Method, String, Value)> {
        let calls = self.fake.calls.lock().expect("no test panicked with it");
        let changes = calls.iter().filter(|call| call.method != Method::GET);
        changes
            .map(|call| (call.method.clone(), call.path.clone(), call.body.clone()))
            .collect()
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    fake.calls
        .lock()
        .expect("no test panicked with it")
        .push(Call {
            method: parts.method.clone(),
            path: parts.uri.to_string(),
            headers: parts.headers.clone(),
            body: body.clone(),
        });
    let key = parts
        .headers
        .get(AUTHORIZATION)
        .map_or("", |key| key.to_str().expect("ASCII"));
    if path == "/" {
        return "the API's own page".into_response();
    }
    if path == "/readyz" {
        return Json(json!({"ready": false, "components": {"kafka": HOSTILE, "postgres": "ok"}}))
            .into_response();
    }
    let in_force = fake.keys.lock().expect("no test panicked with it").clone();
    if fake.asks_for_keys
        && !in_force
            .iter()
            .any(|known| key == format!("Bearer {known}"))
    {
        return refusal(401, "invalid_token", None);
    }
    let is_admins = path.starts_with("/api-keys") || path.starts_with("/audit");
    if is_admins && fake.asks_for_keys && key != format!("Bearer {ADMIN}") {
        return refusal(403, "forbidden", None);
    }
    if path.contains(OTHER) || path.contains("other") {
        return refusal(404, "not_found", None);
    }
    if body["name"] == "taken" {
        return refusal(409, "name_taken", None);
    }
    if body["url"] == "ftp://a" {
        return refusal(422, "invalid_field", Some("/url"));
    }
    if query.contains("since=nonsense") {
        return refusal(400, "invalid_parameter", None);
    }
    if parts.method == Method::DELETE {
        return StatusCode::NO_CONTENT.into_response();
    }
    served(&parts.method, &path, &body)
}

fn served(method: &Method, path: &str, body: &Value) -> Response {
    let items = |item: Value| Json(json!({"items": [item]})).into_response();
    let one = format!("/subscriptions/{ID}");
    let rest = path.strip_prefix(&one);
    match (method.as_str(), path, rest) {
        ("GET", "/subscriptions", _) => items(subscription()),
        ("POST", "/subscriptions", _) | (_, _, Some("/secret/rotate")) => {
            let mut made = subscription();
            made["signing_secret"] = json!(SECRET);
            made["old_until"] = json!("2026-11-23T21:00:00Z");
            Json(made).into_response()
        }
        ("POST", "/subscriptions/preview", _) => Json(json!({
            "looked_at": 100, "matching": 7, "matching_per_hour": 3.5, "unanswered": 1,
            "samples": [{"event": {"city": HOSTILE}}],
        }))
        .into_response(),
        (_, _, Some("" | "/pause" | "/resume" | "/enable")) => Json(subscription()).into_response(),
        (_, _, Some("/stats")) => Json(stats()).into_response(),
        (_, _, Some("/test")) => Json(test()).into_response(),
        (_, _, Some("/tail")) => stream(),
        (_, _, Some("/replay")) => Json(json!({
            "since": "2026-11-23T20:00:00Z", "until": "2026-11-23T21:00:00Z", "count": 1000,
            "matching": 12, "exact": body["rate"].is_null(), "scanned": 10, "unanswered": 0,
        }))
        .into_response(),
        ("GET", "/stats", _) => Json(stats()).into_response(),
        ("GET", "/stats/timeseries", _) => Json(json!({
            "as_of": chrono::Utc::now(), "series": [{"subscription_id": ID, "failure": HOSTILE,
            "points": [{"at": minute(), "delivered": 3, "failed": 2, "events": 9, "latency_ms_p50": 4.5}]}],
        }))
        .into_response(),
        ("GET", "/events/stream", _) => stream(),
        ("GET", "/deliveries", _) => {
            let link = "</deliveries?limit=50&cursor=abc%2Bd>; rel=\"next\"";
            ([(LINK, link)], items(delivery())).into_response()
        }
        ("GET" | "POST", path, _) if path.starts_with("/deliveries/") => {
            let mut whole = delivery();
            whole["attempts"] = json!([attempt()]);
            Json(whole).into_response()
        }
        ("GET", path, _) if path.starts_with("/events/") => Json(json!({
            "id": HOSTILE, "city": HOSTILE, "topic": HOSTILE, "partition": 3, "offset": 4,
            "payload": {"city": HOSTILE}, "payload_from": "topic", "recorded": "all",
            "deliveries": [delivery()],
        }))
        .into_response(),
        ("GET", "/dlqs", _) => items(dead_letter()),
        ("POST", "/dlqs", _) => Json(json!({
            "requeued": [1, 2], "not_found": [3], "refused": [{"id": 4, "reason": "malformed"}],
        }))
        .into_response(),
        ("GET", "/replays", _) => items(replay()),
        ("POST", path, _) if path.starts_with("/replays/") => Json(replay()).into_response(),
        ("GET", "/api-keys", _) => items(key()),
        ("POST", "/api-keys", _) => {
            let mut made = key();
            made["key"] = json!("tw_live_shown_once");
            Json(made).into_response()
        }
        ("GET", "/audit", _) => {
            let link = "</audit?before=7>; rel=\"next\"";
            ([(LINK, link)], items(entry())).into_response()
        }
        _ => refusal(404, "unknown_route", None),
    }
}

fn stream() -> Response {
    let kind = [(CONTENT_TYPE, "text/event-stream")];
    (kind, "event: outcome\ndata: {}\n\n").into_response()
}

fn refusal(status: u16, code: &str, pointer: Option<&str>) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let problem = json!({
        "status": status.as_u16(), "code": code, "title": "No", "detail": format!("no {HOSTILE}"),
        "request_id": "r-1", "pointer": pointer, "parameter": null,
    });
    (status, Json(problem)).into_response()
}

fn minute() -> String {
    let now = chrono::Utc::now() - chrono::TimeDelta::minutes(2);
    now.format("%Y-%m-%dT%H:%M:00Z").to_string()
}

fn subscription() -> Value {
    json!({
        "id": ID, "name": HOSTILE, "description": HOSTILE, "owner": HOSTILE,
        "url": format!("javascript:alert('{HOSTILE}')"), "auth": {"kind": "bearer"},
        "cities": [HOSTILE], "event_types": [HOSTILE], "filter": HOSTILE,
        "retry_schedule": ["5s"], "ordering": "none", "coalesce": "none", "state": "active",
        "circuit": {"state": "open", "failing_since": "2026-11-23T21:00:00Z", "last_failure": HOSTILE,
                    "next_probe_at": "2026-11-23T21:00:45Z"},
        "held_back": {"since": "2026-11-23T21:00:00Z", "partitions": 3, "warning": HOSTILE},
        "signing_algorithm": "hmac_sha256", "public_keys_url": HOSTILE, "expired": 1, "superseded": 2,
        "created_at": "2026-11-23T20:00:00Z", "updated_at": "2026-11-23T20:00:00Z",
    })
}

fn stats() -> Value {
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

fn delivery() -> Value {
    json!({
        "id": "AZmw", "subscription_id": ID, "event_id": HOSTILE, "city": HOSTILE,
        "status": "pending", "at": "2026-11-23T21:00:00Z", "attempts_made": 2, "failure": HOSTILE,
        "last_status": null, "latency_ms": 78.1, "next_attempt_at": "2026-11-23T21:00:05Z",
        "replay_id": ID, "topic": HOSTILE, "partition": 3, "offset": 4711,
    })
}

fn attempt() -> Value {
    json!({
        "at": "2026-11-23T21:00:00Z", "number": 1, "posted": true, "outcome": "pending",
        "status": 500, "failure": HOSTILE, "hint": HOSTILE,
        "latency_ms": {"dns": 1.0, "connect": 2.0, "total": 4.0}, "remote_address": HOSTILE,
        "tls_version": HOSTILE, "request_headers": {HOSTILE: HOSTILE},
        "response_headers": {HOSTILE: HOSTILE}, "response": format!("{HOSTILE}\u{1b}[31m\u{202e}"),
    })
}

fn test() -> Value {
    json!({
        "event_id": HOSTILE, "verdict": "retry", "failure": HOSTILE, "status": 500, "hint": HOSTILE,
        "latency_ms": {"total": 4.0}, "remote_address": HOSTILE, "response": HOSTILE,
    })
}

fn dead_letter() -> Value {
    json!({
        "id": 1, "subscription_id": ID, "event_id": HOSTILE, "payload": {"city": HOSTILE},
        "payload_bytes": 20, "reason": "exhausted", "attempts": 9, "last_status": 500,
        "last_error": HOSTILE, "created_at": "2026-11-23T21:00:00Z",
    })
}

fn replay() -> Value {
    json!({
        "id": ID, "since": "2026-11-23T20:00:00Z", "until": "2026-11-23T21:00:00Z", "rate": 5.0,
        "state": "running", "count": 10, "settled": 5, "progress": 0.5,
        "created_at": "2026-11-23T21:00:00Z",
    })
}

fn key() -> Value {
    json!({
        "id": ID, "name": HOSTILE, "prefix": HOSTILE, "role": "subscriber", "owner": HOSTILE,
        "scopes": ["read"], "created_at": "2026-11-23T21:00:00Z", "created_by": HOSTILE,
    })
}

fn entry() -> Value {
    json!({
        "at": "2026-11-23T21:00:00Z", "who": HOSTILE, "action": HOSTILE, "kind": "subscription",
        "object_id": HOSTILE, "address": HOSTILE, "changes": {HOSTILE: HOSTILE},
    })
}
