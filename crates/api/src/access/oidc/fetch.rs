//! Asks a provider: for its discovery document (OpenID Connect Discovery 1.0, section 4), which says
//! where all else is; for its keys; for the token of who signed in.
//!
//! The operator named the provider, so the rules that keep strangers' URLs from inner addresses do
//! not hold here; the certificates that are trusted are the same. Redirects are not followed, and
//! what is answered is bounded in time and size.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use axum::body::{Body, to_bytes};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Request, StatusCode};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::args::is_trustworthy;
use super::jwk::{self, Key};

/// How long the answers may take together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const MAX_BYTES: usize = 1024 * 1024;

/// One provider.
pub struct Provider {
    issuer: String,
    discovery: Url,
    tls: TlsConnector,
    /// What it said of itself, last.
    said: Mutex<Option<Arc<Discovery>>>,
}

/// What a provider says of itself, as far as it is of use.
#[derive(Clone, Debug, Deserialize)]
pub struct Discovery {
    issuer: String,
    jwks_uri: String,
    /// Where people sign in, at a provider of that.
    pub authorization_endpoint: Option<String>,
    /// Where a code becomes a token.
    pub token_endpoint: Option<String>,
    /// How clients may prove who they are there; unless given, by HTTP Basic.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// A form to be sent.
#[derive(Debug)]
pub struct Form {
    /// The fields, encoded.
    pub body: String,
    /// The header `Authorization`.
    pub authorization: Option<HeaderValue>,
}

impl Provider {
    /// The provider of that issuer.
    ///
    /// # Errors
    /// That no document can be below it.
    pub fn new(issuer: &str, mut tls: ClientConfig) -> anyhow::Result<Self> {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let discovery = format!(
            "{}/.well-known/openid-configuration",
            issuer.trim_end_matches('/')
        );
        Ok(Self {
            issuer: issuer.to_owned(),
            discovery: discovery.parse()?,
            tls: Arc::new(tls).into(),
            said: Mutex::default(),
        })
    }

    /// The keys that it signs with.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub async fn keys(&self) -> anyhow::Result<Vec<Key>> {
        in_time(self.ask_for_keys()).await
    }

    /// What it says of itself: as of when it was last asked for its keys, if it was.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub async fn discovery(&self) -> anyhow::Result<Arc<Discovery>> {
        let said = self.said().clone();
        match said {
            Some(said) => Ok(said),
            None => in_time(self.ask_for_discovery()).await,
        }
    }

    fn said(&self) -> MutexGuard<'_, Option<Arc<Discovery>>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it answers to that form there, in JSON, whether that is good or not.
    ///
    /// # Errors
    /// That there is no answer, or none that can be read.
    pub async fn post(&self, url: &Url, form: Form) -> anyhow::Result<(StatusCode, Value)> {
        let asked = in_time(async {
            let mut request = Request::post(path(url))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::from(form.body))?;
            if let Some(authorization) = form.authorization {
                request.headers_mut().insert(AUTHORIZATION, authorization);
            }
            let (status, answer) = self.fetch(url, request).await?;
            Ok((status, serde_json::from_slice(&answer)?))
        });
        asked.await.with_context(|| format!("asking {url}"))
    }

    async fn ask_for_keys(&self) -> anyhow::Result<Vec<Key>> {
        let keys = trustworthy(&self.ask_for_discovery().await?.jwks_uri, "jwks_uri")?;
        let keys = jwk::read(&self.get(&keys).await?).context("reading the keys")?;
        ensure!(!keys.is_empty(), "none of its keys is of use");
        Ok(keys)
    }

    async fn ask_for_discovery(&self) -> anyhow::Result<Arc<Discovery>> {
        let discovery = self.get(&self.discovery).await?;
        let discovery: Discovery =
            serde_json::from_slice(&discovery).context("reading the discovery document")?;
        ensure!(
            discovery.issuer == self.issuer,
            "the discovery document is of another issuer: {}",
            discovery.issuer
        );
        let discovery = Arc::new(discovery);
        *self.said() = Some(discovery.clone());
        Ok(discovery)
    }

    async fn get(&self, url: &Url) -> anyhow::Result<Bytes> {
        let asked = async {
            let request = Request::get(path(url)).body(Body::empty())?;
            let (status, answer) = self.fetch(url, request).await?;
            ensure!(status == StatusCode::OK, "the answer is {status}");
            Ok(answer)
        };
        asked.await.with_context(|| format!("asking {url}"))
    }

    async fn fetch(
        &self,
        url: &Url,
        mut request: Request<Body>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let host = url[Position::BeforeHost..Position::AfterPort].parse()?;
        request.headers_mut().insert(HOST, host);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json);
        let (name, port) = place(url)?;
        let tcp = TcpStream::connect((name.to_str().as_ref(), port)).await?;
        if url.scheme() == "https" {
            let tls = Box::pin(self.tls.connect(name, tcp)).await?;
            Box::pin(exchange(tls, request)).await
        } else {
            Box::pin(exchange(tcp, request)).await
        }
    }
}

async fn in_time<T>(asked: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    timeout(TIMEOUT, asked)
        .await
        .with_context(|| format!("no answer within {TIMEOUT:?}"))?
}

/// A URL that the provider names, if nobody on the way can change what is answered there.
///
/// # Errors
/// That it is none.
pub fn trustworthy(url: &str, name: &str) -> anyhow::Result<Url> {
    let url: Url = url.parse().with_context(|| format!("reading {name}"))?;
    ensure!(is_trustworthy(&url), "{name} is not at https: {url}");
    Ok(url)
}

fn path(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// The host as a certificate names it, and the port.
fn place(url: &Url) -> anyhow::Result<(ServerName<'static>, u16)> {
    let name = match url.host().context("no host")? {
        Host::Domain(name) => ServerName::try_from(name.to_owned())?,
        Host::Ipv4(address) => std::net::IpAddr::from(address).into(),
        Host::Ipv6(address) => std::net::IpAddr::from(address).into(),
    };
    Ok((name, url.port_or_known_default().context("no port")?))
}

async fn exchange<S>(stream: S, request: Request<Body>) -> anyhow::Result<(StatusCode, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answering = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), MAX_BYTES).await?;
        Ok((status, body))
    };
    tokio::pin!(answering);
    // The connection moves only while it is looked at; it may end before its answer is read.
    tokio::select! {
        answer = &mut answering => answer,
        ended = connection => {
            ended?;
            answering.await
        }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Provider").field(&self.issuer).finish()
    }
}
