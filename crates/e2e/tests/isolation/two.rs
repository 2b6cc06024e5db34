//! Two subscriptions, whose receivers can be well or not, and what is seen of them.

use e2e::program::Program;
use e2e::receiver::Receiver;
use e2e::stage::{PARTITIONS, Stage, until};

/// How many events there are.
pub const EVENTS: usize = 4000;
const RATE: usize = 1000;

/// More pending deliveries than this are not left by a receiver that fails: what it took to open
/// its circuit, and what was in flight.
pub const MOST_PENDING: i64 = 100;

pub struct Two {
    pub stage: Stage,
    pub ill: Receiver,
    pub well: Receiver,
}

impl Two {
    pub async fn new() -> Self {
        let stage = Stage::new().await;
        let (ill, well) = (Receiver::new().await, Receiver::new().await);
        stage.subscribe("ill", &format!("{}/a", ill.url)).await;
        stage.subscribe("well", &format!("{}/a", well.url)).await;
        Self { stage, ill, well }
    }

    /// Retries soon, so that pending deliveries do not outlast a test.
    pub fn processor(&self) -> Program {
        let schedule = "1s,2s,5s,10s,10s,10s,10s,10s,10s,10s";
        self.stage.processor(&[("RETRY_SCHEDULE", schedule)])
    }

    pub fn publish(&self) -> Program {
        self.stage.system(EVENTS, RATE)
    }

    /// The one that is well gets all, whatever becomes of the other.
    pub async fn until_well_has_all(&self) {
        until("the one that is well has all", async || {
            self.well.distinct("a") == EVENTS
        })
        .await;
    }

    /// In how many partitions a subscription is detached.
    pub async fn detached(&self) -> i64 {
        let sql = "SELECT count(*) FROM cursors WHERE end_offset IS NULL";
        self.stage.count(sql).await
    }

    pub async fn until_detached(&self) {
        until("it is detached everywhere", async || {
            self.detached().await == i64::from(PARTITIONS)
        })
        .await;
    }

    pub async fn pending(&self) -> i64 {
        self.stage
            .count("SELECT count(*) FROM pending_deliveries")
            .await
    }

    /// Both have everything, and nothing is left over.
    pub async fn until_all_is_well(&self) {
        self.until_well_has_all().await;
        until("the one that was ill has all", async || {
            self.ill.distinct("a") == EVENTS
        })
        .await;
        until("nothing is left over", async || {
            let left = "SELECT (SELECT count(*) FROM cursors) + (SELECT count(*) FROM circuits)";
            self.pending().await == 0 && self.stage.count(left).await == 0
        })
        .await;
        let dead = self.stage.count("SELECT count(*) FROM dead_letters");
        assert_eq!(dead.await, 0);
    }
}
