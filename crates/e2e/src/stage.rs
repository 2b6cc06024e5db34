//! A stage for one test: a database, a topic and a consumer group of its own, and the programs.

use std::process::ExitStatus;
use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

use crate::broker::Broker;
use crate::log::Log;
use crate::program::Program;

/// How long anything is waited for; no test waits that long unless it fails.
pub const LONG: Duration = Duration::from_mins(2);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The shortest session timeout a broker allows by default.
const SESSION_TIMEOUT: &str = "6s";

/// Where a processor is told what to listen at.
const PROCESSOR_LISTEN: &str = "PROCESSOR_ADMIN_LISTEN";

/// How many outcomes one flush takes here: it bounds what a kill may repeat.
pub const FLUSH_OUTCOMES: usize = 200;

/// Requests in flight to one subscription.
pub const IN_FLIGHT: usize = 16;

/// How many partitions a topic has.
pub const PARTITIONS: i32 = 4;

pub struct Stage {
    pub broker: Broker,
    pub database_url: String,
    http: Client,
    // Ended with the stage.
    api: Program,
}

impl Stage {
    /// A stage with a topic.
    pub async fn new() -> Self {
        let stage = Self::without_topic().await;
        stage.broker.create_topic(PARTITIONS, &[]).await;
        stage
    }

    pub async fn without_topic() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let server = setting("TEST_DATABASE_URL");
        let name = format!("e2e_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut admin).await.unwrap();
        let database_url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        let brokers = setting("TEST_KAFKA_BROKERS");
        let settings = [
            ("DATABASE_URL", &*database_url),
            ("KAFKA_BROKERS", &*brokers),
            ("KAFKA_TOPIC", &*name),
            ("SECRETS_KEYS", SECRETS_KEYS),
            ("AUTH", "off"),
        ];
        let stage = Self {
            api: Program::start("api", "API_LISTEN", &settings, &[]),
            broker: Broker {
                brokers,
                topic: name,
            },
            database_url,
            http: Client::builder().timeout(LONG).build().unwrap(),
        };
        until("the API is ready", async || stage.api.is_ready().await).await;
        stage
    }

    /// A processor that flushes little at a time, with those settings besides.
    pub fn processor(&self, settings: &[(&str, &str)]) -> Program {
        self.processor_by(settings, |all| {
            Program::start("processor", PROCESSOR_LISTEN, all, &[])
        })
    }

    /// Likewise, and keeps what it says at that level; `RUST_LOG` has the syntax.
    pub fn processor_logged(&self, level: &str, settings: &[(&str, &str)], log: &Log) -> Program {
        let settings = [settings, &[("RUST_LOG", level)]].concat();
        self.processor_by(&settings, |all| {
            Program::start_logged("processor", PROCESSOR_LISTEN, all, log)
        })
    }

    fn processor_by(
        &self,
        settings: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Program,
    ) -> Program {
        let (flush, in_flight) = (FLUSH_OUTCOMES.to_string(), IN_FLIGHT.to_string());
        let operations = self.operations_topic();
        let mut all = self.settings();
        all.extend([
            ("KAFKA_GROUP", &*self.broker.topic),
            ("OPERATIONS_TOPIC", &*operations),
            ("KAFKA_SESSION_TIMEOUT", SESSION_TIMEOUT),
            ("FLUSH_OUTCOMES", &*flush),
            ("LANE_IN_FLIGHT", &*in_flight),
            ("LEASE", "20s"),
        ]);
        all.extend_from_slice(settings);
        start(&all)
    }

    /// What every program here is told.
    pub fn settings(&self) -> Vec<(&str, &str)> {
        vec![
            ("DATABASE_URL", &*self.database_url),
            ("KAFKA_BROKERS", &*self.broker.brokers),
            ("KAFKA_TOPIC", &*self.broker.topic),
            ("SECRETS_KEYS", SECRETS_KEYS),
            ("AUTH", "off"),
        ]
    }

    /// The topic of operational events, beside that of readings.
    pub fn operations_topic(&self) -> String {
        format!("{}-operations", self.broker.topic)
    }

