//! `webhook`: the demo receiver. It takes deliveries in, counts them, and misbehaves when told to.

use clap::Parser;
use common::lifecycle::run_until_signal;
use common::telemetry;
use webhook::config::Config;
use webhook::service::Service;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let metrics = telemetry::init(&config.telemetry)?;
    let service = Service::new(&config, metrics).await?;
    run_until_signal(config.drain_timeout, |stop| service.run(stop)).await
}
