//! Each promise against a receiver that is a bare socket, so that it may misbehave.

mod dns;
mod identity;
mod lifetime;
mod misbehaving;
mod pool;
mod promises;
mod proxied;
mod signed;
mod tls;
mod tokens;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::*;
use crate::egress::tests::args;

const SHORT: Duration = Duration::from_millis(300);

/// Long enough for anything but what never comes.
const LONG: Duration = Duration::from_secs(10);

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A sender that trusts those, and nobody else.
fn trusting(roots: RootCertStore) -> Sender {
    Sender::with(Connector::new(&SETTINGS, &egress(""), tls(roots)))
}

/// The rules that these flags say, and for the rest those of development.
fn egress(flags: &str) -> Egress {
    Egress::new(&args(flags)).unwrap()
}

fn tls(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// TLS that trusts nobody.
pub(crate) fn no_roots() -> ClientConfig {
    tls(RootCertStore::empty())
}

fn sender() -> Sender {
    trusting(RootCertStore::empty())
}

async fn post(sender: &Sender, target: &Target) -> Attempt {
    let outgoing = Outgoing {
        id: "event-1",
        payload: &Bytes::from_static(b"{}"),
        content_type: None,
        traceparent: Some("00-1-2-01"),
        replay: None,
        number: 3,
    };
    sender.attempt(target, &outgoing).await
}

fn target(url: &str, timeout: Duration) -> Target {
    Target::new(url, timeout).unwrap()
}

async fn attempt(url: &str, timeout: Duration) -> Attempt {
    post(&sender(), &target(url, timeout)).await
}

/// A listener to whom deliveries go.
struct Receiver {
    url: String,
    listener: TcpListener,
}

impl Receiver {
    async fn new() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), "127.0.0.1").await
    }

    /// One that listens there, and is asked for by that name.
    async fn at(address: SocketAddr, name: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("http://{name}:{port}/hook");
        Self { url, listener }
    }

    fn target(&self) -> Target {
        target(&self.url, LONG)
    }

    /// Takes a connection and reads its request.
    async fn accept(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let request = request(&mut stream).await;
        (stream, request)
    }

    /// Takes a connection, reads its request, and writes that.
    async fn answer(&self, bytes: &[u8]) -> (TcpStream, String) {
        let (mut stream, request) = self.accept().await;
        stream.write_all(bytes).await.unwrap();
        (stream, request)
    }

    /// That nobody connects for a moment.
    async fn is_left_alone(&self) -> bool {
        tokio::time::timeout(SHORT, self.listener.accept())
            .await
            .is_err()
    }
}

/// Reads to the end of the body `{}`.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    read_until(stream, b"\r\n\r\n{}").await
}

/// What a receiver says that permits everything.
const PERMITTED: &[u8] =
    b"HTTP/1.1 200 OK\r\nwebhook-allowed-origin: *\r\ncontent-length: 0\r\n\r\n";

/// Takes a connection over which deliveries are asked for, and answers that; what was asked.
async fn asked(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> String {
    let asked = read_until(&mut stream, b"\r\n\r\n").await;
    stream.write_all(bytes).await.unwrap();
    asked
}

async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &[u8]) -> String {
    let mut request = Vec::new();
    while !request.ends_with(end) {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    String::from_utf8(request).unwrap().to_lowercase()
}

/// One attempt at a receiver that answers with those bytes and closes.
async fn answered(bytes: &[u8]) -> (Attempt, String) {
    let receiver = Receiver::new().await;
    let answer = async { receiver.answer(bytes).await.1 };
    tokio::join!(attempt(&receiver.url, LONG), answer)
}

/// An address that takes no connection and refuses none, for as long as the rest is held: the
/// listener never accepts, and its backlog is full.
pub(crate) async fn black_hole() -> (SocketAddr, (TcpListener, Vec<TcpStream>)) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(taken) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        waiting.push(taken.unwrap());
        assert!(waiting.len() < 100, "the backlog has no end");
    }
    (address, (listener, waiting))
}
