//! The record against what the receiver saw: looked back at, and as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};
use tokio::time::Instant;

const CITIES: [&str; 3] = ["Oslo", "Rome", "Lima"];

/// How many events there are: a third of each city.
const EVENTS: usize = 30;

/// How old what expires has to be.
const MAX_AGE: Duration = Duration::from_secs(1);

fn event(number: usize) -> Vec<u8> {
    let event = json!({
        "id": format!("event-{number}"), "city": CITIES[number % 3], "reading": number, "unit": "C",
        "timestamp": "2026-11-23T21:00:00Z",
    });
    event.to_string().into_bytes()
}

/// A subscription, by what it is called: its path at the receiver too.
async fn subscribe(stage: &Stage, receiver: &Receiver, name: &str, policy: Value) -> String {
    let mut body = json!({"name": name, "url": format!("{}/{name}", receiver.url)});
    let fields = body.as_object_mut().unwrap();
    fields.extend(policy.as_object().unwrap().clone());
    let made = stage.post("/subscriptions", &body).await;
    made["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{made}"))
        .into()
}

/// Its deliveries, of that status or of any.
async fn deliveries(stage: &Stage, id: &str, status: Option<&str>) -> Vec<Value> {
    let status = status.map_or(String::new(), |status| format!("&status={status}"));
    let path = format!("/deliveries?limit=1000&subscription_id={id}{status}");
    let page = stage.get(&path).await;
    page["items"].as_array().cloned().unwrap_or_default()
}

async fn switch(stage: &Stage, id: &str, to: &str) {
    let path = format!("/subscriptions/{id}/{to}");
    stage.post(&path, &json!({})).await;
}

