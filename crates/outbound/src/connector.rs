//! Opens connections: resolves the host, connects to one of its addresses, and shakes hands.
//!
//! Every address, one that is written in the URL too, passes between resolving and connecting
//! through [`Connector::open`]: what may not be connected to is to be taken out there, where no
//! name can mean something else later. All steps together end by one deadline.

mod error;
mod stream;
mod tcp;

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
    timeout: Duration,
    places: Arc<Semaphore>,
}

impl Connector {
    /// A connector that verifies receivers as `tls` says, and speaks HTTP/1.1 only.
    pub fn new(settings: &Settings, mut tls: ClientConfig) -> Self {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(Shared {
            tls: Arc::new(tls).into(),
            timeout: settings.timeout,
            places: Arc::new(Semaphore::new(settings.kept)),
        }))
    }

    async fn open(&self, uri: &Uri, deadline: Instant) -> Result<Stream, Error> {
        let host = Host::of(uri);
        let started_at = Instant::now();
        let addresses = host.resolve(port(uri)).await?;
        let resolved_at = Instant::now();
        let (tcp, remote_addr) = tcp::connect(&addresses, deadline).await?;
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

    /// By the system's resolver.
    async fn resolve(&self, port: u16) -> Result<Vec<SocketAddr>, Error> {
        match *self {
            Self::Address(address) => Ok(vec![(address, port).into()]),
            Self::Name(name) => {
                let found = tokio::net::lookup_host((name, port)).await;
                Ok(found.map_err(Error::NotResolved)?.collect())
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
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port_has_its_default() {
        let address = |text: &str| Host::Address(text.parse().unwrap());
        for (uri, host, at) in [
            ("http://example.com/", Host::Name("example.com"), 80),
            ("https://example.com/", Host::Name("example.com"), 443),
            ("https://10.0.0.1:8443/", address("10.0.0.1"), 8443),
            ("http://[2001:db8::1]:81/", address("2001:db8::1"), 81),
            ("https://[::1]/", address("::1"), 443),
        ] {
            let uri = uri.parse().unwrap();
            assert_eq!((Host::of(&uri), port(&uri)), (host, at), "{uri}");
        }
    }
}
