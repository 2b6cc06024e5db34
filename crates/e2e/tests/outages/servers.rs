//! The servers of the tests, as `scripts/infra` runs them.

use std::process::Command;

use tokio::sync::{Mutex, MutexGuard};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/infra");

static TURN: Mutex<()> = Mutex::const_new(());

/// The right to disturb the servers. Whatever was done to them, they run again when it is dropped.
pub struct Servers(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Servers {
    /// Waits for its turn.
    pub async fn new() -> Self {
        Self(TURN.lock().await)
    }

    /// Runs a command of the script, such as `stop-kafka`.
    pub async fn run(&self, command: &str) {
        let command = command.to_owned();
        let ran = tokio::task::spawn_blocking(move || infra(&command));
        assert!(ran.await.unwrap());
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        infra("start");
    }
}

/// Whether the command succeeded.
fn infra(command: &str) -> bool {
    let mut script = Command::new(SCRIPT);
    script.args(["--instance", "test", command]);
    script.status().unwrap().success()
}
