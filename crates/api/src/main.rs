//! The `api` binary: REST for subscriptions and dead letters, with its document and Swagger UI.

use anyhow::Context;
use api::{Config, run};
use common::instance::Instance;
use common::{settings, store, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (config, settings) = settings::parse::<Config>();
    let metrics = telemetry::init(&config.telemetry)?;
    let db = store::connect(&config.store, "api", config.connections)
        .await
        .context("opening the store")?;
    run(&config, Instance::new("api", &settings), db, metrics).await
}