/// How often each status is there.
fn statuses(deliveries: &[Value]) -> BTreeMap<String, usize> {
    let mut statuses = BTreeMap::new();
    for delivery in deliveries {
        let status = delivery["status"].as_str().unwrap().to_owned();
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

fn counted<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    let owned = expected.map(|(status, count)| (status.to_owned(), count));
    BTreeMap::from(owned)
}

/// What arrived at a path: how often each event, by the replay that sent it.
fn arrived(receiver: &Receiver, path: &str) -> BTreeMap<(String, Option<String>), usize> {
    let mut arrived = BTreeMap::new();
    for arrival in receiver.arrivals(path) {
        *arrived.entry((arrival.id, arrival.replay)).or_default() += 1;
    }
    arrived
}

/// What the record says arrived: attempts of each delivery that were answered with 200.
async fn recorded(stage: &Stage, id: &str) -> BTreeMap<(String, Option<String>), usize> {
    let mut recorded = BTreeMap::new();
    for delivery in deliveries(stage, id, None).await {
        let path = format!("/deliveries/{}", delivery["id"].as_str().unwrap());
        let whole = stage.get(&path).await;
        let attempts = whole["attempts"].as_array().unwrap();
        let good = attempts.iter().filter(|it| it["status"] == 200).count();
        if good > 0 {
            let text = |field: &str| delivery[field].as_str().map(str::to_owned);
            recorded.insert((text("event_id").unwrap(), text("replay_id")), good);
        }
    }
    recorded
}

/// Three subscriptions and what they get: `plain` everything, `late` and `newest` what their policy
/// lets through when they come back.
struct Three {
    stage: Stage,
    receiver: Receiver,
    plain: String,
    late: String,
    newest: String,
}

impl Three {
    async fn new() -> Self {
        let (stage, receiver) = (Stage::new().await, Receiver::new().await);
        let late = json!({"max_age": "1s"});
        let newest = json!({"coalesce": "latest_per_key"});
        let three = Self {
            plain: subscribe(&stage, &receiver, "plain", json!({})).await,
            late: subscribe(&stage, &receiver, "late", late).await,
            newest: subscribe(&stage, &receiver, "newest", newest).await,
            stage,
            receiver,
        };
        for id in [&three.late, &three.newest] {
            switch(&three.stage, id, "pause").await;
        }
        three
    }

    /// Asks, twice, for all that is dead.
    async fn retry_dead(&self) {
        for dead in deliveries(&self.stage, &self.plain, Some("dead")).await {
            let path = format!("/deliveries/{}/retry", dead["id"].as_str().unwrap());
            for _ in 0..2 {
                self.stage.post(&path, &json!({})).await;
            }
        }
    }

    /// Replays everything to `plain`.
    async fn replay(&self) {
        let path = format!("/subscriptions/{}/replay", self.plain);
        let all = json!({"since": "2020-01-01T00:00:00Z"});
        let refused = self.stage.post(&path, &all).await;
        let all = json!({"since": refused["earliest"]});
        self.stage.post(&path, &all).await;
    }

    async fn until_all_have_come_to_their_ends(&self) {
        let newest = counted([("delivered", 3), ("superseded", EVENTS - 3)]);
        for (id, expected) in [
            (&self.plain, counted([("delivered", 2 * EVENTS)])),
            (&self.late, counted([("expired", EVENTS)])),
            (&self.newest, newest),
        ] {
            until("each has come to its end", async || {
                statuses(&deliveries(&self.stage, id, None).await) == expected
            })
            .await;
        }
    }

    /// What is told of the attempts at each delivery of Oslo that was not replayed.
    async fn attempts_of_oslo(&self) -> Vec<Value> {
        let mut told = Vec::new();
        for delivery in deliveries(&self.stage, &self.plain, None).await {
            if delivery["city"] != "Oslo" || !delivery["replay_id"].is_null() {
                continue;
            }
            let path = format!("/deliveries/{}", delivery["id"].as_str().unwrap());
            told.push(self.stage.get(&path).await["attempts"].clone());
        }
        told
    }
}

#[tokio::test]
async fn what_the_record_says_of_each_delivery_is_what_the_receiver_saw() {
    let three = Three::new().await;
    let (stage, receiver) = (&three.stage, &three.receiver);
    receiver.refuse(Some("Oslo"));
    let _processor = stage.processor(&[("RETRY_SCHEDULE", "1s"), ("PENDING_POLL", "200ms")]);
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    stage.broker.publish(&events);
    let published_at = Instant::now();
    until("what is refused is dead", async || {
        let dead = deliveries(stage, &three.plain, Some("dead")).await;
        dead.len() == EVENTS / 3
    })
    .await;

    receiver.refuse(None);
    three.retry_dead().await;
    until(
        "what was dead arrives, and the rest grows old",
        async || receiver.distinct("plain") == EVENTS && published_at.elapsed() > 2 * MAX_AGE,
    )
    .await;
    for id in [&three.late, &three.newest] {
        switch(stage, id, "resume").await;
    }
    three.replay().await;
    three.until_all_have_come_to_their_ends().await;

    for (id, path) in [
        (&three.plain, "plain"),
        (&three.late, "late"),
        (&three.newest, "newest"),
    ] {
        assert_eq!(recorded(stage, id).await, arrived(receiver, path), "{path}");
    }
    let of_oslo = three.attempts_of_oslo().await;
    assert_eq!(of_oslo.len(), EVENTS / 3);
    for attempts in of_oslo {
        let told = attempts.as_array().unwrap().iter();
        let told = told.map(|it| json!([it["number"], it["posted"], it["outcome"], it["status"]]));
        // Refused twice, then asked for, then delivered.
        let expected = [
            json!([1, true, "pending", 422]),
            json!([2, true, "dead", 422]),
            json!([0, false, "pending", null]),
            json!([1, true, "delivered", 200]),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        let signature = &attempts[0]["request_headers"]["webhook-signature"];
        assert_eq!(signature, "[redacted]");
    }
    let event = stage.get("/events/event-4").await;
    assert_eq!(event["payload_from"], "topic", "{event}");
    assert_eq!(event["payload"]["reading"], 4);
    assert_eq!(event["deliveries"].as_array().map(Vec::len), Some(4));
}

/// How many events are streamed, and how fast they come.
const STREAMED: usize = 1_200;
const RATE: usize = 200;

/// One who follows a stream.
struct Ear {
    response: reqwest::Response,
    text: String,
    last_id: String,
}

impl Ear {
    async fn new(stage: &Stage, path: &str, after: Option<&str>) -> Self {
        Self {
            response: stage.open(path, after).await,
            text: String::new(),
            last_id: String::new(),
        }
    }

    /// The next event: its data.
    async fn hear(&mut self) -> Value {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                for line in block.lines() {
                    if let Some(id) = line.strip_prefix("id: ") {
                        id.clone_into(&mut self.last_id);
                    }
                }
                let data = block.lines().find_map(|line| line.strip_prefix("data: "));
                if let Some(data) = data {
                    return serde_json::from_str(data).unwrap();
                }
            }
            let piece = self.response.chunk().await.unwrap().expect("it goes on");
            self.text += str::from_utf8(&piece).unwrap();
        }
    }

    /// Hears until it knows so many events.
    async fn hear_until(&mut self, heard: &mut BTreeSet<String>, count: usize) {
        while heard.len() < count {
            let data = self.hear().await;
            let id = data["event_id"].as_str();
            let id = id.unwrap_or_else(|| panic!("left out: {data}"));
            heard.insert(id.to_owned());
        }
    }
}

#[tokio::test]
async fn who_follows_misses_nothing_and_who_does_not_read_holds_nobody_up() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    let id = stage
        .subscribe("plain", &format!("{}/a", receiver.url))
        .await;
    let _processor = stage.processor(&[]);
    // Else all that comes until it has begun comes at once, and a part of that is left out.
    until("the processor owns the topic", async || {
        stage.owners().await == 1
    })
    .await;
    let slow = stage.open("/events/stream", None).await;
    let tail = format!("/subscriptions/{id}/tail");
    let mut heard = BTreeSet::new();
    let mut ear = Ear::new(&stage, &tail, None).await;
    let system = stage.system(STREAMED, RATE);
    ear.hear_until(&mut heard, STREAMED / 4).await;
    let last_id = ear.last_id.clone();
    drop(ear);
    until("half of it is delivered while nobody listens", async || {
        receiver.distinct("a") > STREAMED / 2
    })
    .await;
    let mut back = Ear::new(&stage, &tail, Some(&last_id)).await;
    back.hear_until(&mut heard, STREAMED).await;
    drop(system.ended().await);
    until("all is delivered", async || {
        receiver.distinct("a") >= STREAMED
    })
    .await;
    // One reads still, and the other never did.
    assert!(stage.stopped().await.success());
    drop((slow, back));
}
