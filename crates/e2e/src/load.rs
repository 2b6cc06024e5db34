//! Load on a stage: events for two subscriptions, and whether all arrived.

use crate::program::Program;
use crate::receiver::Receiver;
use crate::stage::{FLUSH_OUTCOMES, IN_FLIGHT, Stage, until};

pub const EVENTS: usize = 4000;

/// So many that they are still being published when two outages are over.
pub const OUTLASTING: usize = 3 * EVENTS;

const RATE: usize = 800;
const PATHS: [&str; 2] = ["a", "b"];

/// How much is in flight at most.
pub const ALL_IN_FLIGHT: usize = PATHS.len() * IN_FLIGHT;

/// What one kill may repeat: what was in flight, a flush that is written and one that gathers.
pub const PER_KILL: usize = 2 * (ALL_IN_FLIGHT + FLUSH_OUTCOMES);

/// A stage and a receiver that subscribed twice.
pub struct Load {
    pub stage: Stage,
    pub receiver: Receiver,
    events: usize,
}

impl Load {
    /// So many events, of which none is published yet.
    pub async fn of(events: usize) -> Self {
        let (stage, receiver) = (Stage::new().await, Receiver::new().await);
        for path in PATHS {
            let url = format!("{}/{path}", receiver.url);
            stage.subscribe(path, &url).await;
        }
        Self {
            stage,
            receiver,
            events,
        }
    }

    /// Publishes them, over some seconds.
    pub fn publish(&self) -> Program {
        self.stage.system(self.events, RATE)
    }

    /// How many deliveries there will be.
    pub fn deliveries(&self) -> usize {
        PATHS.len() * self.events
    }

    pub fn arrived(&self) -> usize {
        PATHS.iter().map(|path| self.receiver.distinct(path)).sum()
    }

    pub async fn until_arrived(&self, least: usize) {
        until("events arrive", async || self.arrived() >= least).await;
    }

    /// Nothing is missing, nothing is left over.
    pub async fn all_arrived(&self) {
        for path in PATHS {
            until("all arrive", async || {
                self.receiver.distinct(path) == self.events
            })
            .await;
        }
        until("nothing is pending", async || {
            let waiting = self.stage.count("SELECT count(*) FROM pending_deliveries");
            waiting.await == 0
        })
        .await;
        let dead = self.stage.count("SELECT count(*) FROM dead_letters");
        assert_eq!(dead.await, 0);
    }

    /// No more was sent twice than that.
    pub fn repeated_at_most(&self, bound: usize) {
        let repeated = self.receiver.duplicates();
        assert!(repeated <= bound, "{repeated} were repeated");
    }
}
