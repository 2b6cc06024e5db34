//! Postgres away, and back; Postgres busy.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::Client;

/// How long a request of these tests waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(300);

/// What stands between the API and Postgres, and can be cut. Dropping it ends all connections.
struct Wire {
    address: SocketAddr,
    _connections: JoinSet<()>,
}

impl Wire {
    async fn lay(address: SocketAddr, postgres: (String, u16)) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("an address");
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(postgres.clone())
                    .await
                    .expect("Postgres is there");
                wires
                    .spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
            }
        });
        Self {
            address,
            _connections: connections,
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn while_postgres_is_away_the_answer_is_503_and_then_it_works_again(
    _: PgPoolOptions,
    options: PgConnectOptions,
) {
    let postgres = (options.get_host().to_owned(), options.get_port());
    let wire = Wire::lay(SocketAddr::from(([127, 0, 0, 1], 0)), postgres.clone()).await;
    let address = wire.address;
    let db = PgPoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.host("127.0.0.1").port(address.port()))
        .await
        .expect("a pool");
    let client = Client::new(db);
    let subscription = client.subscription("a").await;

    drop(wire);
    for answer in [
        client.get("/subscriptions").await,
        client
            .post("/subscriptions", &json!({"name": "b", "url": "http://b"}))
            .await,
        client
            .delete(&format!("/subscriptions/{subscription}"))
            .await,
        client.post("/dlqs", &json!({"dlqs": [1]})).await,
    ] {
        assert_eq!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{}",
            answer.text()
        );
        assert_eq!(answer.json()["code"], "unavailable");
        assert_eq!(answer.header("retry-after"), "2");
    }
    assert_eq!(client.get("/livez").await.status, StatusCode::OK);

    let _wire = Wire::lay(address, postgres).await;
    let list = client.get("/subscriptions").await;
    assert_eq!(list.status, StatusCode::OK, "{}", list.text());
    assert_eq!(list.json()["items"].as_array().map(Vec::len), Some(1));
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_answer_that_takes_too_long_is_503(db: PgPool) {
    let mut holder = db.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE subscriptions")
        .execute(&mut *holder)
        .await
        .expect("the lock");
    let client = Client::with_timeout(db, Duration::from_millis(50));
    let answer = client.get("/subscriptions").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["code"], "timed_out");
    assert_eq!(answer.header("retry-after"), "2");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_fault_of_ours_tells_the_client_nothing(db: PgPool) {
    sqlx::query("DROP TABLE dead_letters")
        .execute(&db)
        .await
        .expect("dropped");
    let answer = Client::new(db).get("/dlqs").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["code"], "internal");
    assert!(!answer.text().contains("dead_letters"), "{}", answer.text());
}
