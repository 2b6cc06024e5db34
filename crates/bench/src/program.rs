//! The programs under load, each a process that ends with its handle.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::figures::Arrivals;
use crate::processes;
use crate::receiver::{COUNT, Ports, REPORT, TURN};

/// How much of a log is shown where its program has ended, in bytes.
const LAST_WORDS: usize = 2000;

/// A running processor.
#[derive(Debug)]
pub struct Processor {
    child: Child,
    log: PathBuf,
}

impl Processor {
    /// Starts one, whose log goes to a file: that program, or the one that was built with this one.
    ///
    /// # Errors
    /// That it cannot be started.
    pub fn start(
        program: Option<&Path>,
        settings: &[(&str, &str)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let program = program.map_or_else(|| beside("processor"), |file| Ok(file.to_owned()))?;
        let child = Command::new(program)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn();
        Ok(Self {
            child: child.context("starting the processor")?,
            log: log.to_owned(),
        })
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// That it has, how, and what it said last.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let said = std::fs::read(&self.log)?;
        let last = String::from_utf8_lossy(&said[said.len().saturating_sub(LAST_WORDS)..]);
        bail!("the processor ended by itself, {status}: {last}")
    }

    /// The most memory that was ever resident, in MiB.
    ///
    /// # Errors
    /// That it is gone.
    pub fn peak_memory_mib(&self) -> anyhow::Result<u64> {
        processes::peak_memory_mib(self.pid()?)
    }

    /// How much processor time it has had.
    ///
    /// # Errors
    /// That it is gone.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        processes::cpu_time(self.pid()?)
    }

    /// Its process id.
    ///
    /// # Errors
    /// That it is gone.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the processor ended by itself")
    }

    /// SIGKILL: what it has not delivered is no business of the case any more.
    ///
    /// # Errors
    /// That it cannot be waited for.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("ending the processor")
    }
}

/// A program that is ruled by lines, each answered with one.
#[derive(Debug)]
pub struct Ruled {
    // Ends when its input does, and with its handle.
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Ruled {
    /// Starts one that was built with this program, and hears what it has to say first.
    ///
    /// # Errors
    /// That it cannot be started.
    pub async fn start(name: &str, arguments: &[String]) -> anyhow::Result<(Self, String)> {
        let mut child = Command::new(beside(name)?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let input = child.stdin.take().context("its input is piped")?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut output = BufReader::new(output).lines();
        let first = output.next_line().await?;
        let first = first.with_context(|| format!("{name} ended by itself"))?;
        let ruled = Self {
            child,
            input,
            output,
        };
        Ok((ruled, first))
    }

    /// Its answer to a line.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        let line = format!("{line}\n");
        self.input
            .write_all(line.as_bytes())
            .await
            .context("telling a program")?;
        self.output
            .next_line()
            .await?
            .context("a program ended by itself")
    }

    /// Its process id.
    ///
    /// # Errors
    /// That it is gone.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("a program ended by itself")
    }
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub ports: Ports,
    ruled: Ruled,
}

impl Receiver {
    /// Starts one, and hears where it listens.
    ///
    /// # Errors
    /// That it cannot be started.
    pub async fn start() -> anyhow::Result<Self> {
        let (ruled, ports) = Ruled::start("bench-receiver", &[]).await?;
        let ports = serde_json::from_str(&ports)?;
        Ok(Self { ports, ruled })
    }

    /// The bad ones turn bad.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn turn(&mut self) -> anyhow::Result<()> {
        self.ruled.ask(TURN).await.map(drop)
    }

    /// How many different events arrived at the healthy ones.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn count(&mut self) -> anyhow::Result<usize> {
        Ok(self.ruled.ask(COUNT).await?.parse()?)
    }

    /// What arrived at the healthy ones.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn report(&mut self) -> anyhow::Result<Arrivals> {
        Ok(serde_json::from_str(&self.ruled.ask(REPORT).await?)?)
    }
}

/// A program that was built with this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
