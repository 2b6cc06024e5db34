//! `system`: publishes temperature events to Kafka.

use clap::Parser;
use common::lifecycle::run_until_signal;
use common::telemetry;
use system::config::Config;
use system::service::Service;
use traces::Traces;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let metrics = telemetry::init(&config.telemetry)?;
    let traces = Traces::init("system")?;
    let stop_timeout = config.stop_timeout();
    let service = Service::new(config, metrics, traces.clone()).await?;
    let ended = run_until_signal(stop_timeout, |stop| service.run(stop)).await;
    traces.end().await;
    ended
}
