//! What the machine would do at most: bare loops that post the same signed events to the same sink,
//! with no queue, no record and no second try.

mod loops;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use chrono::Utc;
use common::event::{WEBHOOK_ATTEMPT, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use outbound::Outgoing;
use serde::Serialize;
use signature::{Signer, SigningKey};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::load::payload;
use crate::processes;

/// How many requests are in flight.
const AT_ONCE: usize = 64;

/// Its signatures are as much work as any.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What each loop does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ceiling {
    /// reqwest, one client.
    pub reqwest: Bare,
    /// hyper-util's legacy client, whose pool reqwest has too; it is measured without TLS only.
    pub legacy: Option<Bare>,
    /// hyper's `conn::http1`, a connection a task.
    pub http1: Bare,
    /// The processor's own sender: hyper-util's client over a connector that checks addresses.
    pub outbound: Bare,
}

/// One loop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bare {
    /// Posts a second.
    pub per_second: f64,
    /// Processor time for one, in microseconds, without the sink's.
    pub cpu_micros: f64,
}

/// What is posted where.
#[derive(Clone, Debug)]
pub struct Posts {
    /// The endpoints, in turn.
    pub urls: Vec<String>,
    /// How long an event is, in bytes.
    pub event_bytes: usize,
    /// Whom to trust, a PEM file, where they speak TLS.
    pub certificate: Option<PathBuf>,
    /// For how long each loop posts.
    pub length: Duration,
}

impl Posts {
    /// Runs each loop, one after the other.
    ///
    /// # Errors
    /// That one of them could not post.
    pub async fn ceiling(&self) -> anyhow::Result<Ceiling> {
        Ok(Ceiling {
            reqwest: self.run(self.by_reqwest()?).await.context("reqwest")?,
            legacy: match self.by_legacy()? {
                Some(post) => Some(self.run(post).await.context("legacy")?),
                None => None,
            },
            http1: self.run(self.by_http1()?).await.context("http1")?,
            outbound: self.run(self.by_outbound()?).await.context("outbound")?,
        })
    }

    /// What [`AT_ONCE`] tasks do, each of which posts until told to stop.
    async fn run<F>(&self, post: impl Fn(usize, Going) -> F) -> anyhow::Result<Bare>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let going = Going::default();
        let mut tasks = JoinSet::new();
        let (started_at, cpu_before) = (Instant::now(), own_cpu_time()?);
        for n in 0..AT_ONCE {
            tasks.spawn(post(n, going.clone()));
        }
        sleep(self.length).await;
        going.stop.store(true, Ordering::Relaxed);
        for ended in tasks.join_all().await {
            ended?;
        }
        let made = f64::from(u32::try_from(going.made.load(Ordering::Relaxed))?);
        let cpu_time = own_cpu_time()?.saturating_sub(cpu_before);
        Ok(Bare {
            per_second: made / started_at.elapsed().as_secs_f64(),
            cpu_micros: cpu_time.as_secs_f64() * 1e6 / made,
        })
    }

    fn event(&self) -> anyhow::Result<Event> {
        let key: SigningKey = SECRET.parse().context("a key")?;
        Ok(Event {
            body: payload(0, "City 0", self.event_bytes).into(),
            signer: Signer::new([(key, None)]),
        })
    }
}

fn own_cpu_time() -> anyhow::Result<Duration> {
    processes::cpu_time(std::process::id())
}

/// Whether to go on, and what was made by then.
#[derive(Clone, Debug, Default)]
struct Going {
    made: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Going {
    /// Counts what comes next, if it is to come.
    fn on(&self) -> bool {
        let on = !self.stop.load(Ordering::Relaxed);
        self.made.fetch_add(usize::from(on), Ordering::Relaxed);
        on
    }
}

/// What is posted, and signed each time as a delivery is.
#[derive(Clone, Debug)]
struct Event {
    body: Bytes,
    signer: Signer,
}

impl Event {
    const ID: &str = "0";

    fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            id: Self::ID,
            payload: &self.body,
            content_type: None,
            traceparent: None,
            replay: None,
            number: 1,
        }
    }

    fn headers(&self) -> anyhow::Result<HeaderMap> {
        let timestamp = Utc::now().timestamp();
        let signature = self.signer.sign(Self::ID, timestamp, &self.body);
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(WEBHOOK_ID, HeaderValue::from_static(Self::ID));
        headers.insert(WEBHOOK_TIMESTAMP, timestamp.into());
        headers.insert(WEBHOOK_SIGNATURE, signature.context("a key in force")?);
        headers.insert(WEBHOOK_ATTEMPT, 1.into());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("temperature-webhooks"));
        Ok(headers)
    }
}
