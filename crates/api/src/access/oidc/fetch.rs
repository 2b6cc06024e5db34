//! Asks a provider for its keys: its discovery document (OpenID Connect Discovery 1.0, section 4)
//! says where they are.
//!
//! The operator named the provider, so the rules that keep strangers' URLs from inner addresses do
//! not hold here; the certificates that are trusted are the same. Redirects are not followed, and
//! what is answered is bounded in time and size.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use bytes::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::args::is_trustworthy;
use super::jwk::{self, Key};

/// How long both answers may take together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const MAX_BYTES: usize = 1024 * 1024;

/// One provider.
pub struct Provider {
    issuer: String,
    discovery: Url,
    tls: TlsConnector,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
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
        })
    }

    /// The keys that it signs with.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub async fn keys(&self) -> anyhow::Result<Vec<Key>> {
        timeout(TIMEOUT, self.ask())
            .await
            .with_context(|| format!("no answer within {TIMEOUT:?}"))?
    }

    async fn ask(&self) -> anyhow::Result<Vec<Key>> {
        let discovery = self.get(&self.discovery).await?;
        let discovery: Discovery =
            serde_json::from_slice(&discovery).context("reading the discovery document")?;
        ensure!(
            discovery.issuer == self.issuer,
            "the discovery document is of another issuer: {}",
            discovery.issuer
        );
        let keys: Url = discovery.jwks_uri.parse().context("reading jwks_uri")?;
        ensure!(is_trustworthy(&keys), "its keys are not at https: {keys}");
        let keys = jwk::read(&self.get(&keys).await?).context("reading the keys")?;
        ensure!(!keys.is_empty(), "none of its keys is of use");
        Ok(keys)
    }

    async fn get(&self, url: &Url) -> anyhow::Result<Bytes> {
        self.fetch(url)
            .await
            .with_context(|| format!("asking {url}"))
    }

    async fn fetch(&self, url: &Url) -> anyhow::Result<Bytes> {
        let (name, port) = place(url)?;
        let tcp = TcpStream::connect((name.to_str().as_ref(), port)).await?;
        if url.scheme() == "https" {
            exchange(self.tls.connect(name, tcp).await?, url).await
        } else {
            exchange(tcp, url).await
        }
    }
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

async fn exchange<S>(stream: S, url: &Url) -> anyhow::Result<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(
            header::HOST,
            &url[Position::BeforeHost..Position::AfterPort],
        )
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answering = async {
        let answer = sender.send_request(request).await?;
        if answer.status() != StatusCode::OK {
            bail!("the answer is {}", answer.status());
        }
        Ok(to_bytes(Body::new(answer.into_body()), MAX_BYTES).await?)
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
