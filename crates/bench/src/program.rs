//! The programs under load, each a process that ends with its handle.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::figures::Arrivals;
use crate::receiver::{COUNT, Ports, REPORT, TURN};

/// The length of a tick in `/proc/*/stat`, which Linux fixes for programs.
const TICKS_A_SECOND: f64 = 100.0;

/// Where `utime` is in `/proc/*/stat`, counted after the name, which ends with a bracket; `stime`
/// comes next.
const UTIME: usize = 11;

/// A running processor.
#[derive(Debug)]
pub struct Processor(Child);

impl Processor {
    /// Starts one, whose log goes to a file.
    ///
    /// # Errors
    /// That it cannot be started.
    pub fn start(settings: &[(&str, &str)], log: &Path) -> anyhow::Result<Self> {
        let log = File::create(log).with_context(|| format!("creating {}", log.display()))?;
        let child = Command::new(beside("processor")?)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        Ok(Self(child.context("starting the processor")?))
    }

    /// Fails when it has ended.
    ///
    /// # Errors
    /// That it has.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.0.try_wait()?;
        ensure!(ended.is_none(), "the processor ended by itself");
        Ok(())
    }

    /// The most memory that was ever resident, in MiB.
    ///
    /// # Errors
    /// That it is gone.
    pub fn peak_memory_mib(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.context("VmHWM")?.trim().trim_end_matches(" kB");
        Ok(kib.parse::<u64>()? / 1024)
    }

    /// How much processor time it has had.
    ///
    /// # Errors
    /// That it is gone.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        let (_, after_name) = stat.rsplit_once(')').context("a name in brackets")?;
        let fields = after_name.split_whitespace().skip(UTIME).take(2);
        let ticks: Vec<f64> = fields.map(str::parse).collect::<Result<_, _>>()?;
        let sum: f64 = ticks.iter().sum();
        Ok(Duration::from_secs_f64(sum / TICKS_A_SECOND))
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let pid = self.0.id().context("the processor ended by itself")?;
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).context("reading /proc")
    }

    /// SIGKILL: what it has not delivered is no business of the case any more.
    ///
    /// # Errors
    /// That it cannot be waited for.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill().await.context("ending the processor")
    }
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub ports: Ports,
    // Ends when its input does, and with its handle.
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Receiver {
    /// Starts one, and hears where it listens.
    ///
    /// # Errors
    /// That it cannot be started.
    pub async fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(beside("bench-receiver")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the receiver")?;
        let input = child.stdin.take().context("its input is piped")?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut output = BufReader::new(output).lines();
        let ports = output
            .next_line()
            .await?
            .context("the receiver ended by itself")?;
        Ok(Self {
            ports: serde_json::from_str(&ports)?,
            _child: child,
            input,
            output,
        })
    }

    /// The bad ones turn bad.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn turn(&mut self) -> anyhow::Result<()> {
        self.ask(TURN).await.map(drop)
    }

    /// How many different events arrived at the healthy ones.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn count(&mut self) -> anyhow::Result<usize> {
        Ok(self.ask(COUNT).await?.parse()?)
    }

    /// What arrived at the healthy ones.
    ///
    /// # Errors
    /// That it is gone.
    pub async fn report(&mut self) -> anyhow::Result<Arrivals> {
        Ok(serde_json::from_str(&self.ask(REPORT).await?)?)
    }

    async fn ask(&mut self, line: &str) -> anyhow::Result<String> {
        let line = format!("{line}\n");
        self.input
            .write_all(line.as_bytes())
            .await
            .context("telling the receiver")?;
        self.output
            .next_line()
            .await?
            .context("the receiver ended by itself")
    }
}

/// A program that was built with this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
