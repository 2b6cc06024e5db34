//! How many deliveries a second, at what cost, and how late: one case after the other, a table and a
//! file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bench::deliveries::case::{Case, Choice};
use bench::deliveries::figures;
use bench::deliveries::measure::Bench;
use bench::deliveries::table::Report;
use bench::{json, processes};
use clap::{Parser, value_parser};

/// Measures how many deliveries a second there are, what each costs, and how late they are.
#[derive(Debug, Parser)]
struct Config {
    #[command(flatten)]
    choice: Choice,
    /// How often each is measured.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=100))]
    repeat: u32,
    /// How many deliveries are drained, about.
    #[arg(long, default_value_t = 200_000, value_parser = value_parser!(u32).range(1000..=20_000_000))]
    deliveries: u32,
    /// For how long latencies are measured, in seconds.
    #[arg(long, default_value_t = 8, value_parser = value_parser!(u64).range(1..=3600))]
    latency_seconds: u64,
    /// At how many deliveries a second latencies are measured; at half of what was drained, where this
    /// says nothing. Never less than an event a second.
    #[arg(long, value_parser = value_parser!(u64).range(1..=1_000_000))]
    latency_at: Option<u64>,
    /// For how long each bare loop posts, in seconds.
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u64).range(1..=60))]
    ceiling_seconds: u64,
    /// Another build of the processor, with which each case is run too, before.
    #[arg(long)]
    before: Option<PathBuf>,
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
        latency_at: config.latency_at,
        ceiling: Duration::from_secs(config.ceiling_seconds),
        directory,
    };
    let mut report = Report {
        machine: processes::description(),
        runs: Vec::new(),
    };
    let cases = config.choice.cases();
    warm_up(&bench, &cases).await?;
    for round in 1..=config.repeat {
        for case in &cases {
            println!("  {round}: {case}");
            for program in config.before.iter().map(Some).chain([None]) {
                let run = bench.case(*case, program.map(PathBuf::as_path)).await;
                let run = run.with_context(|| format!("the case '{case}'"))?;
                report.runs.push(run);
            }
        }
    }
    let file = config.directory.join("bench-deliveries.json");
    json::write(&file, &report)?;
    print!("\n{report}");
    println!("also in {}", file.display());
    ensure!(report.is_complete(), "deliveries are missing");
    Ok(())
}

/// Runs the case of the smallest fan-out, which has the most events for its deliveries, and forgets
/// its figures: a broker that has just been started compiles its way, which would be charged to
/// whichever case comes first.
async fn warm_up(bench: &Bench, cases: &[Case]) -> anyhow::Result<()> {
    let Some(case) = cases.iter().min_by_key(|case| case.fan_out) else {
        return Ok(());
    };
    println!("  warming up: {case}");
    let run = bench.case(*case, None).await.context("warming up")?;
    match run.result {
        figures::Result::Figures(_) => Ok(()),
        figures::Result::Missing(count) => bail!("{count} deliveries are missing, warming up"),
    }
}
