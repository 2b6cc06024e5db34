//! The receiver: one port for all that are healthy, and one for each way to be bad, at which all
//! is well until it is told to turn.
//!
//! It is a process of its own and ruled by lines. It prints where it listens; then it takes
//! [`TURN`], [`COUNT`] and [`REPORT`] from standard input, and ends with it.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use common::event::WEBHOOK_ID;
use http::Request;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::figures::Arrivals;
use crate::kind::Kind;
use crate::manners::{Answer, Manners};

/// The bad ones turn bad; answered with an empty line when they have.
pub const TURN: &str = "turn";
/// How many different events arrived at the healthy ones.
pub const COUNT: &str = "count";
/// All [`Arrivals`] at the healthy ones.
pub const REPORT: &str = "report";

/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// At a black hole, so few that connecting soon gets no answer.
const NO_BACKLOG: i32 = 1;

/// Where it listens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ports {
    /// All that are healthy.
    pub healthy: u16,
    /// All that turn bad in that way.
    pub bad: HashMap<Kind, u16>,
}

/// What arrived at the healthy ones.
#[derive(Debug, Default)]
struct Inbox {
    arrivals: Arrivals,
    events: HashSet<u64>,
}

/// All of it.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub ports: Ports,
    inbox: Arc<Mutex<Inbox>>,
    turn: watch::Sender<bool>,
    servers: JoinSet<anyhow::Result<()>>,
    /// Told by each server that has turned.
    turned: tokio::sync::mpsc::Receiver<()>,
}

impl Receiver {
    /// Listens at all ports, each chosen by the system.
    ///
    /// # Errors
    /// That a port cannot be had.
    pub fn new() -> anyhow::Result<Self> {
        let (turn, _) = watch::channel(false);
        let (tell, turned) = tokio::sync::mpsc::channel(Kind::ALL.len());
        let inbox = Arc::default();
        let mut servers = JoinSet::new();
        let mut ports = HashMap::new();
        let kinds = Kind::ALL.map(Some).into_iter().chain([None]);
        for kind in kinds {
            let listener = listen()?;
            ports.insert(kind, listener.local_addr()?.port());
            let server = Server {
                manners: Manners::new(kind),
                inbox: Arc::clone(&inbox),
                connections: JoinSet::new(),
            };
            servers.spawn(server.run(listener, turn.subscribe(), tell.clone()));
        }
        let healthy = ports
            .remove(&None)
            .context("the healthy ones have a port")?;
        let bad = ports
            .into_iter()
            .filter_map(|(kind, port)| Some((kind?, port)));
        Ok(Self {
            ports: Ports {
                healthy,
                bad: bad.collect(),
            },
            inbox,
            turn,
            servers,
            turned,
        })
    }

    /// The answer to a line.
    ///
    /// # Errors
    /// That nobody knows what it means, or that a server failed.
    pub async fn obey(&mut self, line: &str) -> anyhow::Result<String> {
        match line {
            TURN => {
                self.turn.send_replace(true);
                for _ in Kind::ALL {
                    tokio::select! {
                        Some(()) = self.turned.recv() => {}
                        Some(ended) = self.servers.join_next() => ended??,
                    }
                }
                Ok(String::new())
            }
            COUNT => Ok(self.lock().events.len().to_string()),
            REPORT => Ok(serde_json::to_string(&self.lock().arrivals)?),
            _ => anyhow::bail!("the receiver does not know '{line}'"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receivers of one kind.
struct Server {
    manners: Manners,
    inbox: Arc<Mutex<Inbox>>,
    connections: JoinSet<()>,
}

impl Server {
    /// Serves well until told to turn, and then badly for ever.
    async fn run(
        mut self,
        listener: TcpListener,
        mut turn: watch::Receiver<bool>,
        turned: tokio::sync::mpsc::Sender<()>,
    ) -> anyhow::Result<()> {
        tokio::select! {
            served = self.serve(&listener) => return served,
            told = turn.wait_for(|turn| *turn) => drop(told.context("the receiver is gone")?),
        }
        let Some(kind) = self.manners.kind else {
            return self.serve(&listener).await;
        };
        self.manners.turn();
        let listener = self.turn(kind, listener).await?;
        turned.send(()).await.context("the receiver is gone")?;
        match listener {
            Listening::Not(_socket) => std::future::pending().await,
            Listening::Deaf(_listener) => std::future::pending().await,
            Listening::Resetting(listener) => reset_all(&listener).await,
            Listening::Well(listener) => self.serve(&listener).await,
        }
    }

    async fn serve(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            let (stream, _) = listener.accept().await.context("accepting")?;
            stream.set_nodelay(true)?;
            if self.manners.kind == Some(Kind::Reset) {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            }
            let (manners, inbox) = (self.manners.clone(), Arc::clone(&self.inbox));
            self.connections.spawn(converse(stream, manners, inbox));
            while self.connections.try_join_next().is_some() {}
        }
    }

    /// Makes its port bad, where badness begins with the connection.
    async fn turn(&mut self, kind: Kind, listener: TcpListener) -> anyhow::Result<Listening> {
        Ok(match kind {
            Kind::Refusing => {
                let address = listener.local_addr()?;
                drop(listener);
                self.connections.shutdown().await;
                Listening::Not(hold(address)?)
            }
            Kind::BlackHole => {
                SockRef::from(&listener).listen(NO_BACKLOG)?;
                Listening::Deaf(listener)
            }
            Kind::Reset => {
                self.connections.shutdown().await;
                Listening::Resetting(listener)
            }
            Kind::Drip | Kind::Slow | Kind::Http500 | Kind::Http429 | Kind::BrokenTls => {
                Listening::Well(listener)
            }
        })
    }
}

/// What becomes of a port.
enum Listening {
    /// It is held, so that nobody else listens there.
    Not(TcpSocket),
    /// Nobody accepts.
    Deaf(TcpListener),
    Resetting(TcpListener),
    Well(TcpListener),
}

fn listen() -> anyhow::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Its connections inherit it: they do not keep the port from being held after it.
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG).context("listening")
}

fn hold(address: SocketAddr) -> anyhow::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).context("holding a port")?;
    Ok(socket)
}

async fn reset_all(listener: &TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await.context("accepting")?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    }
}

/// One connection, to its end. How it ends is the sender's business.
async fn converse(stream: TcpStream, manners: Manners, inbox: Arc<Mutex<Inbox>>) {
    let receive = service_fn(|request| receive(request, &manners, &inbox));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), receive);
    drop(serving.await);
}

async fn receive(
    request: Request<Incoming>,
    manners: &Manners,
    inbox: &Mutex<Inbox>,
) -> Result<Answer, Infallible> {
    let arrived_at = SystemTime::now();
    let (head, body) = request.into_parts();
    if body.collect().await.is_ok() && manners.kind.is_none() {
        let id = head
            .headers
            .get(WEBHOOK_ID)
            .and_then(|id| id.to_str().ok()?.parse().ok());
        let since = arrived_at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        if let (Some(id), Ok(micros)) = (id, u64::try_from(since.as_micros())) {
            let mut inbox = inbox.lock().unwrap_or_else(PoisonError::into_inner);
            inbox.events.insert(id);
            inbox.arrivals.push((id, micros));
        }
    }
    Ok(manners.answer().await)
}
