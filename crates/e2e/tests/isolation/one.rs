//! A subscription with settings of its own, and what is seen of it through the API.

use std::time::Duration;

use e2e::program::Program;
use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How fast events are published, a second.
pub const RATE: usize = 500;

pub struct One {
    pub stage: Stage,
    pub receiver: Receiver,
    /// Where the API has the subscription.
    pub path: String,
}

impl One {
    /// Subscribes the path `a` of a receiver, with those settings besides.
    pub async fn with(mut settings: Value) -> Self {
        let (stage, receiver) = (Stage::new().await, Receiver::new().await);
        settings["name"] = json!("one");
        settings["url"] = json!(format!("{}/a", receiver.url));
        let made = stage.post("/subscriptions", &settings).await;
        let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
        Self {
            stage,
            receiver,
            path,
        }
    }

    /// Retries every second or so.
    pub fn processor(&self) -> Program {
        let schedule = ["1s"; 20].join(",");
        self.stage.processor(&[("RETRY_SCHEDULE", &schedule)])
    }

    /// Publishes so many events, and returns when the last is in the log.
    pub async fn publish(&self, count: usize) {
        self.stage.system(count, RATE).ended().await;
    }

    /// The subscription, as the API shows it.
    pub async fn shown(&self) -> Value {
        self.stage.get(&self.path).await
    }

    /// Asks for something to be done with the subscription.
    pub async fn ask(&self, what: &str) -> Value {
        let path = format!("{}/{what}", self.path);
        self.stage.post(&path, &json!({})).await
    }

    pub fn arrived(&self) -> usize {
        self.receiver.distinct("a")
    }

    pub async fn until_arrived(&self, count: usize) {
        until("events arrive", async || self.arrived() >= count).await;
        assert_eq!(self.arrived(), count);
    }

    pub async fn pending(&self) -> i64 {
        let sql = "SELECT count(*) FROM pending_deliveries";
        self.stage.count(sql).await
    }

    /// It is attached to the log again, its circuit is closed, and nothing waits.
    pub async fn until_nothing_is_left(&self) {
        until("nothing is left", async || {
            let shown = self.shown().await;
            let attached = shown["held_back"].is_null() && shown["circuit"]["state"] == "closed";
            attached && self.pending().await == 0
        })
        .await;
    }
}

/// Waits until so long ago was that moment.
pub async fn until_passed(since: Instant, time: Duration) {
    tokio::time::sleep_until(since + time).await;
}
