//! Wires the receiver up and runs it: the HTTP server, and the printer of lines.
//!
//! The printer ends when the last request that could send it a line has ended.

use std::net::SocketAddr;

use anyhow::Context;
use common::lifecycle::join;
use common::probes::{self, Liveness, Readiness};
use metrics_exporter_prometheus::PrometheusHandle;
use signature::Verifier;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::receive::Receiver;

/// How many lines may wait to be printed before senders wait too.
const WAITING_LINES: usize = 4096;

/// How many lines are written at once.
const LINES_AT_ONCE: usize = 512;

/// A receiver that listens and does not answer yet.
pub struct Service {
    config: Config,
    listener: TcpListener,
    metrics: PrometheusHandle,
    verifier: Option<Verifier>,
}

impl Service {
    /// Reads the keys and takes the port.
    ///
    /// # Errors
    /// That a key is none, or that the port cannot be listened on.
    pub async fn new(config: &Config, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let verifier = config.verifier()?;
        let listener = probes::bind(config.listen).await?;
        Ok(Self {
            config: config.clone(),
            listener,
            metrics,
            verifier,
        })
    }

    /// Where it listens; of use when the configured port is 0.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Receives until `stop`, then finishes the open requests.
    ///
    /// # Errors
    /// That the listener or standard output failed.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        tracing::info!(address = %self.address().context("asking for the port")?, "receiving");
        let readiness = Readiness::default();
        readiness.component("http").up();
        let mut tasks = JoinSet::new();
        let lines = (!self.config.quiet).then(|| start_printer(&mut tasks));
        let receiver = Receiver::new(&self.config, self.verifier, lines, stop.clone());
        let routes = receiver.routes(probes::router(readiness, Liveness::default(), self.metrics));
        tasks.spawn(probes::serve(self.listener, routes, stop.clone()));
        join(tasks, &stop).await
    }
}

fn start_printer(tasks: &mut JoinSet<anyhow::Result<()>>) -> mpsc::Sender<String> {
    let (lines, waiting) = mpsc::channel(WAITING_LINES);
    tasks.spawn(print(waiting, tokio::io::stdout()));
    lines
}

async fn print(
    mut waiting: mpsc::Receiver<String>,
    mut out: impl AsyncWrite + Unpin,
) -> anyhow::Result<()> {
    let mut lines = Vec::with_capacity(LINES_AT_ONCE);
    while waiting.recv_many(&mut lines, LINES_AT_ONCE).await > 0 {
        let text = lines.concat();
        lines.clear();
        out.write_all(text.as_bytes()).await.context("printing")?;
        out.flush().await.context("printing")?;
    }
    Ok(())
}
