//! What more subscriptions, more who want an event, and more replicas change: one part after the
//! other, tables and a file.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use bench::scale::report::Report;
use bench::scale::{Part, Scale, Sizes};
use bench::{json, processes};
use clap::Parser;

/// Measures what more subscriptions, more who want an event, and more replicas change.
#[derive(Debug, Parser)]
struct Config {
    /// Which parts are run.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::ALL)]
    parts: Vec<Part>,
    #[command(flatten)]
    sizes: Sizes,
    /// Where the report and the logs of the processor go.
    #[arg(long, default_value = "target")]
    directory: PathBuf,
    /// Postgres, as a URL; each measurement makes a database there.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Kafka; each measurement makes a topic there.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let directory = config.directory.join("bench-scale");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    let scale = Scale {
        server: config.database_url,
        brokers: config.kafka_brokers,
        sizes: config.sizes,
        directory,
    };
    let mut report = Report::new(processes::description());
    for part in config.parts {
        println!("  {part:?}");
        let running = scale.part(part, &mut report).await;
        running.with_context(|| format!("the part {part:?}"))?;
    }
    let file = config.directory.join("bench-scale.json");
    json::write(&file, &report)?;
    print!("\n{report}");
    println!("also in {}", file.display());
    ensure!(report.is_complete(), "deliveries are missing");
    Ok(())
}
