//! Nonsense in, a problem document out: never a 500, always with what is wrong.

mod bodies;
mod dead_letters;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Answer, Client};

/// Checks that it is a problem document that agrees with its own headers.
fn assert_problem(answer: &Answer, status: u16, code: &str) {
    let problem = answer.json();
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(problem["code"], code);
    assert_eq!(problem["status"], status);
    assert_eq!(
        problem["type"],
        format!("urn:temperature-webhooks:problem:{code}")
    );
    assert_eq!(problem["request_id"], answer.header("x-request-id"));
    for field in ["title", "detail"] {
        assert!(
            problem[field].as_str().is_some_and(|text| !text.is_empty()),
            "{field}"
        );
    }
}

/// A subscription that is right but for one field.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({"name": "n", "url": "http://localhost:9099"});
    body[field] = value;
    body
}

/// What is no URL to deliver to.
fn wrong_urls() -> Vec<Value> {
    let long = format!("http://example.com/{}", "x".repeat(2048));
    let texts = [
        "",
        "nonsense",
        "/relative",
        "//host/path",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http:example.com",
        "http:/example.com",
        "http:\\\\example.com",
        "http://",
        "http://host:99999",
        "http://[::1",
        "http://user@example.com",
        "http://user:secret@example.com",
        "http://exa mple.com",
        " http://example.com",
        "http://example.com/a\nb",
        "http://example.com/\0",
        long.as_str(),
    ];
    let others = [json!(7), json!(null)];
    texts.map(Value::from).into_iter().chain(others).collect()
}

