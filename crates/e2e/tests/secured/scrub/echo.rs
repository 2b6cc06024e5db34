//! A receiver that fails, and says in its answer what it was sent.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Its URL. Under another path it gives that token, which it says as well when it comes back.
pub async fn echo(token: String) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/echo", listener.local_addr().unwrap());
    let token = json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600});
    let routes = Router::new()
        .route("/token", post(async move || axum::Json(token)))
        .fallback(async |headers: HeaderMap, body: String| {
            let lines = headers.iter().map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                format!("{name}: {value}, {}\n", Value::from(&*value))
            });
            let said: Vec<_> = lines.chain([body]).collect();
            (StatusCode::INTERNAL_SERVER_ERROR, said.concat())
        });
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (url, server)
}
