//! The life of a service: it runs until it ends by itself, or a signal asks it to stop.
//!
//! This is the only shutdown there is. SIGINT or SIGTERM cancels the stop token; the service
//! then drains, within a bound. A second signal, or an overlong drain, ends it with an error.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs `service` to its end, giving it the token that tells it to stop.
///
/// # Errors
/// The service's own, or that it did not drain within `drain_timeout`, or that a second signal
/// cut the drain short.
pub async fn run_until_signal<F, S>(drain_timeout: Duration, service: F) -> anyhow::Result<()>
where
    F: FnOnce(CancellationToken) -> S,
    S: Future<Output = anyhow::Result<()>>,
{
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let running = service(stop.clone());
    tokio::pin!(running);

    tokio::select! {
        ended = &mut running => return ended,
        name = signals.next() => tracing::info!(signal = name, "stopping"),
    }
    stop.cancel();
    tokio::select! {
        ended = &mut running => ended,
        name = signals.next() => bail!("{name} came again before the drain ended"),
        () = tokio::time::sleep(drain_timeout) => bail!("the drain took longer than {drain_timeout:?}"),
    }
}

/// Waits for all tasks of a service; the first to end stops the others, and the first failure is
/// the result.
///
/// # Errors
/// The first of a task, or that one panicked.
pub async fn join(
    mut tasks: JoinSet<anyhow::Result<()>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        stop.cancel();
        result = result.and(ended.context("a task of the service panicked").flatten());
    }
    result
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
        })
    }

    /// Cancel-safe, as `Signal::recv` is.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
