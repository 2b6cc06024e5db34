//! What the statistics cost: to ask for, over a database that is full of them, and to count.

use anyhow::Context;
use bench::stage::Stage;
use bench::statistics::ask::Api;
use bench::statistics::counting::{A_SECOND, cost};
use bench::statistics::fill::{Size, fill, room};
use clap::Parser;
use common::store::{self, StoreArgs};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool};

/// As many as `api` has.
const CONNECTIONS: u32 = 10;

/// What an answer should take at most.
const GOAL_MS: f64 = 50.0;

/// Measures what the statistics cost, to ask for and to count.
#[derive(Debug, Parser)]
struct Config {
    #[command(flatten)]
    size: Size,
    /// How often each question is asked
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// Ask the database of this name, which a run before has filled, instead of filling one
    #[arg(long)]
    again: Option<String>,
    /// Print how Postgres answered each question, too
    #[arg(long)]
    plans: bool,
    /// Postgres, as a URL; a database is made there
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Kafka; a topic is made there
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let stage = stage(&config).await?;
    let args = StoreArgs {
        database_url: stage.database_url.clone().into(),
    };
    let db = store::connect(&args, "bench", CONNECTIONS).await?;
    if config.again.is_none() {
        println!("filling {}: {:?}", stage.kafka.kafka_topic, config.size);
        fill(&db, config.size, &stage.kafka.kafka_topic).await?;
    }
    let (cells, bytes) = room(&db).await?;
    println!("{cells} cells, {bytes:.0} bytes each with their index\n");
    let times = usize::try_from(config.times)?;
    ask(&Api::new(&db, &stage.kafka).await?, times).await?;
    if config.plans {
        let explaining = explaining(&stage.database_url).await?;
        explain(&Api::new(&explaining, &stage.kafka).await?).await?;
    }
    count(&db).await
}

async fn stage(config: &Config) -> anyhow::Result<Stage> {
    let (server, brokers) = (&config.database_url, &config.kafka_brokers);
    match &config.again {
        Some(name) => Stage::again(server, brokers, name.clone()).await,
        None => Stage::new(server, brokers).await,
    }
}

async fn ask(api: &Api, times: usize) -> anyhow::Result<()> {
    println!(
        "{:<36} {:>8} {:>8} {:>9}",
        "each asked several times", "p50 ms", "max ms", "bytes"
    );
    for question in api.questions() {
        // What a cold cache costs is the disk's.
        api.ask(&question, 1).await?;
        let (taken, bytes) = api.ask(&question, times).await?;
        let (p50, max) = (taken.median_ms(), taken.longest_ms());
        let over = if p50 > GOAL_MS { "  over the goal" } else { "" };
        println!(
            "{:<36} {p50:>8.1} {max:>8.1} {bytes:>9}{over}",
            question.name
        );
    }
    println!("goal: {GOAL_MS} ms\n");
    Ok(())
}

/// Connections on which Postgres tells how it answers.
async fn explaining(url: &str) -> anyhow::Result<PgPool> {
    tracing_subscriber::fmt()
        .with_env_filter("sqlx::postgres::notice=trace")
        .without_time()
        .with_level(false)
        .with_target(false)
        .init();
    let told = "LOAD 'auto_explain'; SET jit = off; SET auto_explain.log_min_duration = 0;
                SET auto_explain.log_analyze = on; SET client_min_messages = log";
    let options = PgPoolOptions::new().max_connections(1);
    let options = options.after_connect(move |connection, _| {
        Box::pin(async move { connection.execute(told).await.map(drop) })
    });
    options.connect(url).await.context("explaining")
}

async fn explain(api: &Api) -> anyhow::Result<()> {
    for question in api.questions() {
        println!("== {}: {}", question.name, question.path);
        api.ask(&question, 1).await?;
    }
    println!();
    Ok(())
}

async fn count(db: &PgPool) -> anyhow::Result<()> {
    let cost = cost(db).await?;
    let added = cost.count_ms + cost.pack_ms + cost.write_ms;
    println!("{A_SECOND} deliveries, a second of them:");
    println!("  recording the attempts   {:>8.1} ms", cost.attempts_ms);
    println!("  counting them            {:>8.1} ms", cost.count_ms);
    println!(
        "  packing the counts       {:>8.1} ms, {} bytes",
        cost.pack_ms, cost.bytes
    );
    println!("  writing them             {:>8.1} ms", cost.write_ms);
    println!(
        "  so counting adds         {:>8.1} %",
        100.0 * added / cost.attempts_ms
    );
    println!("beside that, not in the recorder:");
    println!("  folding ten such rows    {:>8.1} ms", cost.fold_ms);
    println!("  rolling up five minutes  {:>8.1} ms", cost.roll_up_ms);
    Ok(())
}