/// What `POST` and `PATCH` both refuse, and the field that is named.
fn wrong_fields() -> Vec<(&'static str, Value, &'static str)> {
    let urls = wrong_urls().into_iter().map(|url| ("url", url, "/url"));
    let others = [
        ("name", json!(""), "/name"),
        ("name", json!("   "), "/name"),
        ("name", json!("x".repeat(101)), "/name"),
        ("name", json!("a\0b"), "/name"),
        ("name", json!("a\nb"), "/name"),
        ("name", json!(["a"]), "/name"),
        ("name", json!(null), "/name"),
        ("description", json!("x".repeat(1001)), "/description"),
        ("description", json!("a\0b"), "/description"),
        ("description", json!({}), "/description"),
        ("auth_key", json!(""), "/auth_key"),
        ("auth_key", json!("x".repeat(1025)), "/auth_key"),
        ("auth_key", json!("a b"), "/auth_key"),
        ("auth_key", json!("a\r\nx-evil: 1"), "/auth_key"),
        ("auth_key", json!("schlüssel"), "/auth_key"),
        ("auth_key", json!(1), "/auth_key"),
        ("event_types", json!([]), "/event_types"),
        ("event_types", json!("temperature.updated"), "/event_types"),
        ("event_types", json!(["a", "*"]), "/event_types/1"),
        ("event_types", json!([".*"]), "/event_types/0"),
        ("event_types", json!(["a.*.b"]), "/event_types/0"),
        ("event_types", json!(["a b"]), "/event_types/0"),
        ("event_types", json!(["a", 5]), "/event_types/1"),
        ("event_types", json!(["a", null]), "/event_types/1"),
        ("event_types", json!(["x".repeat(101)]), "/event_types/0"),
        ("event_types", json!(vec!["a"; 51]), "/event_types"),
        ("cities", json!([]), "/cities"),
        ("cities", json!([""]), "/cities/0"),
        ("cities", json!(["a", "b\0"]), "/cities/1"),
        ("cities", json!(["x".repeat(201)]), "/cities/0"),
        ("cities", json!(vec!["a"; 201]), "/cities"),
        ("cities", json!({"0": "a"}), "/cities"),
        ("state", json!("active"), "/state"),
        ("a/b~c", json!(1), "/a~1b~0c"),
    ];
    urls.chain(others).collect()
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_field_is_named(db: PgPool) {
    let client = Client::new(db);
    let path = format!("/subscriptions/{}", client.subscription("a").await);
    for (field, value, pointer) in wrong_fields() {
        for answer in [
            client
                .post("/subscriptions", &with(field, value.clone()))
                .await,
            client.patch(&path, &json!({field: value.clone()})).await,
        ] {
            assert_problem(&answer, 422, "invalid_field");
            assert_eq!(answer.json()["pointer"], pointer, "{field}: {value}");
        }
    }
    let list = client.get("/subscriptions").await.json();
    assert_eq!(
        list["items"].as_array().map(Vec::len),
        Some(1),
        "nothing of it was kept"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_just_within_the_limits_is_taken(db: PgPool) {
    let client = Client::new(db);
    let long_url = format!("http://h/{}", "x".repeat(2048 - "http://h/".len()));
    for (number, (field, value)) in [
        ("url", json!(long_url)),
        ("url", json!("HTTPS://Example.com:8443/päth?q=1")),
        ("url", json!("http://[::1]:9099/")),
        ("description", json!("ü".repeat(1000))),
        ("description", json!("")),
        ("description", json!(null)),
        ("auth_key", json!("~".repeat(1024))),
        ("event_types", json!(vec!["temperature.*"; 50])),
        ("cities", json!(vec!["ü".repeat(200); 200])),
    ]
    .into_iter()
    .enumerate()
    {
        let mut body = with(field, value);
        body["name"] = json!(format!("{number:ü>100}"));
        let answer = client.post("/subscriptions", &body).await;
        assert_eq!(
            answer.status,
            StatusCode::CREATED,
            "{field}: {}",
            answer.text()
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_parameter_is_named(db: PgPool) {
    let client = Client::new(db);
    for list in ["/subscriptions", "/replays", "/dlqs", "/dlqs/groups"] {
        for (query, parameter) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=-1", "limit"),
            ("limit=abc", "limit"),
            ("limit=", "limit"),
            ("limit=1&limit=2", "limit"),
            ("skip=-1", "skip"),
            ("skip=1.5", "skip"),
            ("skip=99999999999999999999", "skip"),
            ("offset=1", "offset"),
        ] {
            let answer = client.get(&format!("{list}?{query}")).await;
            assert_problem(&answer, 400, "invalid_parameter");
            assert_eq!(answer.json()["parameter"], parameter, "{list}?{query}");
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_parameter_of_the_record_is_named(db: PgPool) {
    let client = Client::new(db);
    for (query, parameter) in [
        ("cursor=", "cursor"),
        ("cursor=abc", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=_____________________w", "cursor"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("skip=1", "skip"),
        ("status=bored", "status"),
        ("failure=bored", "failure"),
        ("city=", "city"),
        ("city=a%00b", "city"),
        ("event_id=%0A", "event_id"),
        ("subscription_id=nobody", "subscription_id"),
        ("since=yesterday", "since"),
        ("until=%00", "until"),
        (
            "since=2026-11-23T21:00:00Z&until=2026-11-23T21:00:00Z",
            "until",
        ),
        (
            "since=2026-11-24T21:00:00Z&until=2026-11-23T21:00:00Z",
            "until",
        ),
    ] {
        let answer = client.get(&format!("/deliveries?{query}")).await;
        assert_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["parameter"], parameter, "{query}");
    }
    for id in ["", "x", "1", "1.", "-1.1", "99999999999999999999.1"] {
        let request = Request::builder()
            .uri("/events/stream")
            .header("last-event-id", id);
        let answer = client
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["parameter"], "Last-Event-ID", "{id}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_id_is_named(db: PgPool) {
    let client = Client::new(db);
    for (method, path) in [
        (Method::GET, "/subscriptions/abc"),
        (Method::GET, "/subscriptions/%00"),
        (Method::GET, "/subscriptions/%FF"),
        (Method::PATCH, "/subscriptions/1"),
        (Method::DELETE, "/subscriptions/abc"),
        (Method::POST, "/subscriptions/abc/enable"),
        (Method::POST, "/subscriptions/abc/pause"),
        (Method::POST, "/subscriptions/abc/resume"),
        (Method::POST, "/subscriptions/abc/replay"),
        (Method::POST, "/subscriptions/abc/test"),
        (Method::GET, "/replays/abc"),
        (Method::POST, "/replays/1/cancel"),
        (Method::GET, "/dlqs/abc"),
        (Method::GET, "/dlqs/1.5"),
        (Method::DELETE, "/dlqs/99999999999999999999"),
        (Method::GET, "/deliveries/abc"),
        (
            Method::GET,
            "/deliveries/0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
        ),
        (Method::GET, "/deliveries/%00"),
        (Method::POST, "/deliveries/abc/retry"),
        (Method::DELETE, "/deliveries/abc/content"),
        (Method::GET, "/events/%00"),
        (Method::GET, "/events/a%20b"),
        (Method::GET, "/subscriptions/abc/tail"),
    ] {
        let answer = client.raw(method, path, "{}").await;
        assert_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["parameter"], "id", "{path}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_not_served_is_a_problem_too(db: PgPool) {
    let client = Client::new(db);
    for path in [
        "/nothing",
        "/subscriptions/",
        "/dlqs/1/2",
        "/docs/nothing.js",
        "/%00",
        "/../etc",
    ] {
        assert_problem(&client.get(path).await, 404, "unknown_route");
    }
    for (method, path, allow) in [
        (Method::PUT, "/subscriptions", "GET"),
        (Method::POST, "/", "GET"),
        (Method::POST, "/livez", "GET"),
        (Method::PATCH, "/dlqs", "POST"),
    ] {
        let answer = client.call(method, path).await;
        assert_problem(&answer, 405, "method_not_allowed");
        assert!(answer.header("allow").contains(allow), "{path}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_clients_request_id_is_used_if_it_fits(db: PgPool) {
    let client = Client::new(db);
    for (given, is_used) in [
        ("abc-123", true),
        ("a b", false),
        ("", false),
        (&"x".repeat(129), false),
    ] {
        let request = Request::builder()
            .uri("/nothing")
            .header("x-request-id", given);
        let answer = client
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_problem(&answer, 404, "unknown_route");
        assert_eq!(answer.header("x-request-id") == given, is_used, "{given}");
        assert!(is_used || answer.header("x-request-id").parse::<Uuid>().is_ok());
    }
}
