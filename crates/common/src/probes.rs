//! `/livez`, `/readyz` and `/metrics`: what an orchestrator and a scraper ask of every service.
//!
//! A service declares its components once; each is not ready until its owner says so. That a server
//! is away makes a service unready, and never dead: to start it again would not help.

mod liveness;
mod readiness;

use std::net::SocketAddr;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::liveness::{Liveness, Pulse};
pub use self::readiness::{Component, Readiness, Report};

/// The admin routes of a service.
pub fn router(readiness: Readiness, liveness: Liveness, metrics: PrometheusHandle) -> Router {
    let process = metrics_process::Collector::default();
    process.describe();
    Router::new()
        .route("/livez", get(livez).with_state(liveness))
        .route("/readyz", get(readyz).with_state(readiness))
        .route(
            "/metrics",
            get(async move || {
                process.collect();
                metrics.render()
            }),
        )
}

async fn livez(State(liveness): State<Liveness>) -> (StatusCode, String) {
    let stuck = liveness.stuck(Instant::now());
    if stuck.is_empty() {
        return (StatusCode::OK, "ok\n".into());
    }
    let stuck = stuck.join("\n");
    // Whoever asks says no more than that it failed.
    tracing::error!(stuck, "not alive");
    (StatusCode::SERVICE_UNAVAILABLE, stuck + "\n")
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, Json<Report>) {
    let (ready, report) = readiness.report();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report))
}

/// Listens on `address`, so that a port in use is an error at start.
///
/// # Errors
/// That the address cannot be bound.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))
}

/// Serves `routes` until `stop`.
///
/// # Errors
/// That the listener failed.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("serving HTTP")
}
