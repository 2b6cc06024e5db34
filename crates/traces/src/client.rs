//! How spans reach the collector: one POST a batch, over HTTP/1.1 and a connection of its own.
//!
//! It goes where the operator says, whatever deliveries may reach. Over `https` the certificate must
//! be vouched for by the platform's authorities.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{HOST, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// How long one batch may take (the default of `OTEL_EXPORTER_OTLP_TIMEOUT`).
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The client of the SDK's thread, which has no runtime: requests are made on ours.
#[derive(Clone, Debug)]
pub struct Client {
    runtime: Handle,
    tls: Arc<ClientConfig>,
    failing: Arc<AtomicBool>,
}

impl Client {
    pub fn new(runtime: Handle) -> Result<Self, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        Ok(Self {
            runtime,
            tls: Arc::new(tls),
            failing: Arc::default(),
        })
    }

    /// Says what has changed: it fails, or it works again.
    fn observe(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let failure = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let failed_before = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !failed_before => {
                tracing::warn!(error, "the collector does not take spans");
            }
            None if failed_before => tracing::info!("the collector takes spans again"),
            Some(_) | None => {}
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = send(self.tls.clone(), request);
        let mut task = JoinSet::new();
        // A timer is made where there is a runtime, so in the task.
        task.spawn_on(
            async { tokio::time::timeout(TIMEOUT, sending).await },
            &self.runtime,
        );
        let answer = match task.join_next().await {
            Some(Ok(Ok(answer))) => answer,
            Some(Ok(Err(_))) => Err(format!("no answer within {TIMEOUT:?}").into()),
            Some(Err(error)) => Err(error.into()),
            None => Err("nothing was sent".into()),
        };
        self.observe(&answer);
        answer
    }
}

async fn send(
    tls: Arc<ClientConfig>,
    mut request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let uri = std::mem::take(request.uri_mut());
    let authority = uri.authority().ok_or("the endpoint names no host")?;
    let host = HeaderValue::from_str(authority.as_str())?;
    request.headers_mut().insert(HOST, host);
    *request.uri_mut() = path_of(&uri)?;
    let is_tls = uri.scheme_str() == Some("https");
    let port = authority
        .port_u16()
        .unwrap_or(if is_tls { 443 } else { 80 });
    let name = authority.host().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((&*name, port)).await?;
    if is_tls {
        let name = ServerName::try_from(name)?;
        let stream = TlsConnector::from(tls).connect(name, stream).await?;
        return exchange(stream, request).await;
    }
    exchange(stream, request).await
}

fn path_of(uri: &Uri) -> Result<Uri, HttpError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(path.parse()?)
}

/// One request and its answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with this, whatever becomes of it.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let answer = sender.send_request(request.map(Full::new)).await?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_LIMIT).collect().await?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
