//! A receiver that takes what comes with a token that the authorization server says is good.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use e2e::authorization_server::AuthorizationServer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Tokens that came, in order, and whether each was good.
type Seen = Arc<Mutex<Vec<(String, bool)>>>;

pub struct Protected {
    pub url: String,
    seen: Seen,
    _serving: JoinSet<()>,
}

impl Protected {
    pub async fn new(by: Arc<AuthorizationServer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Seen::default();
        let routes = Router::new()
            .route("/", post(receive))
            .with_state((by, seen.clone()));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            seen,
            _serving: serving,
        }
    }

    /// How many came with a good token, and how many with another.
    pub fn taken_and_refused(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seen.iter().filter(|(_, good)| *good).count();
        (taken, seen.len() - taken)
    }

    /// The token that came last.
    pub fn last_token(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last().expect("something came").0.clone()
    }
}

async fn receive(
    State((by, seen)): State<(Arc<AuthorizationServer>, Seen)>,
    headers: HeaderMap,
) -> StatusCode {
    let header = headers.get("authorization").unwrap().to_str().unwrap();
    let token = header.strip_prefix("Bearer ").unwrap().to_owned();
    let good = by.is_active(&token).await;
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.push((token, good));
    if good {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    }
}
