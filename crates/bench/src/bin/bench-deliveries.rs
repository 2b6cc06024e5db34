//! How many deliveries a second, at what cost, and how late: one case after the other, a table and a
//! file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bench::deliveries::case::Case;
use bench::deliveries::measure::Bench;
use bench::deliveries::table::Report;
use clap::{Parser, ValueEnum, value_parser};

/// Measures how many deliveries a second there are, what each costs, and how late they are.
#[derive(Debug, Parser)]
struct Config {
    /// Which cases; all of them unless given.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Case::value_variants().to_vec())]
    cases: Vec<Case>,
    /// How often each is measured.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// How many deliveries are drained, about.
    #[arg(long, default_value_t = 300_000, value_parser = value_parser!(u32).range(1000..=20_000_000))]
    deliveries: u32,
    /// For how long latencies are measured, in seconds.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=3600))]
    latency_seconds: u64,
    /// For how long each bare loop posts, in seconds.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u64).range(1..=60))]
    ceiling_seconds: u64,
    /// Where the report and the logs of the processor go.
    #[arg(long, default_value = "target")]
    directory: PathBuf,
    /// Postgres, as a URL; each case makes a database there.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Kafka; each case makes a topic there.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let directory = config.directory.join("bench-deliveries");
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("creating {}", directory.display()))?;
    let bench = Bench {
        server: config.database_url,
        brokers: config.kafka_brokers,
        deliveries: usize::try_from(config.deliveries)?,
        latency: Duration::from_secs(config.latency_seconds),
        ceiling: Duration::from_secs(config.ceiling_seconds),
        directory,
    };
    let mut report = Report { rows: Vec::new() };
    for round in 1..=config.repeat {
        for case in &config.cases {
            println!("  {round}: {}", case.name());
            let name = || format!("the case '{}'", case.name());
            report
                .rows
                .push(bench.case(*case).await.with_context(name)?);
        }
    }
    let file = config.directory.join("bench-deliveries.json");
    report.write(&file)?;
    print!("\n{report}");
    println!("also in {}", file.display());
    Ok(())
}
