//! Receivers that are asked before something is made or replaced.

mod meanwhile;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use common::store::subscriptions::MAX_SIGNING_KEYS;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::oauth2::token_endpoint;
use crate::support::{Client, ORIGIN, id_of};
use crate::test_delivery::Receiver;

/// A receiver that answers the handshake as it is told, and keeps what it was asked.
struct Asked {
    url: String,
    got: mpsc::Receiver<(Method, HeaderMap)>,
    _server: JoinSet<()>,
}

impl Asked {
    async fn new(status: u16, answers: &[(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let (sender, got) = mpsc::channel(8);
        let mut headers = HeaderMap::new();
        for (name, value) in answers {
            headers.insert(*name, value.parse().expect("a value"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = async move |method: Method, asked: HeaderMap| {
            sender.send((method, asked)).await.expect("it is read");
            (status, headers)
        };
        let mut server = JoinSet::new();
        server.spawn(async move {
            let routes = Router::new().fallback(answer);
            axum::serve(listener, routes).await.expect("it serves");
        });
        Self {
            url,
            got,
            _server: server,
        }
    }
}

impl Client {
    /// What the refusal says the receiver answered.
    async fn not_verified(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.raw(method, path, body.to_string()).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{}",
            answer.text()
        );
        assert_eq!(answer.json()["code"], "not_verified");
        assert_eq!(answer.json()["pointer"], "/verify");
        answer.json()["receiver"].clone()
    }

    async fn count(&self) -> usize {
        let list = self.get("/subscriptions").await.json();
        list["items"].as_array().expect("items").len()
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_that_permits_deliveries_by_handshake_gets_them_in_that_name(db: PgPool) {
    let client = Client::new(db);
    let permits = [
        ("webhook-allowed-origin", ORIGIN),
        ("webhook-allowed-rate", "120"),
    ];
    let mut receiver = Asked::new(200, &permits).await;
    let new = json!({"name": "a", "url": receiver.url, "verify": "handshake", "rate_limit": 50,
                     "auth_key": "token", "headers": {"X-Team": "weather"}});
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let (method, asked) = receiver.got.recv().await.expect("it was asked");
    assert_eq!(method, Method::OPTIONS);
    assert_eq!(asked["webhook-request-origin"], ORIGIN);
    assert_eq!(asked["webhook-request-rate"], "3000");
    assert_eq!(
        (&asked["x-team"], &asked["authorization"]),
        (
            &"weather".parse().expect("a value"),
            &"Bearer token".parse().expect("a value")
        )
    );
    let shown = made.json();
    assert_eq!(shown["permitted_origin"], ORIGIN);
    assert_eq!(shown["rate_limit"], 2.0);
    assert_eq!(shown.get("verify"), None);

    let path = format!("/subscriptions/{}", id_of(&shown));
    client.call(Method::POST, &format!("{path}/test")).await;
    let (method, delivered) = receiver.got.recv().await.expect("it arrived");
    assert_eq!(
        (method, &delivered["webhook-request-origin"]),
        (Method::POST, &ORIGIN.parse().expect("a value"))
    );

    // For more it has to be asked again.
    for faster in [json!({"rate_limit": 2.5}), json!({"rate_limit": null})] {
        let refused = client.patch(&path, &faster).await;
        assert_eq!(refused.json()["pointer"], "/rate_limit", "{faster}");
    }
    for slower in [
        json!({"rate_limit": 1}),
        json!({"rate_limit": 1, "name": "b"}),
    ] {
        let patched = client.patch(&path, &slower).await;
        assert_eq!(patched.json()["permitted_origin"], ORIGIN, "{slower}");
    }
    let asking = json!({"rate_limit": 5, "verify": "handshake"});
    let raised = client.patch(&path, &asking).await;
    assert_eq!(raised.json()["rate_limit"], 2.0, "{}", raised.text());
    let (_, asked) = receiver.got.recv().await.expect("it was asked");
    assert_eq!(asked["webhook-request-rate"], "300");

    // Permitted there, and not elsewhere.
    let moved = client
        .patch(&path, &json!({"url": "http://127.0.0.1:1"}))
        .await;
    assert_eq!(moved.json()["permitted_origin"], Value::Null);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_is_asked_with_a_token_where_deliveries_carry_one(db: PgPool) {
    let client = Client::new(db);
    let mut receiver = Asked::new(200, &[("webhook-allowed-origin", "*")]).await;
    let refused = json!({"error": "invalid_client"});
    let (refusing, _refuses) = token_endpoint(StatusCode::UNAUTHORIZED, refused).await;
    let granted = json!({"access_token": "token", "token_type": "Bearer"});
    let (giving, _gives) = token_endpoint(StatusCode::OK, granted).await;
    let new = |token_url: &str, verify: &str| {
        json!({"name": "a", "url": receiver.url, "verify": verify, "auth": {
            "kind": "oauth2", "token_url": token_url, "client_id": "sensor",
            "client_auth": "client_secret_post", "client_secret": "hunter2"
        }})
    };
    for means in ["handshake", "delivery"] {
        let said = client
            .not_verified(Method::POST, "/subscriptions", &new(&refusing, means))
            .await;
        assert_eq!(said["failure"], "oauth2_invalid_client", "{said}");
    }
    let new = new(&giving, "handshake");
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    // Without one it was left alone.
    let (method, asked) = receiver.got.recv().await.expect("it was asked");
    assert_eq!(
        (method, &asked["authorization"]),
        (Method::OPTIONS, &"Bearer token".parse().expect("a value"))
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_that_does_not_say_so_permits_nothing_and_nothing_is_made(db: PgPool) {
    let client = Client::new(db);
    for (status, answers, hint) in [
        (200, &[][..], "WebHook-Allowed-Origin"),
        (405, &[], "2xx"),
        (
            302,
            &[
                ("webhook-allowed-origin", "*"),
                ("location", "http://127.0.0.1:1/"),
            ],
            "2xx",
        ),
        (
            200,
            &[("webhook-allowed-origin", "other.example")],
            "the origin that asked",
        ),
        (
            200,
            &[("webhook-allowed-origin", "*")],
            "WebHook-Allowed-Rate",
        ),
        (
            200,
            &[
                ("webhook-allowed-origin", "*"),
                ("webhook-allowed-rate", "0"),
            ],
            "WebHook-Allowed-Rate",
        ),
    ] {
        let receiver = Asked::new(status, answers).await;
        let new = json!({"name": "a", "url": receiver.url, "verify": "handshake", "rate_limit": 1});
        let said = client
            .not_verified(Method::POST, "/subscriptions", &new)
            .await;
        assert_eq!(said["status"], status, "{said}");
        assert!(
            said["hint"].as_str().is_some_and(|it| it.contains(hint)),
            "{said}"
        );
    }
    // What may not be connected to is not asked, and what is not there does not agree.
    let closed = json!({"name": "a", "url": "http://127.0.0.1:1/", "verify": "handshake"});
    let said = client
        .not_verified(Method::POST, "/subscriptions", &closed)
        .await;
    assert_eq!(
        (&said["failure"], &said["status"]),
        (&json!("connect_refused"), &Value::Null)
    );
    let inside = json!({"name": "a", "url": "http://10.0.0.1/", "verify": "handshake"});
    let refused = client.post("/subscriptions", &inside).await;
    assert_eq!(refused.json()["pointer"], "/url", "{}", refused.text());
    for verify in [json!("test"), json!(1), json!({})] {
        let new = json!({"name": "a", "url": "http://127.0.0.1:1/", "verify": verify});
        let refused = client.post("/subscriptions", &new).await;
        assert_eq!(refused.json()["pointer"], "/verify", "{}", refused.text());
    }
    assert_eq!(client.count().await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_works_is_replaced_only_by_what_its_receiver_takes(db: PgPool) {
    let client = Client::new(db);
    let mut good = Receiver::new(204, "").await;
    let mut bad = Receiver::new(403, "who are you?").await;
    let new = json!({"name": "a", "url": good.url, "verify": true, "auth_key": "old"});
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let (headers, _) = good.got.recv().await.expect("it arrived");
    assert_eq!(
        (&headers["webhook-test"], &headers["authorization"]),
        (
            &"true".parse().expect("a value"),
            &"Bearer old".parse().expect("a value")
        )
    );
    assert!(headers.contains_key("webhook-signature"));
    let path = format!("/subscriptions/{}", id_of(&made.json()));

    let before = client.get(&path).await.json();
    let worse = json!({"url": bad.url, "auth_key": "new", "name": "b", "verify": true});
    let said = client.not_verified(Method::PATCH, &path, &worse).await;
    assert_eq!(
        (&said["status"], &said["response"]),
        (&json!(403), &json!("who are you?"))
    );
    let (headers, _) = bad.got.recv().await.expect("it was tried");
    assert_eq!(headers["authorization"], "Bearer new");
    assert_eq!(client.get(&path).await.json(), before);
    client.call(Method::POST, &format!("{path}/test")).await;
    let (headers, _) = good.got.recv().await.expect("it arrived");
    assert_eq!(headers["authorization"], "Bearer old");

    let better = json!({"auth_key": "new", "verify": "delivery"});
    assert_eq!(client.patch(&path, &better).await.status, StatusCode::OK);
    let (headers, _) = good.got.recv().await.expect("it was tried");
    assert_eq!(headers["authorization"], "Bearer new");
    // Who does not ask for it is not held up by it.
    let unasked = json!({"url": bad.url, "verify": false});
    assert_eq!(client.patch(&path, &unasked).await.status, StatusCode::OK);
}

#[sqlx::test(migrations = "../../migrations")]
async fn who_takes_a_test_and_wants_no_more_does_not_agree(db: PgPool) {
    let client = Client::new(db);
    for (wish, agrees) in [("disable", false), ("pause=60", true)] {
        let receiver = Asked::new(200, &[("webhook-delivery", wish)]).await;
        let new = json!({"name": "a", "url": receiver.url, "verify": true});
        if agrees {
            let made = client.post("/subscriptions", &new).await;
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
            continue;
        }
        let said = client
            .not_verified(Method::POST, "/subscriptions", &new)
            .await;
        assert_eq!(said["status"], 200);
        assert!(
            said["hint"]
                .as_str()
                .is_some_and(|it| it.contains("no more")),
            "{said}"
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn nobody_is_asked_about_a_secret_that_is_refused_anyhow(db: PgPool) {
    let client = Client::new(db);
    let receiver = Receiver::new(204, "").await;
    let new = json!({"name": "a", "url": receiver.url});
    let made = client.post("/subscriptions", &new).await;
    let path = format!("/subscriptions/{}/secret/rotate", id_of(&made.json()));
    let given = json!({"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "verify": true});
    let mut theirs = given.clone();
    theirs["signing_algorithm"] = json!("ed25519");
    let refused = client.post(&path, &theirs).await;
    assert_eq!(refused.json()["pointer"], "/signing_secret");
    for _ in 1..MAX_SIGNING_KEYS {
        let rotated = client.post(&path, &json!({})).await;
        assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text());
    }
    let refused = client.post(&path, &given).await;
    assert_eq!(refused.json()["pointer"], "/grace_period");
    assert!(receiver.got.is_empty());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_secret_is_tried_alone_before_it_takes_the_place_of_another(db: PgPool) {
    let client = Client::new(db);
    let mut receiver = Receiver::new(204, "").await;
    let new = json!({"name": "a", "url": receiver.url});
    let made = client.post("/subscriptions", &new).await;
    let path = format!("/subscriptions/{}/secret/rotate", id_of(&made.json()));
    let refused = client.post(&path, &json!({"verify": true})).await;
    assert_eq!(refused.json()["pointer"], "/verify", "{}", refused.text());
    let given = json!({"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "verify": true});
    let rotated = client.post(&path, &given).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text());
    let (headers, _) = receiver.got.recv().await.expect("it was tried");
    let signatures = headers["webhook-signature"].to_str().expect("ASCII");
    assert_eq!(signatures.split(' ').count(), 1, "{signatures}");

    let bad = Receiver::new(401, "").await;
    let at = format!("/subscriptions/{}", id_of(&made.json()));
    client.patch(&at, &json!({"url": bad.url})).await;
    let before = client.get(&at).await.json();
    let said = client.not_verified(Method::POST, &path, &given).await;
    assert_eq!(said["status"], 401);
    assert_eq!(client.get(&at).await.json(), before);
}
