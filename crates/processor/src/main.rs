//! `processor`: consumes the topic and delivers each event to everyone who wants it.

use anyhow::Context;
use common::instance::Instance;
use common::lifecycle::run_until_signal;
use common::{settings, store, telemetry};
use processor::config::Config;
use processor::service::Service;
use tikv_jemallocator::Jemalloc;
use traces::Traces;

/// A delivery is some dozens of allocations, made by one thread and freed by another as often as not,
/// which this one does cheaper than that of the C library.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

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