    /// A system that publishes so many events at that rate.
    pub fn system(&self, count: usize, rate: usize) -> Program {
        let (count, rate) = (count.to_string(), rate.to_string());
        self.system_with(&["--count", &count, "--rate", &rate])
    }

    pub fn system_with(&self, flags: &[&str]) -> Program {
        self.system_told(&[], flags)
    }

    /// Likewise, with those settings besides.
    pub fn system_told(&self, told: &[(&str, &str)], flags: &[&str]) -> Program {
        let mut settings = vec![
            ("KAFKA_BROKERS", &*self.broker.brokers),
            ("KAFKA_TOPIC", &*self.broker.topic),
        ];
        settings.extend_from_slice(told);
        Program::start("system", "SYSTEM_ADMIN_LISTEN", &settings, flags)
    }

    /// The demo receiver, which takes only what is signed with that secret.
    pub async fn webhook(&self, secret: &str) -> Program {
        let settings = [("WEBHOOK_SECRET", secret), ("WEBHOOK_QUIET", "true")];
        let webhook = Program::start("webhook", "WEBHOOK_LISTEN", &settings, &[]);
        until("the receiver is ready", async || webhook.is_ready().await).await;
        webhook
    }

    /// A setting under which no secret of this stage opens.
    pub fn without_its_keys(&self) -> (&'static str, &'static str) {
        ("SECRETS_KEYS", OTHER_KEYS)
    }

    /// Subscribes a URL; its id.
    pub async fn subscribe(&self, name: &str, url: &str) -> String {
        let body = json!({"name": name, "url": url});
        let made = self.post("/subscriptions", &body).await;
        made["id"].as_str().unwrap().to_owned()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.api.url()));
        let answer = request.json(body).send().await;
        answer.unwrap().json().await.unwrap()
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        let request = self.http.patch(format!("{}{path}", self.api.url()));
        let answer = request.json(body).send().await;
        answer.unwrap().json().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.api.url()));
        request.send().await.unwrap().json().await.unwrap()
    }

    /// What the API answers, as it is.
    pub async fn text(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.api.url()));
        request.send().await.unwrap().text().await.unwrap()
    }

    /// A stream of events, from after that one on.
    pub async fn open(&self, path: &str, after: Option<&str>) -> Response {
        let mut request = self.http.get(format!("{}{path}", self.api.url()));
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        request.send().await.unwrap()
    }

    /// Stops the API; how it ended.
    pub async fn stopped(self) -> ExitStatus {
        self.api.stop().await
    }

    /// The dead letters, up to 1,000.
    pub async fn dead_letters(&self) -> Vec<Value> {
        let page = self.get("/dlqs?limit=1000").await;
        page["items"].as_array().cloned().unwrap_or_default()
    }

    /// A connection to the database.
    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.database_url).await.unwrap()
    }

    /// One number out of the database.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut db = self.database().await;
        sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
    }

    /// How many offsets of the topic of readings are settled, or passed by.
    pub async fn passed(&self) -> usize {
        usize::try_from(self.count(PASSED).await).unwrap()
    }

    /// How many processors own partitions of it.
    pub async fn owners(&self) -> i64 {
        self.count(OWNERS).await
    }

    /// Waits until none of its partitions is its first owner's any more.
    pub async fn until_taken_over(&self) {
        let partitions = i64::from(PARTITIONS);
        until("another owns all", async || {
            self.count(TAKEN_OVER).await == partitions
        })
        .await;
    }
}

/// Seals the secrets of these tests.
const SECRETS_KEYS: &str = "test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

const OTHER_KEYS: &str = "other:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

// Of the topic of readings; that of operations is owned beside it, and not by the same.
const PASSED: &str = "SELECT COALESCE(sum(next_offset), 0)::bigint FROM progress
    WHERE topic NOT LIKE '%-operations'";
const OWNERS: &str = "SELECT count(DISTINCT owner) FROM progress
    WHERE topic NOT LIKE '%-operations'";
const TAKEN_OVER: &str = "SELECT count(*) FROM progress
    WHERE topic NOT LIKE '%-operations' AND epoch > 1";

/// Waits until the condition holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A setting of the environment, which `scripts/test` makes.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"))
}
