//! Opens connections: resolves the host, connects to one of its addresses, and shakes hands.
//!
//! Every address, one that is written in the URL too, passes between resolving and connecting
//! through the rules of [`Egress`]: what may not be connected to is taken out in
//! [`Connector::addresses`], after which no name is looked at again. All steps together end by one
//! deadline.

mod error;
mod stream;
mod tcp;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

pub use self::error::Error;
pub use self::stream::Stream;

use self::stream::Transport;
use crate::certificate;
use crate::connection::{Connection, Tls};
use crate::egress::Egress;
use crate::identity::ClientIdentity;
use crate::resolver::Resolver;

/// How connections are opened, and how many are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long opening one may take.
    pub timeout: Duration,
    /// How many may be kept after use, to all hosts together. Those beyond serve one request.
    pub kept: usize,
}

/// Opens connections for an HTTP client. Cheap to clone.
#[derive(Clone)]
pub struct Connector(Arc<Shared>);

struct Shared {
    tls: TlsConnector,
    egress: Egress,
    timeout: Duration,
    places: Arc<Semaphore>,
}

impl Connector {
    /// A connector that goes where `egress` allows, verifies receivers as `tls` says, and speaks
    /// HTTP/1.1 only.
    pub fn new(settings: &Settings, egress: &Egress, mut tls: ClientConfig) -> Self {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(Shared {
            tls: Arc::new(tls).into(),
            egress: egress.clone(),
            timeout: settings.timeout,
            places: Arc::new(Semaphore::new(settings.kept)),
        }))
    }

    /// The same, but it shows that certificate to receivers that ask for one. Both keep no more
    /// connections together than this one alone.
    pub fn with_identity(&self, identity: &ClientIdentity) -> Self {
        let shared = &*self.0;
        let tls = identity.applied_to(shared.tls.config());
        Self(Arc::new(Shared {
            tls: Arc::new(tls).into(),
            egress: shared.egress.clone(),
            timeout: shared.timeout,
            places: shared.places.clone(),
        }))
    }

    /// The rules it goes by.
    pub fn egress(&self) -> &Egress {
        &self.0.egress
    }

    async fn open(&self, uri: &Uri, deadline: Instant) -> Result<Stream, Error> {
        let host = Host::of(uri);
        let started_at = Instant::now();
        let addresses = self.addresses(&host, uri).await?;
        let resolved_at = Instant::now();
        let proxy = self.0.egress.proxy();
        let (tcp, remote_addr) = tcp::connect(&addresses, proxy, deadline).await?;
        let connected_at = Instant::now();
        let (transport, tls) = if is_https(uri) {
            let stream = self.shake_hands(&host, tcp).await?;
            let agreed = agreed(&stream, connected_at.elapsed());
            (Transport::Tls(Box::new(stream)), Some(agreed))
        } else {
            (Transport::Plain(tcp), None)
        };
        let dns = matches!(host, Host::Name(_)).then_some(resolved_at - started_at);
        let connection = Connection::new(remote_addr, dns, connected_at - resolved_at, tls);
        let place = self.0.places.clone().try_acquire_owned().ok();
        Ok(Stream::new(transport, connection, place))
    }

    /// Where the URL leads and may be gone to.
    async fn addresses(&self, host: &Host<'_>, uri: &Uri) -> Result<Vec<SocketAddr>, Error> {
        let egress = &self.0.egress;
        egress.check(is_https(uri), port(uri))?;
        let found = host.resolve(port(uri), egress.resolver()).await?;
        Ok(egress.admit(found)?)
    }

    /// The name that the certificate must have is sent along (SNI), unless it is an address.
    async fn shake_hands(
        &self,
        host: &Host<'_>,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let name = host.server_name()?;
        self.0.tls.connect(name, tcp).await.map_err(Error::Tls)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.0.egress).finish()
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let deadline = Instant::now() + connector.0.timeout;
            let opened = timeout_at(deadline, connector.open(&uri, deadline)).await;
            opened.map_err(|_| Error::TimedOut)?.map(TokioIo::new)
        })
    }
}

/// A URL's host.
#[derive(Debug, PartialEq, Eq)]
enum Host<'a> {
    Name(&'a str),
    Address(IpAddr),
}

impl<'a> Host<'a> {
    fn of(uri: &'a Uri) -> Self {
        let host = uri.host().unwrap_or_default();
        // An IPv6 address stands in brackets (RFC 3986, section 3.2.2).
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or(Self::Name(host), Self::Address)
    }

    async fn resolve(&self, port: u16, resolver: &Resolver) -> Result<Vec<SocketAddr>, Error> {
        match *self {
            Self::Address(address) => Ok(vec![(address, port).into()]),
            Self::Name(name) => {
                let found = resolver.resolve(name, port).await;
                found.map_err(Error::NotResolved)
            }
        }
    }

    fn server_name(&self) -> Result<ServerName<'static>, Error> {
        match *self {
            Self::Address(address) => Ok(ServerName::from(address)),
            Self::Name(name) => ServerName::try_from(name.to_owned()).map_err(Error::NoServerName),
        }
    }
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&http::uri::Scheme::HTTPS)
}

fn port(uri: &Uri) -> u16 {
    let default = if is_https(uri) { 443 } else { 80 };
    uri.port_u16().unwrap_or(default)
}

fn agreed(stream: &TlsStream<TcpStream>, handshake: Duration) -> Tls {
    let session = stream.get_ref().1;
    let certificates = session.peer_certificates().unwrap_or_default();
    Tls {
        handshake,
        version: session.protocol_version(),
        not_after: certificates
            .first()
            .and_then(|der| certificate::not_after(der)),
    }
}

#[cfg(test)]
mod tests;
