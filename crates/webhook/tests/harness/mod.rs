//! A receiver on a port of its own, inside the test.

use std::future::Future;
use std::net::SocketAddr;

use clap::Parser;
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use webhook::config::Config;
use webhook::service::Service;

use crate::client::{self, DEADLINE};

pub struct Running {
    pub client: Client,
    address: SocketAddr,
    stop: CancellationToken,
    service: JoinSet<anyhow::Result<()>>,
}

impl Running {
    /// Starts a receiver with these flags, and prints nothing.
    pub async fn start(flags: &str) -> Self {
        let fixed = ["webhook", "--listen", "127.0.0.1:0", "--quiet"];
        let config = Config::parse_from(fixed.into_iter().chain(flags.split_whitespace()));
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let service = Service::new(&config, metrics).await.unwrap();
        let address = service.address().unwrap();
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(service.run(stop.clone()));
        Self {
            client: client::build(),
            address,
            stop,
            service: running,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// Delivers an event of this id.
    pub async fn deliver(&self, id: &str) -> StatusCode {
        let post = self
            .post("/")
            .header("webhook-id", id)
            .json(&event("Tokyo"));
        post.send().await.unwrap().status()
    }

    pub async fn received(&self) -> Value {
        let counts = self.client.get(self.url("/received")).send().await.unwrap();
        counts.json().await.unwrap()
    }

    /// Total, distinct, duplicates and refused.
    pub async fn counts(&self) -> [u64; 4] {
        let counts = self.received().await;
        ["total", "distinct", "duplicates", "refused"].map(|name| counts[name].as_u64().unwrap())
    }

    /// Stops it, and waits for its end.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(DEADLINE, self.service.join_next()).await;
        ended.expect("it stops").unwrap().unwrap().unwrap();
    }

    /// Stops it once it has refused so many requests, of which `request` is the last.
    pub async fn stop_during<F>(&mut self, request: F, refused: u64) -> StatusCode
    where
        F: Future<Output = reqwest::Result<reqwest::Response>>,
    {
        let stop = async {
            while self.counts().await[3] < refused {}
            self.stop().await;
        };
        let both = async { tokio::join!(request, stop) };
        let (answer, ()) = tokio::time::timeout(DEADLINE, both)
            .await
            .expect("it is counted");
        answer.unwrap().status()
    }
}

pub fn event(city: &str) -> Value {
    json!({"city": city, "reading": 23.0, "unit": "C", "timestamp": "2026-11-23T21:00:00Z"})
}
