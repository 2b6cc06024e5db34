//! The `api` binary: REST for subscriptions and dead letters, with its document and Swagger UI.

use anyhow::Context;
use api::{Config, Task};
use clap::Parser;
use common::lifecycle::run_until_signal;
use common::{store, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let metrics = telemetry::init(&config.telemetry)?;
    let db = store::connect(&config.store, "api", config.connections)
        .await
        .context("opening the store")?;
    let task = Task::new(&config, db, metrics).await?;
    run_until_signal(config.drain_timeout, |stop| task.run(stop)).await
}
