//! What bad receivers cost the healthy ones, and one that is far behind: one case after the other, a
//! table and a file.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use bench::case::{Case, Since, cases};
use bench::figures::Latencies;
use bench::json;
use bench::kind::Kind;
use bench::report::{Report, Row};
use bench::run::Run;
use clap::{Parser, value_parser};

/// Measures what bad receivers cost the healthy ones, and what one costs that is far behind.
#[derive(Debug, Parser)]
struct Config {
    /// The ways in which receivers are bad.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    kinds: Vec<Kind>,
    /// Each way by itself, instead of all of them mixed.
    #[arg(long)]
    alone: bool,
    /// How many receivers are bad, in percent.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 30, 50], value_parser = value_parser!(u32).range(1..=99))]
    shares: Vec<u32>,
    /// Since when they are.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Since::Start, Since::Later])]
    since: Vec<Since>,
    /// For how long each case is measured; one with none bad, half as long.
    #[arg(long, default_value_t = 40, value_parser = value_parser!(u64).range(5..=3600))]
    seconds: u64,
    /// How many subscriptions there are, with an event a second each.
    #[arg(long, default_value_t = 2000, value_parser = value_parser!(u32).range(100..))]
    subscriptions: u32,
    /// How many events a subscription is behind in the last case; 0 leaves it out.
    #[arg(long, default_value_t = 1_000_000)]
    behind: u64,
    /// No other case than that.
    #[arg(long)]
    only_behind: bool,
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
    let logs = config.directory.join("bench-isolation");
    std::fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
    let run = Run {
        server: config.database_url,
        brokers: config.kafka_brokers,
        subscriptions: usize::try_from(config.subscriptions)?,
        measured: Duration::from_secs(config.seconds),
        logs,
    };
    let cases = if config.only_behind {
        Vec::new()
    } else {
        cases(&config.shares, &config.kinds, &config.since, config.alone)
    };
    let mut report = Report::new(
        run.subscriptions,
        config.seconds,
        measure(&run, &cases).await?,
    );
    if config.behind > 0 {
        println!(
            "  {} events behind, which takes some minutes",
            config.behind
        );
        let behind = run.behind(config.behind).await;
        report.behind = Some(behind.context("the case of one far behind")?);
    }
    let file = config.directory.join("bench-isolation.json");
    json::write(&file, &report)?;
    print!("\n{report}");
    println!("also in {}", file.display());
    ensure!(report.is_complete(), "deliveries are missing");
    Ok(())
}

async fn measure(run: &Run, cases: &[Case]) -> anyhow::Result<Vec<(Row, Latencies)>> {
    let length: Duration = cases.iter().map(|case| run.length(case)).sum();
    println!(
        "{} cases, which take about {} minutes",
        cases.len(),
        length.as_secs().div_ceil(60)
    );
    let mut measured = Vec::new();
    for case in cases {
        println!("  {}", case.name());
        let name = || format!("the case '{}'", case.name());
        measured.push(run.case(case).await.with_context(name)?);
    }
    Ok(measured)
}
