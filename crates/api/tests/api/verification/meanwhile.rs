//! What happens while a receiver thinks.

use std::sync::Arc;

use api::Access;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::Client;

/// A receiver that answers when it is told to, and says when it is asked.
struct Slow {
    url: String,
    asked: Arc<Semaphore>,
    answer: Arc<Semaphore>,
    _server: JoinSet<()>,
}

impl Slow {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        let (asked, answer) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (tell, wait) = (asked.clone(), answer.clone());
        let receive = async move || {
            tell.add_permits(1);
            wait.acquire().await.expect("it is open").forget();
        };
        let mut server = JoinSet::new();
        server.spawn(async move {
            let routes = Router::new().route("/", post(receive));
            axum::serve(listener, routes).await.expect("it serves");
        });
        Self {
            url,
            asked,
            answer,
            _server: server,
        }
    }

    /// Waits until it is asked so many times.
    async fn is_asked(&self, times: u32) {
        let asked = self.asked.acquire_many(times).await;
        asked.expect("it is open").forget();
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_is_held_while_a_receiver_thinks_and_no_change_of_then_is_lost(
    pool: PgPoolOptions,
    options: PgConnectOptions,
) {
    let db = pool.max_connections(1).connect_with(options).await;
    let client = Client::new(db.expect("a database"));
    let slow = Slow::new().await;
    let path = format!("/subscriptions/{}", client.subscription("a").await);
    let asking = json!({"url": slow.url, "verify": true});
    let meanwhile = async {
        slow.is_asked(1).await;
        let other = client.patch(&path, &json!({"description": "mine"})).await;
        assert_eq!(other.status, StatusCode::OK, "{}", other.text());
        slow.answer.add_permits(1);
    };
    let (late, ()) = tokio::join!(client.patch(&path, &asking), meanwhile);
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text());
    assert_eq!(late.json()["code"], "changed_meanwhile");
    let now = client.get(&path).await.json();
    assert_eq!(
        (&now["description"], &now["url"]),
        (&json!("mine"), &json!("https://example.com/hook"))
    );

    // The same, when nobody came between.
    let agrees = async {
        slow.is_asked(1).await;
        slow.answer.add_permits(1);
    };
    let (done, ()) = tokio::join!(client.patch(&path, &asking), agrees);
    assert_eq!(done.json()["url"], slow.url, "{}", done.text());
    // One that is gone by then is not there.
    let removed = async {
        slow.is_asked(1).await;
        client.delete(&path).await;
        slow.answer.add_permits(1);
    };
    let asking = json!({"name": "c", "verify": true});
    let (gone, ()) = tokio::join!(client.patch(&path, &asking), removed);
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "{}", gone.text());
}

#[sqlx::test(migrations = "../../migrations")]
async fn no_owner_takes_all_the_places_of_those_who_ask_receivers(db: PgPool) {
    const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";
    const PER_OWNER: u32 = 4;
    let key = SecretString::from(ADMIN);
    let admin = Client::with_access(db, Access::by_keys(Some(&key))).with_token(ADMIN);
    let subscriber = async |owner: &str| {
        let new = json!({"name": owner, "role": "subscriber", "owner": owner});
        let made = admin.post("/api-keys", &new).await.json();
        let client = admin
            .clone()
            .with_token(made["key"].as_str().expect("a key"));
        let slow = Slow::new().await;
        let new = json!({"name": "a", "url": slow.url});
        let made = client.post("/subscriptions", &new).await;
        let path = format!("{}/test", made.header("location"));
        (client, slow, path)
    };
    let (acme, slow, path) = subscriber("acme").await;
    let (other, quick, others_path) = subscriber("other").await;
    quick.answer.add_permits(1);
    let empty = json!({});
    let tests = (0..PER_OWNER).map(|_| acme.post(&path, &empty));
    let refused = async {
        slow.is_asked(PER_OWNER).await;
        let refused = acme.post(&path, &json!({})).await;
        let others = other.post(&others_path, &json!({})).await;
        slow.answer.add_permits(PER_OWNER as usize);
        (refused, others)
    };
    let (tested, (refused, others)) = tokio::join!(join_all(tests), refused);
    assert_eq!(
        refused.status,
        StatusCode::TOO_MANY_REQUESTS,
        "{}",
        refused.text()
    );
    assert_eq!(refused.json()["code"], "rate_limited");
    assert_eq!(refused.header("retry-after"), "2");
    for answer in tested.into_iter().chain([others]) {
        assert_eq!(answer.json()["verdict"], "delivered", "{}", answer.text());
    }
    // They are given back.
    slow.answer.add_permits(1);
    let again = acme.post(&path, &json!({})).await;
    assert_eq!(again.json()["verdict"], "delivered", "{}", again.text());
}
