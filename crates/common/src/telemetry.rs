//! Logs and metrics: installed once by each `main`, before anything else.

use std::io::IsTerminal;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Upper bounds of the buckets of every `*_seconds` histogram.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

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
        .context("setting the buckets of histograms")?
        .install_recorder()
        .context("installing the metrics recorder")
}
