//! `/events/stream` and `/subscriptions/{id}/tail`.

use std::time::Duration;

use api::{Access, DoorArgs, Live, Log};
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::recorded::Recorded;
use crate::support::{Client, LIVE, LONG, api_live, kafka};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

/// A request that takes longer is cut off; a stream goes on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The API with somebody who reads for those who listen.
struct Stage {
    client: Client,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<()>>,
}

impl Stage {
    fn new(db: PgPool) -> Self {
        let live = Live::new(db.clone(), LIVE);
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        running.spawn(live.clone().run(stop.clone()));
        let access = Access::by_keys(Some(&SecretString::from(ADMIN)));
        let log = Log::new(&kafka("updates"));
        let door = DoorArgs {
            request_timeout: REQUEST_TIMEOUT,
            ..DoorArgs::default()
        };
        let api = api_live(db.clone(), log, access, (live, &door));
        Self {
            client: Client::of(api, db).with_token(ADMIN),
            stop,
            running,
        }
    }
}

/// One who listens.
struct Ear {
    body: BodyDataStream,
    text: String,
}

/// An event as it came: id, name, data.
type Heard = (String, String, Value);

impl Ear {
    async fn new(client: &Client, path: &str, after: Option<&str>) -> Self {
        let mut request = Request::builder().uri(path);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = client.begin(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let mut ear = Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        };
        // The first beat: it listens from now on. What it had missed may come sooner.
        let mut before = String::new();
        loop {
            let block = ear.block().await.expect("a beat");
            if block.contains(": beat") {
                break;
            }
            before = before + &block + "\n\n";
        }
        ear.text.insert_str(0, &before);
        ear
    }

    /// The next block; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let next = tokio::time::timeout(LONG, self.body.next()).await;
            let bytes = next.expect("something in time")?.expect("a piece");
            self.text += str::from_utf8(&bytes).expect("UTF-8");
        }
    }

    /// The next event that is one.
    async fn hear(&mut self) -> Heard {
        loop {
            let block = self.block().await.expect("the stream goes on");
            let field = |name: &str| {
                let lines = block.lines().filter_map(|line| line.strip_prefix(name));
                lines.map(str::trim).collect::<String>()
            };
            if let Ok(data) = serde_json::from_str(&field("data:")) {
                return (field("id:"), field("event:"), data);
            }
        }
    }

    /// The offsets of the next so many, which must be outcomes.
    async fn hear_ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let (_, name, data) = self.hear().await;
            assert_eq!(name, "outcome", "{data}");
            ids.push(data["event_id"].as_str().expect("an id").to_owned());
        }
        ids
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_recorded_is_told_as_it_comes_and_links_to_its_delivery(db: PgPool) {
    let stage = Stage::new(db);
    let mut ear = Ear::new(&stage.client, "/events/stream", None).await;
    let row = Recorded::new(Uuid::now_v7(), 1).failed("dead");
    row.write(&stage.client.db).await;
    let (id, name, data) = ear.hear().await;
    assert_eq!(name, "outcome");
    assert!(id.ends_with(".1"), "{id}");
    for (field, expected) in [
        ("outcome", json!("dead")),
        ("posted", json!(true)),
        ("status", json!(500)),
        ("failure", json!("http_5xx")),
        ("city", json!("Tokyo")),
        ("latency_ms", json!(78.112)),
    ] {
        assert_eq!(data[field], expected, "{field}");
    }
    let delivery = format!(
        "/deliveries/{}",
        data["delivery_id"].as_str().expect("an id")
    );
    let shown = stage.client.get(&delivery).await.json();
    assert_eq!(shown["attempts"][0]["response"], "no disk");
}

#[sqlx::test(migrations = "../../migrations")]
async fn who_comes_back_misses_nothing_not_even_what_was_committed_late(db: PgPool) {
    let stage = Stage::new(db);
    let db = &stage.client.db;
    let mut ear = Ear::new(&stage.client, "/events/stream", None).await;
    // It has an earlier id than all that follows, and ends later.
    let mut late = db.begin().await.expect("a transaction");
    let insert = "INSERT INTO attempts (attempted_at, subscription_id, event_offset, partition,
        number, outcome, topic, event_id) VALUES (now(), $1, 9, 3, 1, 'delivered', 'updates', 'late')";
    let insert = sqlx::query(insert).bind(Uuid::nil());
    insert.execute(&mut *late).await.expect("a row");
    let first = Recorded::new(Uuid::nil(), 1);
    first.write(db).await;
    late.commit().await.expect("committed");
    let (last, _, data) = ear.hear().await;
    drop(ear);
    let mut seen = vec![data["event_id"].as_str().expect("an id").to_owned()];
    for offset in 2..=40 {
        Recorded::new(Uuid::nil(), offset).write(db).await;
    }
    let mut back = Ear::new(&stage.client, "/events/stream", Some(&last)).await;
    seen.extend(back.hear_ids(40).await);
    let mut expected: Vec<String> = (1..=40).map(|at| format!("event-{at}")).collect();
    expected.push("late".into());
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_flush_in_the_middle_of_which_it_ended_is_gone_on_with(db: PgPool) {
    let stage = Stage::new(db);
    let mut ear = Ear::new(&stage.client, "/events/stream", None).await;
    flush(&stage.client, Uuid::nil(), 10).await;
    let (first, second) = (ear.hear().await, ear.hear().await);
    drop(ear);
    let mut back = Ear::new(&stage.client, "/events/stream", Some(&second.0)).await;
    let mut all = back.hear_ids(8).await;
    for heard in [first, second] {
        all.push(heard.2["event_id"].as_str().expect("an id").to_owned());
    }
    all.sort();
    let mut expected: Vec<String> = (1..=10).map(|at| format!("event-{at}")).collect();
    expected.sort();
    assert_eq!(all, expected);
}

