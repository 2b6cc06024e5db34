//! A receiver that remembers which event arrived at which path, how often, and what came with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How often each (path, event id) came, and the body of the last.
type Arrived = HashMap<(String, String), (usize, Bytes)>;

/// The path to which it redirects, where everything is well.
pub const ELSEWHERE: &str = "elsewhere";

/// How it answers.
struct Manners {
    status: AtomicU16,
    /// How long it takes, in milliseconds.
    delay_ms: AtomicU64,
    hangs: AtomicBool,
    /// Requests that were never answered.
    hung: AtomicUsize,
}

#[derive(Clone)]
pub struct Receiver {
    arrived: Arc<Mutex<Arrived>>,
    manners: Arc<Manners>,
    pub url: String,
    _server: Arc<JoinSet<()>>,
}

impl Receiver {
    /// Listens on a port of its own, and answers 200.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let arrived = Arc::default();
        let manners = Arc::new(Manners {
            status: AtomicU16::new(200),
            delay_ms: AtomicU64::new(0),
            hangs: AtomicBool::new(false),
            hung: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .route("/{path}", post(receive))
            .with_state((Arc::clone(&arrived), manners.clone()));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            arrived,
            manners,
            url,
            _server: Arc::new(server),
        }
    }

    /// What it answers from now on. Only what is answered with 200 counts as arrived. A redirect
    /// goes to [`ELSEWHERE`].
    pub fn answer(&self, status: u16) {
        self.manners.status.store(status, Ordering::Relaxed);
    }

    /// How long it takes to answer from now on.
    pub fn delay(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap();
        self.manners.delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// Whether it takes requests and answers none.
    pub fn hang(&self, hangs: bool) {
        self.manners.hangs.store(hangs, Ordering::Relaxed);
    }

    /// How many requests it left without an answer.
    pub fn hung(&self) -> usize {
        self.manners.hung.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many different events arrived at a path.
    pub fn distinct(&self, path: &str) -> usize {
        self.lock().keys().filter(|(at, _)| at == path).count()
    }

    /// How many arrivals were not the first of their event at their path.
    pub fn duplicates(&self) -> usize {
        self.lock().values().map(|(count, _)| count - 1).sum()
    }

    /// What arrived at a path.
    pub fn bodies(&self, path: &str) -> Vec<Bytes> {
        let arrived = self.lock();
        let there = arrived.iter().filter(|((at, _), _)| at == path);
        there.map(|(_, (_, body))| body.clone()).collect()
    }
}

async fn receive(
    State((arrived, manners)): State<(Arc<Mutex<Arrived>>, Arc<Manners>)>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(HeaderName, &'static str); 1]) {
    if manners.hangs.load(Ordering::Relaxed) {
        manners.hung.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
    let delay = Duration::from_millis(manners.delay_ms.load(Ordering::Relaxed));
    tokio::time::sleep(delay).await;
    let status = match &*path {
        ELSEWHERE => StatusCode::OK,
        _ => StatusCode::from_u16(manners.status.load(Ordering::Relaxed)).unwrap(),
    };
    if status.is_success() {
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        let mut arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = arrived.entry((path, id)).or_default();
        entry.0 += 1;
        entry.1 = body;
    }
    (status, [(header::LOCATION, ELSEWHERE)])
}
