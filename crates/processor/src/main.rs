//! `processor`: consumes the topic and delivers each event to everyone who wants it.

use anyhow::Context;
use common::instance::Instance;
use common::lifecycle::run_until_signal;
use common::{settings, store, telemetry};
use processor::config::Config;
use processor::service::Service;
use traces::Traces;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (config, settings) = settings::parse::<Config>();
    let metrics = telemetry::init(&config.telemetry)?;
    let traces = Traces::init("processor")?;
    let drain_timeout = config.drain_timeout;
    let db = store::connect(&config.store, "processor", config.connections)
        .await
        .context("opening the store")?;
    let instance = Instance::new("processor", &settings);
    let service = Service::new(config, instance, db, metrics, traces.clone()).await?;
    let ended = run_until_signal(drain_timeout, |stop| service.run(stop)).await;
    traces.end().await;
    ended
}
