//! A stretch of the past is sent again, to one subscription, until it is completed or cancelled.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use e2e::receiver::{Arrival, Receiver};
use e2e::stage::until;
use serde_json::{Value, json};

use crate::one::One;

/// How many events there are before, in and after the stretch.
const BEFORE: usize = 50;
const WITHIN: usize = 600;
const AFTER: usize = 50;
const ALL: usize = BEFORE + WITHIN + AFTER;

/// A subscription that got everything, and a stretch of its past.
struct Past {
    one: One,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    within: HashSet<String>,
}

impl Past {
    async fn new(one: One) -> Self {
        one.publish(BEFORE).await;
        one.until_arrived(BEFORE).await;
        let since = Utc::now();
        let before = ids(&one.receiver.arrivals("a"));
        one.publish(WITHIN).await;
        one.until_arrived(BEFORE + WITHIN).await;
        let until = Utc::now();
        let within = &ids(&one.receiver.arrivals("a")) - &before;
        one.publish(AFTER).await;
        one.until_arrived(ALL).await;
        Self {
            one,
            since,
            until,
            within,
        }
    }

    async fn replay(&self, more: Value) -> Value {
        let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut asked = more;
        asked["since"] = json!(written(self.since));
        asked["until"] = json!(written(self.until));
        let path = format!("{}/replay", self.one.path);
        self.one.stage.post(&path, &asked).await
    }

    /// What was sent by that replay.
    fn replayed(&self, replay: &Value) -> Vec<Arrival> {
        let mut arrivals = self.one.receiver.arrivals("a");
        arrivals.retain(|arrival| arrival.replay.as_deref() == replay["id"].as_str());
        arrivals
    }

    async fn until_state(&self, replay: &Value, state: &str) -> Value {
        let path = format!("/replays/{}", replay["id"].as_str().unwrap());
        until(state, async || {
            self.one.stage.get(&path).await["state"] == state
        })
        .await;
        self.one.stage.get(&path).await
    }
}

fn ids(arrivals: &[Arrival]) -> HashSet<String> {
    arrivals.iter().map(|arrival| arrival.id.clone()).collect()
}

#[tokio::test]
async fn a_stretch_of_the_past_goes_to_one_subscription_again() {
    let one = One::with(json!({})).await;
    let other = Receiver::new().await;
    let url = format!("{}/b", other.url);
    one.stage.subscribe("other", &url).await;
    let _processor = one.processor();
    let past = Past::new(one).await;
    let replay = past.replay(json!({})).await;
    assert_eq!(replay["count"], WITHIN, "{replay}");
    let completed = past.until_state(&replay, "completed").await;
    assert_eq!(
        (&completed["progress"], &completed["settled"]),
        (&json!(1.0), &json!(WITHIN))
    );
    assert_eq!(ids(&past.replayed(&replay)), past.within);
    assert_eq!(past.one.receiver.duplicates(), WITHIN);
    until("the other has all", async || other.distinct("b") == ALL).await;
    assert_eq!(other.duplicates(), 0);
    past.one.until_nothing_is_left().await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_sent_and_sends_nothing() {
    let one = One::with(json!({})).await;
    let _processor = one.processor();
    let past = Past::new(one).await;
    let dry_run = past.replay(json!({"dry_run": true})).await;
    assert_eq!(
        (&dry_run["matching"], &dry_run["exact"]),
        (&json!(WITHIN), &json!(true))
    );
    let replays = past.one.stage.get("/replays").await;
    assert_eq!(replays, json!({"items": []}));
    // Whatever it had sent would have gone before this.
    past.one.publish(AFTER).await;
    past.one.until_arrived(ALL + AFTER).await;
    assert_eq!(past.one.receiver.duplicates(), 0);
}

#[tokio::test]
async fn a_replay_that_is_cancelled_stops() {
    let one = One::with(json!({})).await;
    let _processor = one.processor();
    let past = Past::new(one).await;
    let replay = past.replay(json!({"rate": 20})).await;
    until("it runs", async || past.replayed(&replay).len() >= 10).await;
    let path = format!("/replays/{}/cancel", replay["id"].as_str().unwrap());
    let cancelled = past.one.stage.post(&path, &json!({})).await;
    assert_eq!(cancelled["state"], "cancelled");
    // A change is in force within a second; then the rate would have let forty more through.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sent = past.replayed(&replay).len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(past.replayed(&replay).len(), sent);
    assert!(sent < WITHIN / 2, "{sent}");
    past.one.until_nothing_is_left().await;
    past.one.publish(AFTER).await;
    past.one.until_arrived(ALL + AFTER).await;
}

#[tokio::test]
async fn what_a_cancelled_replay_would_try_again_is_dropped() {
    let one = One::with(json!({})).await;
    let _processor = one.processor();
    let past = Past::new(one).await;
    past.one.receiver.answer(422);
    let replay = past.replay(json!({"rate": 50})).await;
    until("it waits to be tried again", async || {
        past.one.pending().await >= 10
    })
    .await;
    let path = format!("/replays/{}/cancel", replay["id"].as_str().unwrap());
    past.one.stage.post(&path, &json!({})).await;
    past.one.until_nothing_is_left().await;
    past.one.receiver.answer(200);
    past.one.publish(AFTER).await;
    past.one.until_arrived(ALL + AFTER).await;
    past.one.until_nothing_is_left().await;
    assert_eq!(past.replayed(&replay).len(), 0);
}

#[tokio::test]
async fn killed_in_the_middle_of_a_replay_nothing_is_missing() {
    let one = One::with(json!({})).await;
    let processor = one.processor();
    let past = Past::new(one).await;
    let replay = past.replay(json!({"rate": 200})).await;
    let replayed = || ids(&past.replayed(&replay)).len();
    until("it runs", async || replayed() >= WITHIN / 6).await;
    processor.kill();
    let processor = past.one.processor();
    until("it goes on", async || replayed() >= WITHIN / 2).await;
    processor.kill();
    let _processor = past.one.processor();
    past.until_state(&replay, "completed").await;
    assert_eq!(ids(&past.replayed(&replay)), past.within);
}
