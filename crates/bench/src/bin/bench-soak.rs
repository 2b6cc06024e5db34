//! What does not stay as it is under a steady load: a line each time it is looked, a table of what
//! grew, and a file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::case::{Case, Since};
use bench::kind::Kind;
use bench::run::Run;
use bench::soak::Soak;
use bench::{json, processes};
use clap::{Parser, value_parser};

/// Says what does not stay as it is under a steady load with a few dead receivers.
#[derive(Debug, Parser)]
struct Config {
    /// How long it takes.
    #[arg(long, default_value_t = 60, value_parser = value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Events a second; as many subscriptions have one each.
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(100..=10_000))]
    rate: u32,
    /// How many receivers are dead, in percent, …
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=99))]
    dead_percent: u32,
    /// … and in which ways.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    kinds: Vec<Kind>,
    /// Where the report and the logs of the processor go.
    #[arg(long, default_value = "target")]
    directory: PathBuf,
    /// Postgres, as a URL; a database is made there.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Kafka; a topic is made there.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let file = config.directory.join("bench-soak.json");
    let soak = soak(config)?;
    let report = soak.run(processes::description()).await?;
    json::write(&file, &report)?;
    print!("\n{report}");
    println!("also in {}", file.display());
    ensure!(report.is_complete(), "deliveries are missing");
    Ok(())
}

fn soak(config: Config) -> anyhow::Result<Soak> {
    let logs = config.directory.join("bench-soak");
    std::fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
    let run = Run {
        server: config.database_url,
        brokers: config.kafka_brokers,
        subscriptions: usize::try_from(config.rate)?,
        measured: Duration::from_secs(60 * config.minutes),
        logs,
    };
    let case = Case {
        share: config.dead_percent,
        kinds: config.kinds,
        since: Since::Start,
    };
    Ok(Soak { run, case })
}
