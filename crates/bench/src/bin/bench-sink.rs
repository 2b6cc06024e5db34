//! The sink of the benchmark of deliveries, as a process; `--tls` has it speak TLS.

use std::io::Write;

use anyhow::Context;
use bench::deliveries::sink::Sink;
use clap::Parser;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Takes deliveries, and is ruled by lines.
#[derive(Debug, Parser)]
struct Config {
    /// Speak TLS.
    #[arg(long)]
    tls: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let sink = Sink::new(Config::parse().tls)?;
    say(&serde_json::to_string(&sink.listening)?)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.context("reading a line")? {
        say(&sink.obey(&line)?)?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("printing a line")
}
