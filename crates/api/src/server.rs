//! Connections: accepts so many at once, over TLS where that is set, and gives up on those that
//! dawdle, so that none holds its place for longer than it is used.
//!
//! What ends one: a handshake, a head or the wait for the next request that takes too long, or a
//! client that does not read what it is sent. Beyond `API_MAX_CONNECTIONS` the next waits in the
//! kernel's queue until one ends. HTTP/1.1 only: HTTP/2 would bring limits of its own to keep, and
//! an API gains little by it.

mod args;
mod patient;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::ConnectInfo;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use axum::http::{HeaderValue, Response};
use axum::middleware::map_response;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::{describe_gauge, gauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Layer;

pub use args::ServerArgs;
use patient::Patient;
use tls::Tls;

const FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

const CONNECTIONS: &str = "api_connections";

/// How long to wait after the system had no connection to give (no file descriptor, say).
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Tells the metrics recorder what the metrics mean.
pub fn describe_metrics() {
    describe_gauge!(CONNECTIONS, "Connections that are open");
}

/// A listener, and what it serves.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    served: Served,
}

/// What a connection needs. Cheap to clone.
#[derive(Clone, Debug)]
struct Served {
    routes: Router,
    args: ServerArgs,
    tls: Option<Tls>,
}

impl Server {
    /// Serves `routes` to who connects to `listener`.
    pub fn new(listener: TcpListener, routes: Router, args: &ServerArgs, tls: Option<Tls>) -> Self {
        let routes = match tls {
            Some(_) => routes.layer(map_response(strict)),
            None => routes,
        };
        let served = Served {
            routes,
            args: args.clone(),
            tls,
        };
        Self { listener, served }
    }

    /// Serves until `stop`, and then until the requests under way are answered.
    ///
    /// # Errors
    /// That a connection's task panicked.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(self.served.args.max_connections));
        let mut connections = JoinSet::new();
        while let Some((stream, peer, place)) = stop
            .run_until_cancelled(next(&self.listener, &places))
            .await
        {
            let served = self.served.clone().serve(stream, peer, stop.clone());
            connections.spawn(async move {
                gauge!(CONNECTIONS).increment(1);
                served.await;
                gauge!(CONNECTIONS).decrement(1);
                drop(place);
            });
            while let Some(ended) = connections.try_join_next() {
                ended.context("a connection's task panicked")?;
            }
        }
        drop(self.listener);
        while let Some(ended) = connections.join_next().await {
            ended.context("a connection's task panicked")?;
        }
        Ok(())
    }
}

/// Tells browsers to come over TLS only (RFC 6797).
async fn strict<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    headers.insert(STRICT_TRANSPORT_SECURITY, FOR_A_YEAR);
    response
}

/// The next connection, when there is a place for it. Losing it midway loses no connection.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await;
    let place = place.expect("nobody closes it");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether only that connection failed, before it was accepted.
fn is_of_one(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

impl Served {
    async fn serve(self, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
        // An answer is sent in one piece; nothing is gained by waiting for more.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone at once");
            return;
        }
        let stream = Patient::new(stream, self.args.write_timeout);
        let Some(tls) = &self.tls else {
            return self.speak(stream, peer, stop).await;
        };
        let handshake = timeout(self.args.handshake_timeout, tls.acceptor().accept(stream));
        match stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.speak(stream, peer, stop).await,
            Some(Ok(Err(error))) => tracing::debug!(%peer, %error, "no TLS handshake"),
            Some(Err(_)) => tracing::debug!(%peer, "the TLS handshake took too long"),
            None => {}
        }
    }

    async fn speak<S>(self, stream: S, peer: SocketAddr, stop: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let routes = Extension(ConnectInfo(peer)).layer(self.routes);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.args.head_timeout)
            .max_headers(self.args.max_headers)
            .max_header_size(self.args.max_head_bytes)
            .max_buf_size(self.args.max_head_bytes.max(READ_BUFFER_BYTES))
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection failed");
        }
    }
}

/// How much of a connection is read at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;
