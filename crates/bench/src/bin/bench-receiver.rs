//! The receiver of the benchmarks, as a process.

use std::io::Write;

use anyhow::Context;
use bench::receiver::Receiver;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut receiver = Receiver::new()?;
    say(&serde_json::to_string(&receiver.ports)?)?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await.context("reading a line")? {
        say(&receiver.obey(&line).await?)?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("printing a line")
}
