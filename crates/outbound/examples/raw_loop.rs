//! How fast a bare loop of POSTs goes: this crate's sender against reqwest, in one run, with the
//! same requests, to the same sink in the same process. Prints both rates of each round and the
//! median of their ratios: `cargo run --release -p outbound --example raw_loop [posts per round]`.

use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use outbound::{Egress, EgressArgs, Outgoing, Sender, Target, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

const ROUNDS: usize = 5;
const POSTS: usize = 100_000;
const MOST_POSTS: usize = 1_000_000;
const AT_ONCE: usize = 32;
const TIMEOUT: Duration = Duration::from_secs(10);
const TOKEN: &str = "jfask329489240krwjekjewlkjre";
const EVENT: &[u8] = br#"{"id":"0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11","type":"temperature.updated","timestamp":"2026-11-23T21:00:00Z","city":"Tokyo","reading":23.0,"unit":"C"}"#;
const ID: &str = "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let posts = match std::env::args().nth(1) {
        Some(posts) => posts.parse::<usize>()?.clamp(AT_ONCE, MOST_POSTS),
        None => POSTS,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    let mut tasks = JoinSet::new();
    tasks.spawn(sink(listener));
    let (ours, theirs) = (ours(&url)?, theirs(&url)?);
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        // Who is first changes, so that neither always finds the machine warm.
        let (ours, theirs) = if round % 2 == 0 {
            let ours = rate(posts, &ours).await?;
            (ours, rate(posts, &theirs).await?)
        } else {
            let theirs = rate(posts, &theirs).await?;
            (rate(posts, &ours).await?, theirs)
        };
        println!("round {round}: outbound {ours:.0}/s, reqwest {theirs:.0}/s");
        ratios.push(ours / theirs);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "outbound / reqwest, median of {ROUNDS}: {:.2}",
        ratios[ROUNDS / 2]
    );
    Ok(())
}

/// Posts a second, of so many in all and [`AT_ONCE`] at a time.
async fn rate<F>(
    posts: usize,
    post: &(impl Fn() -> F + Clone + Send + 'static),
) -> anyhow::Result<f64>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let each = posts / AT_ONCE;
    let mut tasks = JoinSet::new();
    let started_at = Instant::now();
    for _ in 0..AT_ONCE {
        let post = post.clone();
        tasks.spawn(async move {
            for _ in 0..each {
                post().await?;
            }
            anyhow::Ok(())
        });
    }
    for done in tasks.join_all().await {
        done?;
    }
    let made = u32::try_from(each * AT_ONCE)?;
    Ok(f64::from(made) / started_at.elapsed().as_secs_f64())
}

/// One POST as the processor makes it.
fn ours(url: &str) -> anyhow::Result<impl Fn() -> PostFuture + Clone + Send + 'static> {
    let sender = Sender::new(&Egress::new(&EgressArgs::default())?)?;
    let mut target = Target::new(url, TIMEOUT)?;
    target.authorize(TOKEN)?;
    Ok(move || -> PostFuture {
        let (sender, target) = (sender.clone(), target.clone());
        Box::pin(async move {
            let payload = Bytes::from_static(EVENT);
            let outgoing = Outgoing {
                id: ID,
                payload: &payload,
                content_type: None,
                traceparent: None,
                replay: None,
                number: 1,
            };
            let attempt = sender.attempt(&target, &outgoing).await;
            ensure!(attempt.verdict == Verdict::Delivered, "{attempt:?}");
            Ok(())
        })
    })
}

/// The same by reqwest.
fn theirs(url: &str) -> anyhow::Result<impl Fn() -> PostFuture + Clone + Send + 'static> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()?;
    let url: reqwest::Url = url.parse()?;
    Ok(move || -> PostFuture {
        let (client, url) = (client.clone(), url.clone());
        Box::pin(async move {
            let request = client
                .post(url)
                .bearer_auth(TOKEN)
                .header("user-agent", "temperature-webhooks")
                .header("content-type", "application/json")
                .header("webhook-id", ID)
                .header("webhook-timestamp", chrono::Utc::now().timestamp())
                .header("webhook-attempt", 1)
                .body(Bytes::from_static(EVENT));
            let response = request.send().await?.error_for_status()?;
            response.bytes().await?;
            Ok(())
        })
    })
}

type PostFuture = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// Takes connections and answers every request that ends with the event.
async fn sink(listener: TcpListener) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true)?;
        connections.spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut request = Vec::with_capacity(4096);
    while stream.read_buf(&mut request).await? > 0 {
        if request.ends_with(EVENT) {
            request.clear();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await?;
        }
    }
    Ok(())
}
