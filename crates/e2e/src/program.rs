//! A program of the system, run as a process and ended with its handle.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::log::Log;
use crate::stage::until;

/// How long its probes may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A running program, killed when it is dropped.
pub struct Program {
    child: Child,
    url: String,
    http: Client,
}

impl Program {
    /// Starts it with a port of its own, which the variable `listen` names.
    pub fn start(name: &str, listen: &str, settings: &[(&str, &str)], flags: &[&str]) -> Self {
        let level = std::env::var("E2E_LOG").unwrap_or("warn".into());
        let mut command = Command::new(path_of(name));
        command.env("RUST_LOG", level).args(flags);
        command.envs(settings.iter().copied());
        Self::spawn(name, listen, command.stdout(Stdio::piped()))
    }

    /// Starts it likewise, and keeps all that it says; `RUST_LOG` is among the settings, or not set.
    pub fn start_logged(name: &str, listen: &str, settings: &[(&str, &str)], log: &Log) -> Self {
        let mut command = Command::new(path_of(name));
        command.envs(settings.iter().copied());
        Self::spawn(name, listen, command.stdout(log.sink()).stderr(log.sink()))
    }

    fn spawn(name: &str, listen: &str, command: &mut Command) -> Self {
        let address = free_address();
        let child = command.env(listen, &address).spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}")),
            url: format!("http://{address}"),
            http: Client::builder().timeout(PROBE_TIMEOUT).build().unwrap(),
        }
    }

    /// Where it serves.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it says of a component in `/readyz`; `null` where nobody answers.
    pub async fn component(&self, name: &str) -> Value {
        self.readiness().await["components"][name].clone()
    }

    pub async fn is_ready(&self) -> bool {
        self.readiness().await["ready"] == json!(true)
    }

    async fn readiness(&self) -> Value {
        let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
        match answer {
            Ok(response) => response.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    /// What `/livez` answers: the status, and the text.
    pub async fn liveness(&self) -> (u16, String) {
        let answer = self.http.get(format!("{}/livez", self.url)).send().await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The id of its thread of that name, once there is one.
    pub fn thread(&self, name: &str) -> Option<i32> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let mut threads = threads.filter_map(|thread| Some(thread.ok()?.path()));
        let found = threads.find(|thread| {
            let named = std::fs::read_to_string(thread.join("comm"));
            named.is_ok_and(|named| named.trim_end() == name)
        });
        found?.file_name()?.to_str()?.parse().ok()
    }

    /// What the demo receiver counted, if this is one.
    pub async fn received(&self) -> Value {
        let answer = self.http.get(format!("{}/received", self.url)).send();
        answer.await.unwrap().json().await.unwrap()
    }

    /// All metrics, as Prometheus reads them; nothing where nobody answers.
    pub async fn metrics(&self) -> String {
        let answer = self.http.get(format!("{}/metrics", self.url)).send().await;
        match answer {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The value of a metric, once there is one; its labels are part of `name`.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.metrics().await;
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().parse().ok()
    }

    /// The most memory that was ever resident, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = peak.unwrap().trim().trim_end_matches(" kB");
        kibibytes.parse::<usize>().unwrap() * 1024
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// It stands still, and knows nothing of it.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM, and the exit status.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.exited().await
    }

    /// Waits until it ends by itself, for better or worse.
    pub async fn outcome(mut self) -> ExitStatus {
        self.exited().await
    }

    /// Waits until it ends by itself, well, and returns what it printed.
    pub async fn ended(mut self) -> String {
        assert!(self.exited().await.success());
        self.printed()
    }

    /// SIGTERM, and what it printed until it ended, well.
    pub async fn stopped(self) -> String {
        self.signal("-TERM");
        self.ended().await
    }

    async fn exited(&mut self) -> ExitStatus {
        until("the program ends", async || {
            self.child.try_wait().unwrap().is_some()
        })
        .await;
        self.child.wait().unwrap()
    }

    fn printed(&mut self) -> String {
        std::io::read_to_string(self.child.stdout.take().unwrap()).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only where it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Beside the directory of the test itself.
fn path_of(program: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join(program)
}
