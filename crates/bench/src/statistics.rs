//! What the statistics cost: to ask for, over a database that is full of them, and to count.
//!
//! `fill` makes the database by SQL, `ask` calls the API's own routes without a network, `counting`
//! holds what the counters add against what the record of the same attempts takes.

pub mod ask;
pub mod counting;
pub mod fill;

use std::time::Duration;

use tokio::time::Instant;

/// How long something took, several times.
#[derive(Clone, Debug, Default)]
pub struct Taken(Vec<Duration>);

impl Taken {
    /// Since then.
    pub fn add(&mut self, since: Instant) {
        self.0.push(since.elapsed());
    }

    /// Half of them took no longer, in milliseconds.
    pub fn median_ms(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let middle = sorted.get(sorted.len() / 2).copied();
        middle.unwrap_or_default().as_secs_f64() * 1000.0
    }

    /// The longest, in milliseconds.
    pub fn longest_ms(&self) -> f64 {
        let longest = self.0.iter().max().copied();
        longest.unwrap_or_default().as_secs_f64() * 1000.0
    }
}
