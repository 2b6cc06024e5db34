//! Logs and metrics: installed once by each `main`, before anything else.

use std::io::IsTerminal;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Upper bounds of the buckets of every `*_seconds` histogram.
const SECONDS: [f64; 18] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0, 300.0,
];

/// Of every histogram of numbers of outcomes.
const OUTCOMES: [f64; 10] = [
    1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0,
];

/// How often measurements are folded into their histograms: some hundred bytes a delivery are held so long.
const FOLD_INTERVAL: Duration = Duration::from_secs(1);

/// Which version this is, as a label.
const BUILD_INFO: &str = "temperature_webhooks_build_info";

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// For a person at a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// The flags of logging; the level is `RUST_LOG`, by default `info`.
#[derive(Clone, Debug, clap::Args)]
pub struct TelemetryArgs {
    /// How logs are written, to standard error.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "human")]
    pub log_format: LogFormat,
}

/// Installs the log subscriber and the metrics recorder of this process.
///
/// # Errors
/// That `RUST_LOG` cannot be read, or that one of them was installed before.
pub fn init(args: &TelemetryArgs) -> anyhow::Result<PrometheusHandle> {
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env()
        .context("reading RUST_LOG")?;
    let writer = std::io::stderr;
    // A file that is searched later has no use for colours.
    let colours = std::io::stderr().is_terminal();
    let (human, json) = match args.log_format {
        LogFormat::Human => (
            Some(fmt::layer().with_ansi(colours).with_writer(writer)),
            None,
        ),
        LogFormat::Json => (None, Some(fmt::layer().json().with_writer(writer))),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(human)
        .with(json)
        .try_init()
        .context("installing the log subscriber")?;
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(|it| it.set_buckets_for_metric(Matcher::Suffix("_outcomes".into()), &OUTCOMES))
        .context("setting the buckets of histograms")?
        .install_recorder()
        .context("installing the metrics recorder")
        .inspect(|_| describe_build())
        .and_then(fold)
}

/// Folds what is measured into its histograms, for as long as the process lives. A scrape does that too,
/// but where nobody scrapes each measurement would be kept for ever.
#[allow(
    clippy::disallowed_methods,
    reason = "the thread that sleeps is its own"
)]
fn fold(metrics: PrometheusHandle) -> anyhow::Result<PrometheusHandle> {
    let folded = metrics.clone();
    let folding = move || {
        loop {
            thread::sleep(FOLD_INTERVAL);
            folded.run_upkeep();
        }
    };
    let thread = thread::Builder::new().name("metrics".to_owned());
    thread
        .spawn(folding)
        .context("starting the thread that folds metrics")?;
    Ok(metrics)
}

fn describe_build() {
    describe_gauge!(BUILD_INFO, "Which version this is; always 1");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
