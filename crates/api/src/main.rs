//! The `api` binary: REST for subscriptions and dead letters, with its document and Swagger UI.

use anyhow::Context;
use api::{Config, run};
use clap::Parser;
use common::{store, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let metrics = telemetry::init(&config.telemetry)?;
    let db = store::connect(&config.store, "api", config.connections)
        .await
        .context("opening the store")?;
    run(&config, db, metrics).await
}
