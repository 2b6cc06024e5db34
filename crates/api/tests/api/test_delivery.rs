//! Test deliveries, at receivers that take them or do not.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::support::{Client, id_of};

/// A receiver that keeps what it gets, and answers as it is told.
pub struct Receiver {
    pub url: String,
    pub got: mpsc::Receiver<(HeaderMap, Bytes)>,
    _server: JoinSet<()>,
}

impl Receiver {
    pub async fn new(status: u16, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
        let (sender, got) = mpsc::channel(8);
        let answer = (StatusCode::from_u16(status).expect("a status"), body);
        let receive = async move |headers: HeaderMap, event: Bytes| {
            sender.send((headers, event)).await.expect("it is read");
            answer
        };
        let mut server = JoinSet::new();
        server.spawn(async move {
            let routes = Router::new().route("/hook", post(receive));
            axum::serve(listener, routes).await.expect("it serves");
        });
        Self {
            url,
            got,
            _server: server,
        }
    }
}

/// Subscribes with those settings; the path of its tests.
async fn path(client: &Client, settings: &Value) -> String {
    let answer = client.post("/subscriptions", settings).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    format!("/subscriptions/{}/test", id_of(&answer.json()))
}

/// How a test of a subscription to `url` goes.
async fn tested(client: &Client, url: &str) -> Value {
    let path = path(client, &json!({"name": url, "url": url, "timeout": "1s"})).await;
    let answer = client.post(&path, &json!({})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_test_goes_out_at_once_as_a_delivery_would_and_says_that_it_is_one(db: PgPool) {
    let client = Client::new(db);
    let mut receiver = Receiver::new(204, "").await;
    let settings = json!({"name": "a", "url": receiver.url, "auth_key": "secret"});
    let answer = client
        .call(axum::http::Method::POST, &path(&client, &settings).await)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let came_of_it = answer.json();
    for (field, expected) in [
        ("verdict", json!("delivered")),
        ("hint", json!("nothing: it was delivered")),
        ("status", json!(204)),
        ("failure", json!(null)),
        ("response", json!(null)),
        ("tls", json!(null)),
    ] {
        assert_eq!(came_of_it[field], expected, "{field}: {came_of_it}");
    }
    let latency = &came_of_it["latency_ms"];
    assert!(latency["dns"].is_null() && latency["tls"].is_null());
    assert!(latency["connect"].is_f64() && latency["first_byte"].is_f64());
    assert!(latency["total"].as_f64() >= latency["first_byte"].as_f64());
    let address = came_of_it["remote_address"].as_str().expect("an address");
    assert!(receiver.url.contains(address), "{address}");

    let (headers, event) = receiver.got.recv().await.expect("it arrived");
    assert_eq!(headers["webhook-test"], "true");
    assert_eq!(headers["authorization"], "Bearer secret");
    assert_eq!(headers["webhook-attempt"], "1");
    assert_eq!(headers["content-type"], "application/json");
    let event: Value = serde_json::from_slice(&event).expect("JSON");
    assert_eq!(event["type"], "temperature.updated");
    assert_eq!(
        (&event["city"], &event["test"]),
        (&json!("Test"), &json!(true))
    );
    assert_eq!(headers["webhook-id"], event["id"].as_str().expect("an id"));
    assert_eq!(came_of_it["event_id"], event["id"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_is_given_is_sent_as_it_was_written(db: PgPool) {
    let client = Client::new(db);
    let mut receiver = Receiver::new(200, "thanks").await;
    let path = path(&client, &json!({"name": "a", "url": receiver.url})).await;
    for (event, id) in [
        (r#"{ "z": 1.0,  "id":"abc-1", "a" : "é" }"#, Some("abc-1")),
        (r#"{"id":"a b"}"#, None),
        (r#"{"id":7}"#, None),
    ] {
        let body = format!(r#"{{"event":{event}}}"#);
        let answer = client.raw(axum::http::Method::POST, &path, body).await;
        assert_eq!(answer.json()["verdict"], "delivered", "{}", answer.text());
        let (headers, sent) = receiver.got.recv().await.expect("it arrived");
        assert_eq!(sent, event);
        let sent_id = headers["webhook-id"].to_str().expect("ASCII");
        assert_eq!(answer.json()["event_id"], sent_id);
        assert!(id.is_none_or(|id| id == sent_id), "{sent_id}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_failure_has_its_class_and_a_hint(db: PgPool) {
    let client = Client::new(db);
    let ill = Receiver::new(500, "no disk space").await;
    let forbids = Receiver::new(403, "").await;
    let gone = Receiver::new(410, "").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_url = format!("http://{}", silent.local_addr().expect("bound"));
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed_url = format!("http://{}", closed.local_addr().expect("bound"));
    drop(closed);
    for (url, verdict, status, failure, hint, response) in [
        (
            ill.url.clone(),
            "retry",
            json!(500),
            "http_5xx",
            "its log",
            json!("no disk space"),
        ),
        (
            forbids.url.clone(),
            "retry",
            json!(403),
            "http_4xx",
            "`auth_key`",
            json!(null),
        ),
        (
            gone.url.clone(),
            "reject",
            json!(410),
            "gone",
            "disable",
            json!(null),
        ),
        (
            closed_url,
            "retry",
            json!(null),
            "connect_refused",
            "port",
            json!(null),
        ),
        // It takes the connection and never answers.
        (
            silent_url,
            "retry",
            json!(null),
            "timeout",
            "`timeout`",
            json!(null),
        ),
        (
            ill.url.replace("http", "https"),
            "retry",
            json!(null),
            "tls",
            "certificate",
            json!(null),
        ),
    ] {
        let came_of_it = tested(&client, &url).await;
        assert_eq!(came_of_it["verdict"], verdict, "{came_of_it}");
        assert_eq!(came_of_it["status"], status, "{came_of_it}");
        assert_eq!(came_of_it["failure"], failure, "{came_of_it}");
        assert_eq!(came_of_it["response"], response, "{came_of_it}");
        let given = came_of_it["hint"].as_str().expect("a hint");
        assert!(given.contains(hint), "{given}");
    }
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM circuits) + (SELECT count(*) FROM attempts)
              + (SELECT count(*) FROM subscriptions WHERE state <> 'active')",
    )
    .fetch_one(&client.db)
    .await
    .expect("a count");
    assert_eq!(left, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_that_is_paused_or_disabled_can_be_tested(db: PgPool) {
    let client = Client::new(db);
    let mut receiver = Receiver::new(200, "").await;
    let path = path(&client, &json!({"name": "a", "url": receiver.url})).await;
    for state in ["paused", "disabled"] {
        sqlx::query("UPDATE subscriptions SET state = $1")
            .bind(state)
            .execute(&client.db)
            .await
            .expect("changed");
        let answer = client.post(&path, &json!({})).await;
        assert_eq!(answer.json()["verdict"], "delivered", "{state}");
        receiver.got.recv().await.expect("it arrived");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn no_connection_to_postgres_is_held_meanwhile(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let db = pool.max_connections(1).connect_with(options).await;
    let client = Client::new(db.expect("a database"));
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let (tell, wait) = (asked.clone(), answer.clone());
    let receive = async move || {
        tell.notify_one();
        wait.notified().await;
    };
    let mut server = JoinSet::new();
    server.spawn(async move {
        let routes = Router::new().route("/", post(receive));
        axum::serve(listener, routes).await.expect("it serves");
    });
    let path = path(&client, &json!({"name": "a", "url": url})).await;
    let meanwhile = async {
        asked.notified().await;
        assert_eq!(client.get("/subscriptions").await.status, StatusCode::OK);
        answer.notify_one();
    };
    let nothing = json!({});
    let (tested, ()) = tokio::join!(client.post(&path, &nothing), meanwhile);
    assert_eq!(tested.json()["verdict"], "delivered", "{}", tested.text());
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_no_event_is_refused(db: PgPool) {
    let client = Client::new(db);
    let settings = json!({"name": "a", "url": "http://127.0.0.1:1"});
    let path = path(&client, &settings).await;
    let large = "x".repeat(64 * 1024);
    for (asked, pointer) in [
        (json!({"event": 7}), "/event"),
        (json!({"event": [1]}), "/event"),
        (json!({"event": "{}"}), "/event"),
        (json!({"event": {"city": large}}), "/event"),
        (json!({"events": {}}), "/events"),
    ] {
        let answer = client.post(&path, &asked).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.json()["pointer"], pointer, "{}", answer.text());
    }
    let nobody = format!("/subscriptions/{}/test", uuid::Uuid::now_v7());
    let unknown = client.post(&nobody, &json!({})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
