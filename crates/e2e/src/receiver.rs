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

/// Something that arrived.
#[derive(Clone)]
pub struct Arrival {
    pub path: String,
    pub id: String,
    pub body: Bytes,
    /// The replay by which it was sent.
    pub replay: Option<String>,
    /// The place in a trace that it came with.
    pub traceparent: Option<String>,
}

/// What it has taken.
#[derive(Default)]
struct Inbox {
    by_event: Arrived,
    /// In the order in which it came.
    all: Vec<Arrival>,
}

impl Inbox {
    fn take(&mut self, arrival: Arrival) {
        let key = (arrival.path.clone(), arrival.id.clone());
        let entry = self.by_event.entry(key).or_default();
        entry.0 += 1;
        entry.1 = arrival.body.clone();
        self.all.push(arrival);
    }
}

/// The path to which it redirects, where everything is well.
pub const ELSEWHERE: &str = "elsewhere";

/// How it answers.
struct Manners {
    status: AtomicU16,
    /// How many it answers with 500 before that.
    failing: AtomicUsize,
    /// How long it takes, in milliseconds.
    delay_ms: AtomicU64,
    hangs: AtomicBool,
    /// Requests that were never answered.
    hung: AtomicUsize,
    /// What it refuses: bodies with this in them.
    refused: Mutex<Option<&'static str>>,
    /// Requests it has in hand, and how many those were at most.
    in_hand: AtomicUsize,
    most_in_hand: AtomicUsize,
    /// All requests, whatever became of them.
    requests: AtomicUsize,
}

#[derive(Clone)]
pub struct Receiver {
    inbox: Arc<Mutex<Inbox>>,
    manners: Arc<Manners>,
    pub url: String,
    _server: Arc<JoinSet<()>>,
}

impl Receiver {
    /// Listens on a port of its own, and answers 200.
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inbox = Arc::default();
        let manners = Arc::new(Manners {
            status: AtomicU16::new(200),
            failing: AtomicUsize::new(0),
            delay_ms: AtomicU64::new(0),
            hangs: AtomicBool::new(false),
            hung: AtomicUsize::new(0),
            refused: Mutex::new(None),
            in_hand: AtomicUsize::new(0),
            most_in_hand: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
        });
        let routes = Router::new()
            .route("/{path}", post(receive))
            .with_state((Arc::clone(&inbox), manners.clone()));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            inbox,
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

    /// How many of the next it answers with 500, before it answers as ever.
    pub fn fail(&self, requests: usize) {
        self.manners.failing.store(requests, Ordering::Relaxed);
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

    /// What it answers with 422 from now on: every body with that in it.
    pub fn refuse(&self, text: Option<&'static str>) {
        *lock(&self.manners.refused) = text;
    }

    /// How many requests came, however they were answered.
    pub fn requests(&self) -> usize {
        self.manners.requests.load(Ordering::Relaxed)
    }

    /// How many requests it had in hand at once, at most.
    pub fn most_in_hand(&self) -> usize {
        self.manners.most_in_hand.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        lock(&self.inbox)
    }

    /// How many different events arrived at a path.
    pub fn distinct(&self, path: &str) -> usize {
        let inbox = self.lock();
        inbox.by_event.keys().filter(|(at, _)| at == path).count()
    }

    /// How many arrivals were not the first of their event at their path.
    pub fn duplicates(&self) -> usize {
        let inbox = self.lock();
        inbox.by_event.values().map(|(count, _)| count - 1).sum()
    }

    /// What arrived at a path.
    pub fn bodies(&self, path: &str) -> Vec<Bytes> {
        let inbox = self.lock();
        let there = inbox.by_event.iter().filter(|((at, _), _)| at == path);
        there.map(|(_, (_, body))| body.clone()).collect()
    }

    /// All that arrived at a path, in order, what came twice too.
    pub fn arrivals(&self, path: &str) -> Vec<Arrival> {
        let inbox = self.lock();
        let there = inbox.all.iter().filter(|arrival| arrival.path == path);
        there.cloned().collect()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that is in hand until this is dropped.
struct InHand<'a>(&'a Manners);

impl<'a> InHand<'a> {
    fn begin(manners: &'a Manners) -> Self {
        manners.requests.fetch_add(1, Ordering::Relaxed);
        let now = manners.in_hand.fetch_add(1, Ordering::Relaxed) + 1;
        manners.most_in_hand.fetch_max(now, Ordering::Relaxed);
        Self(manners)
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Manners {
    fn status(&self, path: &str, body: &Bytes) -> StatusCode {
        let refused = *lock(&self.refused);
        let text = String::from_utf8_lossy(body);
        if refused.is_some_and(|refused| text.contains(refused)) {
            return StatusCode::UNPROCESSABLE_ENTITY;
        }
        if self.fails() {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        match path {
            ELSEWHERE => StatusCode::OK,
            _ => StatusCode::from_u16(self.status.load(Ordering::Relaxed)).unwrap(),
        }
    }

    /// One of those that it was to fail.
    fn fails(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        let left = self
            .failing
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        left.is_ok()
    }
}

async fn receive(
    State((inbox, manners)): State<(Arc<Mutex<Inbox>>, Arc<Manners>)>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, [(HeaderName, &'static str); 1]) {
    let _in_hand = InHand::begin(&manners);
    if manners.hangs.load(Ordering::Relaxed) {
        manners.hung.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    }
    let delay = Duration::from_millis(manners.delay_ms.load(Ordering::Relaxed));
    tokio::time::sleep(delay).await;
    let status = manners.status(&path, &body);
    if status.is_success() {
        let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap().to_owned());
        let arrival = Arrival {
            path,
            id: text("webhook-id").unwrap(),
            body,
            replay: text("webhook-replay"),
            traceparent: text("traceparent"),
        };
        lock(&inbox).take(arrival);
    }
    (status, [(header::LOCATION, ELSEWHERE)])
}
