//! Subscriptions whose deliveries are given tokens: what is taken and shown of that, and asking for one.

use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use rcgen::KeyPair;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::support::{Client, id_of};

const HIDDEN: &str = "hunter2-hunter2";

/// Taken as it is.
fn right() -> Value {
    json!({
        "kind": "oauth2", "token_url": "https://id.example.com/token", "client_id": "sensor",
        "client_auth": "client_secret_basic", "client_secret": HIDDEN, "scope": "read write",
        "audience": "https://api.example.com", "extra": {"resource": HIDDEN}
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut auth = right();
    auth[field] = value;
    auth
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_not_secret_of_it_is_shown_and_no_more(db: PgPool) {
    let client = Client::new(db);
    let pem = KeyPair::generate().expect("a key").serialize_pem();
    let mut by_key = with("private_key", json!(pem));
    by_key["client_auth"] = json!("private_key_jwt");
    by_key["key_id"] = json!("k1");
    by_key["client_secret"] = Value::Null;
    let shown = |method: &str| {
        json!({
            "kind": "oauth2", "token_url": "https://id.example.com/token", "client_id": "sensor",
            "client_auth": method, "scope": "read write", "audience": "https://api.example.com"
        })
    };
    for (name, auth, method) in [
        ("a", right(), "client_secret_basic"),
        (
            "b",
            with("client_auth", json!("client_secret_post")),
            "client_secret_post",
        ),
        ("c", by_key, "private_key_jwt"),
    ] {
        let new = json!({"name": name, "url": "http://a", "auth": auth});
        let made = client.post("/subscriptions", &new).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        assert_eq!(made.json()["auth"], shown(method));
        let one = format!("/subscriptions/{}", id_of(&made.json()));
        let renamed = client.patch(&one, &json!({"description": "b"})).await;
        let listed = client.get("/subscriptions").await;
        for answer in [made, client.get(&one).await, renamed, listed] {
            assert!(answer.text().contains(method), "{}", answer.text());
            let hidden = [HIDDEN, "PRIVATE KEY", "k1\""];
            assert!(!hidden.iter().any(|it| answer.text().contains(it)));
        }
        let cleared = client.patch(&one, &json!({"auth": null})).await;
        assert_eq!(cleared.json()["auth"], json!({"kind": "none"}));
    }
    let audit = client.get("/audit").await;
    assert!(!audit.text().contains(HIDDEN) && audit.text().contains("oauth2"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_makes_no_request_is_refused_by_its_field_and_not_shown(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let key = json!("-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n");
    let mut broken_key = with("private_key", key.clone());
    broken_key["client_auth"] = json!("private_key_jwt");
    broken_key["client_secret"] = Value::Null;
    let mut both = broken_key.clone();
    both["client_secret"] = json!(HIDDEN);
    for (auth, pointer) in [
        (with("token_url", json!("ftp://a/")), "/auth/token_url"),
        (
            with("token_url", json!("http://10.0.0.1/")),
            "/auth/token_url",
        ),
        (
            with("token_url", json!("http://a:hunter2-hunter2@b/")),
            "/auth/token_url",
        ),
        (with("client_id", json!("a\nb")), "/auth/client_id"),
        (with("client_secret", Value::Null), "/auth/client_secret"),
        (
            with("client_secret", json!("a\r\nb")),
            "/auth/client_secret",
        ),
        (with("private_key", key), "/auth/private_key"),
        (with("key_id", json!("k1")), "/auth/key_id"),
        (broken_key, "/auth/private_key"),
        (both, "/auth/client_secret"),
        (with("scope", json!("a  b")), "/auth/scope"),
        (with("audience", json!("")), "/auth/audience"),
        (with("extra", json!({"scope": HIDDEN})), "/auth/extra"),
        (with("nonsense", json!(1)), "/auth/nonsense"),
    ] {
        let new = json!({"name": "b", "url": "http://a", "auth": auth});
        let patch = json!({"auth": auth});
        for refused in [
            client.post("/subscriptions", &new).await,
            client.patch(&format!("/subscriptions/{id}"), &patch).await,
        ] {
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(refused.json()["pointer"], pointer, "{}", refused.text());
            assert!(!refused.text().contains("hunter"), "{}", refused.text());
        }
    }
}

/// A token endpoint that answers every request so.
pub async fn token_endpoint(status: StatusCode, body: Value) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let routes = Router::new().route("/", post(async move || (status, Json(body))));
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
    (url, serving)
}

#[sqlx::test(migrations = "../../migrations")]
async fn asking_for_a_token_tells_all_of_it_but_the_token(db: PgPool) {
    let client = Client::new(db);
    for (name, status, body, expected) in [
        (
            "granted",
            StatusCode::OK,
            json!({"access_token": HIDDEN, "token_type": "Bearer", "expires_in": 3600, "scope": "read"}),
            json!({"granted": true, "failure": null, "expires_in_seconds": 3600, "scope": "read"}),
        ),
        (
            "says less",
            StatusCode::OK,
            json!({"access_token": HIDDEN, "token_type": "bearer"}),
            json!({"granted": true, "failure": null, "expires_in_seconds": null, "expires_at": null, "scope": "read write"}),
        ),
        (
            "refused",
            StatusCode::UNAUTHORIZED,
            json!({"error": "invalid_client", "error_description": HIDDEN}),
            json!({"granted": false, "failure": "oauth2_invalid_client", "detail": "the token endpoint answered invalid_client"}),
        ),
        (
            "useless",
            StatusCode::OK,
            json!({"access_token": HIDDEN, "token_type": "mac"}),
            json!({"granted": false, "failure": "oauth2_bad_response"}),
        ),
    ] {
        let (url, _serving) = token_endpoint(status, body).await;
        let new = json!({"name": name, "url": "http://a", "auth": with("token_url", json!(url))});
        let id = id_of(&client.post("/subscriptions", &new).await.json());
        let path = format!("/subscriptions/{id}/auth/test");
        let answer = client.post(&path, &json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let told = answer.json();
        for (field, value) in expected.as_object().expect("an object") {
            assert_eq!(&told[field], value, "{name}: {field}");
        }
        assert!(told["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
        assert!(told["latency_ms"].as_f64() > Some(0.0));
        assert!(!answer.text().contains("hunter"));
        // A delivery that has none is not made.
        if told["granted"] == false {
            let path = format!("/subscriptions/{id}/test");
            let tested = client.post(&path, &json!({})).await.json();
            assert_eq!(tested["verdict"], "postponed");
            assert_eq!(tested["failure"], told["failure"]);
            assert_eq!(tested["hint"], told["hint"]);
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn who_needs_no_token_is_told_so(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let path = format!("/subscriptions/{id}/auth/test");
    let refused = client.post(&path, &json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["code"], "not_oauth2");
}
