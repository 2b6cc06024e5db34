//! What the machine would do at most: bare loops that post the same signed events to the same sink,
//! with no queue, no record and no second try.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use chrono::Utc;
use common::event::{WEBHOOK_ATTEMPT, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use outbound::{Egress, EgressArgs, Outgoing, Sender, Target, Verdict};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use signature::{Signer, SigningKey};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;

use crate::load::payload;

/// How many requests are in flight.
const AT_ONCE: usize = 64;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Its signatures are as much work as any.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Posts a second, by what makes them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ceiling {
    /// reqwest, one client.
    pub reqwest: f64,
    /// The processor's own sender: hyper-util's client over a connector that checks addresses.
    pub outbound: f64,
    /// hyper's `conn::http1`, a connection a task.
    pub http1: f64,
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
            reqwest: self.rate(self.by_reqwest()?).await?,
            outbound: self.rate(self.by_outbound()?).await?,
            http1: self.rate(self.by_http1()?).await?,
        })
    }

    /// Posts a second of [`AT_ONCE`] tasks, each of which posts until told to stop.
    async fn rate<F>(&self, post: impl Fn(usize, Going) -> F) -> anyhow::Result<f64>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let going = Going::default();
        let mut tasks = JoinSet::new();
        let started_at = Instant::now();
        for n in 0..AT_ONCE {
            tasks.spawn(post(n, going.clone()));
        }
        sleep(self.length).await;
        going.stop.store(true, Ordering::Relaxed);
        for ended in tasks.join_all().await {
            ended?;
        }
        let made = u32::try_from(going.made.load(Ordering::Relaxed))?;
        Ok(f64::from(made) / started_at.elapsed().as_secs_f64())
    }

    fn event(&self) -> anyhow::Result<Event> {
        let key: SigningKey = SECRET.parse().context("a key")?;
        Ok(Event {
            body: payload(0, "City 0", self.event_bytes).into(),
            signer: Signer::new([(key, None)]),
        })
    }

    fn by_reqwest(&self) -> anyhow::Result<impl Fn(usize, Going) -> PostFuture> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut client = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT);
        if let Some(file) = &self.certificate {
            let pem = std::fs::read(file)?;
            client = client.add_root_certificate(reqwest::Certificate::from_pem(&pem)?);
        }
        let (client, event) = (client.build()?, self.event()?);
        let urls: Vec<reqwest::Url> = self
            .urls
            .iter()
            .map(|url| url.parse())
            .collect::<Result<_, _>>()?;
        let urls: Arc<[reqwest::Url]> = urls.into();
        Ok(move |task: usize, going: Going| -> PostFuture {
            let (client, event, urls) = (client.clone(), event.clone(), Arc::clone(&urls));
            Box::pin(async move {
                let mut n = task;
                while going.on() {
                    let request = client.post(urls[n % urls.len()].clone());
                    let request = request.headers(event.headers()?).body(event.body.clone());
                    let response = request.send().await?.error_for_status()?;
                    response.bytes().await?;
                    n += AT_ONCE;
                }
                Ok(())
            })
        })
    }

    fn by_outbound(&self) -> anyhow::Result<impl Fn(usize, Going) -> PostFuture> {
        let egress = EgressArgs {
            egress_ca_file: self.certificate.clone(),
            ..EgressArgs::default()
        };
        let (sender, event) = (Sender::new(&Egress::new(&egress)?)?, self.event()?);
        let target = |url: &String| -> anyhow::Result<Target> {
            let mut target = Target::new(url, TIMEOUT)?;
            target.sign_with(event.signer.clone());
            Ok(target)
        };
        let targets: Vec<Target> = self.urls.iter().map(target).collect::<Result<_, _>>()?;
        let targets: Arc<[Target]> = targets.into();
        Ok(move |task: usize, going: Going| -> PostFuture {
            let (sender, event, targets) = (sender.clone(), event.clone(), Arc::clone(&targets));
            Box::pin(async move {
                let mut n = task;
                while going.on() {
                    let attempt = sender
                        .attempt(&targets[n % targets.len()], &event.outgoing())
                        .await;
                    ensure!(attempt.verdict == Verdict::Delivered, "{attempt:?}");
                    n += AT_ONCE;
                }
                Ok(())
            })
        })
    }

    fn by_http1(&self) -> anyhow::Result<impl Fn(usize, Going) -> PostFuture> {
        let tls = self.certificate.as_deref().map(connector);
        let (tls, event) = (tls.transpose()?, self.event()?);
        let urls: Vec<url::Url> = self
            .urls
            .iter()
            .map(|url| url.parse())
            .collect::<Result<_, _>>()?;
        Ok(move |task: usize, going: Going| -> PostFuture {
            let url = urls[task % urls.len()].clone();
            let (tls, event) = (tls.clone(), event.clone());
            Box::pin(async move {
                let address = url.socket_addrs(|| None)?[0];
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                match tls {
                    None => post_by_http1(TokioIo::new(stream), &url, &event, &going).await,
                    Some(tls) => {
                        let name = ServerName::from(address.ip());
                        let stream = tls.connect(name, stream).await?;
                        post_by_http1(TokioIo::new(stream), &url, &event, &going).await
                    }
                }
            })
        })
    }
}

fn connector(certificate: &Path) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(certificate)? {
        roots.add(root?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
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

async fn post_by_http1(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    url: &url::Url,
    event: &Event,
    going: &Going,
) -> anyhow::Result<()> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let host = HeaderValue::from_str(&url[url::Position::BeforeHost..url::Position::AfterPort])?;
    while going.on() {
        let mut request = Request::new(Full::new(event.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.path().parse()?;
        *request.headers_mut() = event.headers()?;
        request.headers_mut().insert(HOST, host.clone());
        let response = sender.send_request(request).await?;
        ensure!(response.status() == StatusCode::OK, "{}", response.status());
        response.into_body().collect().await?;
    }
    Ok(())
}

type PostFuture = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;
