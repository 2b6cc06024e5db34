//! The loops, each with another client.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use http::header::{HOST, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outbound::{Egress, EgressArgs, Sender, Target, Verdict};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{AT_ONCE, Event, Going, Posts};

const TIMEOUT: Duration = Duration::from_secs(10);

type PostFuture = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

impl Posts {
    fn parsed<U: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &self,
    ) -> anyhow::Result<Arc<[U]>> {
        let urls = self.urls.iter().map(|url| Ok(url.parse()?));
        urls.collect::<anyhow::Result<Vec<U>>>().map(Arc::from)
    }

    pub(super) fn by_reqwest(&self) -> anyhow::Result<impl Fn(usize, Going) -> PostFuture> {
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
        let urls = self.parsed::<reqwest::Url>()?;
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

    /// It has no TLS of its own: `None` where endpoints speak it.
    pub(super) fn by_legacy(&self) -> anyhow::Result<Option<impl Fn(usize, Going) -> PostFuture>> {
        if self.certificate.is_some() {
            return Ok(None);
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let (event, urls) = (self.event()?, self.parsed::<Uri>()?);
        Ok(Some(move |task: usize, going: Going| -> PostFuture {
            let (client, event, urls) = (client.clone(), event.clone(), Arc::clone(&urls));
            Box::pin(async move {
                let mut n = task;
                while going.on() {
                    let mut request = event.request()?;
                    *request.uri_mut() = urls[n % urls.len()].clone();
                    drain(client.request(request).await?).await?;
                    n += AT_ONCE;
                }
                Ok(())
            })
        }))
    }

    pub(super) fn by_outbound(&self) -> anyhow::Result<impl Fn(usize, Going) -> PostFuture> {
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

    pub(super) fn by_http1(&self) -> anyhow::Result<impl Fn(usize, Going) -> PostFuture> {
        let tls = self.certificate.as_deref().map(connector);
        let (tls, event) = (tls.transpose()?, self.event()?);
        let urls = self.parsed::<url::Url>()?;
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
    let path: Uri = url.path().parse()?;
    while going.on() {
        let mut request = event.request()?;
        *request.uri_mut() = path.clone();
        request.headers_mut().insert(HOST, host.clone());
        drain(sender.send_request(request).await?).await?;
    }
    Ok(())
}

impl Event {
    fn request(&self) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = self.headers()?;
        Ok(request)
    }
}

async fn drain(response: Response<Incoming>) -> anyhow::Result<()> {
    ensure!(response.status() == StatusCode::OK, "{}", response.status());
    response.into_body().collect().await?;
    Ok(())
}
