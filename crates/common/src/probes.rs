//! `/livez`, `/readyz` and `/metrics`: what an orchestrator and a scraper ask of every service.
//!
//! A service declares its components once; each is not ready until its owner says so.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What each component of a service says of itself. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>);

impl Readiness {
    /// Declares a component, not ready yet.
    #[must_use]
    pub fn component(&self, name: &'static str) -> Component {
        let component = Component {
            name,
            readiness: self.clone(),
        };
        component.down("starting");
        component
    }

    /// The answer to `/readyz`, and whether it is a good one.
    #[must_use]
    pub fn report(&self) -> (bool, Report) {
        let components = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = components.values().all(Result::is_ok);
        let components = components
            .iter()
            .map(|(name, state)| {
                (
                    *name,
                    state.as_ref().map_or_else(String::clone, |()| "ok".into()),
                )
            })
            .collect();
        (ready, Report { ready, components })
    }
}

/// One component's handle on the readiness of its service.
#[derive(Clone, Debug)]
pub struct Component {
    name: &'static str,
    readiness: Readiness,
}

impl Component {
    /// It works.
    pub fn up(&self) {
        self.set(Ok(()));
    }

    /// It does not, and why.
    pub fn down(&self, reason: impl Into<String>) {
        self.set(Err(reason.into()));
    }

    fn set(&self, state: Result<(), String>) {
        self.readiness
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.name, state);
    }
}

/// The body of `/readyz`: each component with `ok`, or with what is wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(example = json!({"ready": true, "components": {"postgres": "ok"}}))]
pub struct Report {
    /// Whether all components are.
    pub ready: bool,
    /// By name: `ok`, or the reason why not.
    pub components: BTreeMap<&'static str, String>,
}

/// The admin routes of a service.
pub fn router(readiness: Readiness, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(async move || metrics.render()))
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
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("serving HTTP")
}
