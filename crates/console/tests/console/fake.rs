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

use crate::answers;

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

/// How many dead letters there are.
pub const DEAD_LETTERS: u64 = 2500;

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
            has_provider: false,
            frame_ancestors: Vec::new(),
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

    pub async fn send(&self, request: Request) -> Shown {
        let (parts, body) = self.begin(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a whole answer");
        Shown {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).expect("UTF-8"),
        }
    }

    /// The answer as it begins to come.
    pub async fn begin(&self, mut request: Request) -> Response {
        let headers = request.headers_mut();
        headers.insert(HOST, "console.example".parse().expect("a value"));
        if let Some(cookie) = &self.cookie {
            headers.insert(COOKIE, cookie.parse().expect("a value"));
        }
        let response = self.router.clone().oneshot(request).await;
        response.expect("routers do not fail")
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
    let for_admins = ["/api-keys", "/audit", "/instances"];
    let is_admins = for_admins.iter().any(|begin| path.starts_with(begin));
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
    served(&parts.method, (&path, &query), &body)
}

/// What is there, if it is.
fn served(method: &Method, (path, query): (&str, &str), body: &Value) -> Response {
    let items = |item: Value| Json(json!({"items": [item]})).into_response();
    if let Some(rest) = path.strip_prefix(&format!("/subscriptions/{ID}")) {
        return of_subscription(rest, body);
    }
    match (method.as_str(), path) {
        ("GET", "/subscriptions") => items(answers::subscription()),
        ("POST", "/subscriptions") => of_subscription("/secret/rotate", body),
        ("POST", "/subscriptions/preview") => Json(answers::preview()).into_response(),
        ("GET", "/stats") => Json(answers::stats()).into_response(),
        ("GET", "/stats/timeseries") => Json(answers::timeseries()).into_response(),
        ("GET", "/events/stream") => stream(),
        ("GET", "/deliveries") => {
            let link = "</deliveries?limit=50&cursor=abc%2Bd>; rel=\"next\"";
            ([(LINK, link)], items(answers::delivery())).into_response()
        }
        ("GET" | "POST", path) if path.starts_with("/deliveries/") => {
            let mut whole = answers::delivery();
            whole["attempts"] = json!([answers::attempt()]);
            Json(whole).into_response()
        }
        ("GET", path) if path.starts_with("/events/") => Json(answers::event()).into_response(),
        ("GET", "/dlqs") => dead_letters(query),
        ("POST", "/dlqs") => Json(answers::reprocessed()).into_response(),
        ("GET", "/dlqs/groups") => items(answers::group()),
        ("POST", "/dlqs/groups") => Json(answers::requeued_group()).into_response(),
        ("GET", "/dlqs/reprocessed") => Json(answers::sent_again()).into_response(),
        ("GET", "/replays") => items(answers::replay()),
        ("POST", path) if path.starts_with("/replays/") => Json(answers::replay()).into_response(),
        ("GET", "/api-keys") => items(answers::key()),
        ("POST", "/api-keys") => {
            let mut made = answers::key();
            made["key"] = json!("tw_live_shown_once");
            Json(made).into_response()
        }
        ("GET", "/instances") => Json(answers::instances()).into_response(),
        ("GET", "/audit") => {
            let link = "</audit?before=7>; rel=\"next\"";
            ([(LINK, link)], items(answers::entry())).into_response()
        }
        _ => refusal(404, "unknown_route", None),
    }
}

/// A part of them. Behind the first one of the `last_error` `broken` the database is away.
fn dead_letters(query: &str) -> Response {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found.and_then(|(_, value)| value.parse::<u64>().ok())
    };
    let after = value("after").unwrap_or_default();
    if after > 0 && query.contains("last_error=broken") {
        return refusal(503, "unavailable", None);
    }
    let last = (after + value("limit").unwrap_or(100)).min(DEAD_LETTERS);
    let letters: Vec<_> = (after + 1..=last).map(answers::dead_letter).collect();
    Json(json!({"items": letters})).into_response()
}

fn of_subscription(rest: &str, body: &Value) -> Response {
    let answer = match rest {
        "" | "/pause" | "/resume" | "/enable" => answers::subscription(),
        "/secret/rotate" => {
            let mut made = answers::subscription();
            made["signing_secret"] = json!(SECRET);
            made["old_until"] = json!("2026-11-23T21:00:00Z");
            made
        }
        "/stats" => answers::stats(),
        "/test" => answers::test(),
        "/timeline" => json!({"items": [answers::operational_event()]}),
        "/tail" => return stream(),
        "/replay" => answers::dry_run(body["rate"].is_null()),
        _ => return refusal(404, "unknown_route", None),
    };
    Json(answer).into_response()
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
