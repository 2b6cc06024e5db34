//! The sink: takes every request, answers 200, and notes what it was and when. As lean as a server
//! can be, so that what is measured is what sends.
//!
//! It is a process of its own and ruled by lines: it prints [`Listening`]; then it takes [`COUNT`],
//! [`REPORT`] and [`FORGET`] from standard input, and ends with it.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use bytes::{Buf, BytesMut};
use common::event::WEBHOOK_ID;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::case::address;
use super::taken::Taken;
use crate::load::now_micros;

/// How many requests arrived.
pub const COUNT: &str = "count";
/// All of them, as [`Taken`]s.
pub const REPORT: &str = "report";
/// Begins anew; answered with an empty line.
pub const FORGET: &str = "forget";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// How many headers a request has at most, and how much room its connection begins with.
const HEADERS: usize = 32;
const ROOM: usize = 8 * 1024;

/// How many addresses its certificate is for.
const CERTIFIED: usize = 100;

/// Where it listens: at that port of every address of this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Listening {
    /// The port.
    pub port: u16,
    /// Whom to trust, as PEM, if it speaks TLS.
    pub certificate: Option<String>,
}

/// All of it.
#[derive(Debug)]
pub struct Sink {
    /// Where it listens.
    pub listening: Listening,
    inbox: Inbox,
    _server: JoinSet<anyhow::Result<()>>,
}

#[derive(Clone, Debug, Default)]
struct Inbox(Arc<Mutex<Vec<Taken>>>);

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Listens at a port of the system's choice, by TLS if asked to.
    ///
    /// # Errors
    /// That it cannot be had.
    pub fn new(tls: bool) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let listener = socket.listen(BACKLOG).context("listening")?;
        let (acceptor, certificate) = tls.then(acceptor).transpose()?.unzip();
        let listening = Listening {
            port: listener.local_addr()?.port(),
            certificate,
        };
        let inbox = Inbox::default();
        let mut server = JoinSet::new();
        server.spawn(serve(listener, acceptor, inbox.clone()));
        Ok(Self {
            listening,
            inbox,
            _server: server,
        })
    }

    /// The answer to a line.
    ///
    /// # Errors
    /// That nobody knows what it means.
    pub fn obey(&self, line: &str) -> anyhow::Result<String> {
        match line {
            COUNT => Ok(self.inbox.lock().len().to_string()),
            REPORT => Ok(serde_json::to_string(&*self.inbox.lock())?),
            FORGET => {
                self.inbox.lock().clear();
                Ok(String::new())
            }
            _ => anyhow::bail!("the sink does not know '{line}'"),
        }
    }
}

/// What speaks TLS, and the certificate to trust.
fn acceptor() -> anyhow::Result<(TlsAcceptor, String)> {
    let names = (0..CERTIFIED).map(|n| Ipv4Addr::from(address(n)).to_string());
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names.collect::<Vec<String>>())?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    Ok((Arc::new(config).into(), cert.pem()))
}

async fn serve(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    inbox: Inbox,
) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        stream.set_nodelay(true)?;
        connections.spawn(meet(stream, acceptor.clone(), inbox.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, to its end; how that comes is the sender's business.
async fn meet(stream: TcpStream, acceptor: Option<TlsAcceptor>, inbox: Inbox) {
    match acceptor {
        None => drop(converse(stream, &inbox).await),
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                drop(converse(stream, &inbox).await);
            }
        }
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    inbox: &Inbox,
) -> anyhow::Result<()> {
    let mut buffer = BytesMut::with_capacity(ROOM);
    while stream.read_buf(&mut buffer).await? > 0 {
        while let Some((length, taken)) = request(&buffer)? {
            if buffer.len() < length {
                buffer.reserve(length - buffer.len());
                break;
            }
            buffer.advance(length);
            inbox.lock().push(taken);
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}

/// The length of the request that a buffer begins with, and what it is; `None` while its head is
/// not all there.
fn request(buffer: &[u8]) -> anyhow::Result<Option<(usize, Taken)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer)? else {
        return Ok(None);
    };
    let number = |name: &str| -> anyhow::Result<u64> {
        let header = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        let value = std::str::from_utf8(header.context("a header is missing")?.value)?;
        Ok(value.parse()?)
    };
    let path = request.path.unwrap_or_default();
    let taken = Taken {
        subscription: path.trim_start_matches('/').parse().context("a path")?,
        event: number(WEBHOOK_ID)?,
        at: now_micros(),
    };
    let body = usize::try_from(number("content-length")?)?;
    Ok(Some((head + body, taken)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"POST /7 HTTP/1.1\r\nHost: a\r\nWebhook-Id: 42\r\nContent-Length: 2\r\n\r\n{}";

    #[test]
    fn a_request_is_known_by_its_head() {
        let (length, taken) = request(REQUEST).unwrap().unwrap();
        assert_eq!((taken.subscription, taken.event), (7, 42));
        assert_eq!(length, REQUEST.len());
        assert!(request(&REQUEST[..30]).unwrap().is_none());
        assert!(request(b"POST /7 HTTP/1.1\r\n\r\n").is_err());
    }
}