/// Records so many in one transaction.
async fn flush(client: &Client, subscription: Uuid, count: i32) {
    let sql =
        "INSERT INTO attempts (attempted_at, subscription_id, event_offset, partition, number,
            outcome, topic, event_id)
        SELECT now(), $1, n, 3, 1, 'delivered', 'updates', 'event-' || n
        FROM generate_series(1, $2) AS n";
    let insert = sqlx::query(sql).bind(subscription).bind(count);
    insert.execute(&client.db).await.expect("rows");
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_more_than_can_be_told_it_is_told_how_many_are_left_out(db: PgPool) {
    const MANY: i32 = 7_000;
    let stage = Stage::new(db);
    let busy = stage.client.subscription("busy").await;
    let quiet = stage.client.subscription("quiet").await;
    let mut ear = Ear::new(&stage.client, &format!("/subscriptions/{busy}/tail"), None).await;
    let mut other = Ear::new(&stage.client, &format!("/subscriptions/{quiet}/tail"), None).await;
    flush(&stage.client, busy, MANY).await;
    let (mut told, mut left_out) = (0, 0);
    while told + left_out < i64::from(MANY) {
        let (_, name, data) = ear.hear().await;
        match name.as_str() {
            "outcome" => told += 1,
            _ => left_out += data["count"].as_i64().expect("a number"),
        }
    }
    assert_eq!(told + left_out, i64::from(MANY));
    assert!((100..=500).contains(&told), "{told}");
    // Another's flood is nothing to who listens to what is quiet.
    Recorded::new(quiet, 1).write(&stage.client.db).await;
    assert_eq!(other.hear_ids(1).await, ["event-1"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn who_does_not_read_holds_nobody_up_and_is_told_what_it_missed(db: PgPool) {
    let stage = Stage::new(db);
    let mut slow = Ear::new(&stage.client, "/events/stream", None).await;
    let mut quick = Ear::new(&stage.client, "/events/stream", None).await;
    // More looks than are kept for who is slow.
    for offset in 1..=30 {
        Recorded::new(Uuid::nil(), offset)
            .write(&stage.client.db)
            .await;
        assert_eq!(quick.hear_ids(1).await, [format!("event-{offset}")]);
    }
    let expected: Vec<String> = (1..=30).map(|at| format!("event-{at}")).collect();
    assert_eq!(slow.hear_ids(30).await, expected);
}

async fn subscriber(admin: &Client, owner: &str) -> Client {
    let body = json!({"name": owner, "role": "subscriber", "owner": owner});
    let made = admin.post("/api-keys", &body).await.json();
    admin
        .clone()
        .with_token(made["key"].as_str().expect("a key"))
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_owner_hears_of_its_own_and_takes_no_more_places_than_its_share(db: PgPool) {
    let stage = Stage::new(db);
    let (acme, other) = (
        subscriber(&stage.client, "acme").await,
        subscriber(&stage.client, "other").await,
    );
    let (own, theirs) = (acme.subscription("a").await, other.subscription("a").await);
    let mut ear = Ear::new(&acme, "/events/stream", None).await;
    Recorded::new(theirs, 1).write(&stage.client.db).await;
    Recorded::new(own, 2).write(&stage.client.db).await;
    assert_eq!(ear.hear_ids(1).await, ["event-2"]);
    let not_theirs = acme.get(&format!("/subscriptions/{theirs}/tail")).await;
    assert_eq!(not_theirs.status, StatusCode::NOT_FOUND);

    let _second = Ear::new(&acme, &format!("/subscriptions/{own}/tail"), None).await;
    let refused = acme.get("/events/stream").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.json()["code"], "too_many_listeners");
    let _third = Ear::new(&other, "/events/stream", None).await;
    let _fourth = Ear::new(&stage.client, "/events/stream", None).await;
    let refused = stage.client.get("/events/stream").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    drop(ear);
    let _again = Ear::new(&acme, "/events/stream", None).await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_stop_ends_all_streams(db: PgPool) {
    let mut stage = Stage::new(db);
    let mut ears = Vec::new();
    for _ in 0..3 {
        ears.push(Ear::new(&stage.client, "/events/stream", None).await);
    }
    stage.stop.cancel();
    let ended = stage.running.join_next().await.expect("a task");
    assert!(ended.expect("it ends well").is_ok());
    for mut ear in ears {
        while ear.block().await.is_some() {}
    }
}
