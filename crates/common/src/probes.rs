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
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Said>>>);

/// What one component says.
#[derive(Debug)]
struct Said {
    state: Result<(), String>,
    /// Whether the service is unready without it.
    needed: bool,
}

impl Readiness {
    /// Declares a component, not ready yet.
    #[must_use]
    pub fn component(&self, name: &'static str) -> Component {
        self.declare(name, true)
    }

    /// Declares a component that only a part of the service needs: it is reported, and without it
    /// the service is ready nevertheless.
    #[must_use]
    pub fn optional(&self, name: &'static str) -> Component {
        self.declare(name, false)
    }

    fn declare(&self, name: &'static str, needed: bool) -> Component {
        let component = Component {
            name,
            needed,
            readiness: self.clone(),
        };
        component.down("starting");
        component
    }

    /// The answer to `/readyz`, and whether it is a good one.
    #[must_use]
    pub fn report(&self) -> (bool, Report) {
        let components = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = components
            .values()
            .all(|said| said.state.is_ok() || !said.needed);
        let components = components
            .iter()
            .map(|(name, said)| {
                let state = said.state.as_ref();
                (*name, state.map_or_else(String::clone, |()| "ok".into()))
            })
            .collect();
        (ready, Report { ready, components })
    }
}

/// One component's handle on the readiness of its service.
#[derive(Clone, Debug)]
pub struct Component {
    name: &'static str,
    needed: bool,
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
        let needed = self.needed;
        self.readiness
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.name, Said { state, needed });
    }
}

/// The body of `/readyz`: each component with `ok`, or with what is wrong.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(example = json!({"ready": true, "components": {"postgres": "ok"}}))]
pub struct Report {
    /// Whether all components are that the service cannot do without.
    pub ready: bool,
    /// By name: `ok`, or the reason why not.
    pub components: BTreeMap<&'static str, String>,
}

/// The admin routes of a service.
pub fn router(readiness: Readiness, metrics: PrometheusHandle) -> Router {
    let process = metrics_process::Collector::default();
    process.describe();
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route(
            "/metrics",
            get(async move || {
                process.collect();
                metrics.render()
            }),
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_makes_a_service_unready() {
        let readiness = Readiness::default();
        let (postgres, kafka) = (readiness.component("postgres"), readiness.optional("kafka"));
        postgres.up();
        kafka.down("away");
        let (ready, report) = readiness.report();
        assert!(ready && report.ready);
        assert_eq!(report.components["kafka"], "away");
        kafka.up();
        postgres.down("away");
        assert!(!readiness.report().0);
    }
}
