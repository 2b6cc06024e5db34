//! A stage for one test: a database, a topic and a consumer group of its own, and the programs.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;
use uuid::Uuid;

/// How long anything is waited for; no test waits that long unless it fails.
const LONG: Duration = Duration::from_mins(2);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The shortest session timeout a broker allows by default.
const SESSION_TIMEOUT: &str = "6s";

/// How many outcomes one flush takes here: it bounds what a kill may repeat.
pub const FLUSH_OUTCOMES: usize = 200;

/// Requests in flight to one subscription.
pub const IN_FLIGHT: usize = 16;

pub struct Stage {
    pub topic: String,
    brokers: String,
    database_url: String,
    pub api_url: String,
    http: Client,
    // Ended with the stage.
    _api: Program,
}

/// A running program, killed when it is dropped.
pub struct Program(Child);

impl Program {
    fn start(name: &str, settings: &[(&str, &str)], flags: &[&str]) -> Self {
        let child = Command::new(path_of(name))
            .args(flags)
            .envs(settings.iter().copied())
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("{name} cannot be started: {error}")))
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
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
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM, and the exit status.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("-TERM");
        until("the program ends", async || {
            self.0.try_wait().unwrap().is_some()
        })
        .await;
        self.0.wait().unwrap()
    }

    /// Waits until it ends by itself, well.
    pub async fn ended(mut self) {
        until("the program ends", async || {
            self.0.try_wait().unwrap().is_some()
        })
        .await;
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only where it has ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Stage {
    pub async fn new() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let server = setting("TEST_DATABASE_URL");
        let name = format!("e2e_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut admin).await.unwrap();
        let database_url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
        let address = free_address();
        let brokers = setting("TEST_KAFKA_BROKERS");
        let settings = [("DATABASE_URL", &*database_url), ("API_LISTEN", &*address)];
        let stage = Self {
            _api: Program::start("api", &settings, &[]),
            topic: name,
            brokers,
            database_url,
            api_url: format!("http://{address}"),
            http: Client::builder().timeout(LONG).build().unwrap(),
        };
        stage.create_topic(4, &[]).await;
        until("the API is ready", async || {
            stage.get("/readyz").await["ready"] == json!(true)
        })
        .await;
        stage
    }

    pub async fn create_topic(&self, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.kafka().create().unwrap();
        let mut topic = NewTopic::new(&self.topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let made = admin
            .create_topics([&topic], &AdminOptions::new())
            .await
            .unwrap();
        made[0].as_ref().unwrap();
    }

    fn kafka(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("broker.address.family", "v4");
        config
    }

    /// A processor that flushes little at a time, with those settings besides.
    pub fn processor(&self, settings: &[(&str, &str)]) -> Program {
        let (address, flush) = (free_address(), FLUSH_OUTCOMES.to_string());
        let in_flight = IN_FLIGHT.to_string();
        let mut all = vec![
            ("DATABASE_URL", &*self.database_url),
            ("KAFKA_BROKERS", &*self.brokers),
            ("KAFKA_TOPIC", &*self.topic),
            ("KAFKA_GROUP", &*self.topic),
            ("KAFKA_SESSION_TIMEOUT", SESSION_TIMEOUT),
            ("PROCESSOR_ADMIN_LISTEN", &*address),
            ("FLUSH_OUTCOMES", &*flush),
            ("LANE_IN_FLIGHT", &*in_flight),
            ("LEASE", "20s"),
        ];
        all.extend_from_slice(settings);
        Program::start("processor", &all, &[])
    }

    /// A system that publishes so many events at that rate.
    pub fn system(&self, count: usize, rate: usize) -> Program {
        let (address, count, rate) = (free_address(), count.to_string(), rate.to_string());
        let settings = [
            ("KAFKA_BROKERS", &*self.brokers),
            ("KAFKA_TOPIC", &*self.topic),
            ("SYSTEM_ADMIN_LISTEN", &*address),
        ];
        Program::start("system", &settings, &["--count", &count, "--rate", &rate])
    }

    /// Publishes records to partition 0, as they are.
    pub fn publish(&self, values: &[Vec<u8>]) {
        let producer: ThreadedProducer<_> = self.kafka().create().unwrap();
        for value in values {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.topic).payload(value);
            producer.send(record.partition(0)).unwrap();
        }
        producer.flush(LONG).unwrap();
    }

    /// Publishes to partition 0 in one transaction, which is committed or aborted.
    pub fn publish_in_transaction(&self, values: &[Vec<u8>], commit: bool) {
        let mut config = self.kafka();
        config.set("transactional.id", &self.topic);
        let producer: ThreadedProducer<_> = config.create().unwrap();
        producer.init_transactions(LONG).unwrap();
        producer.begin_transaction().unwrap();
        for value in values {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(&self.topic).payload(value);
            producer.send(record.partition(0)).unwrap();
        }
        producer.flush(LONG).unwrap();
        if commit {
            producer.commit_transaction(LONG).unwrap();
        } else {
            producer.abort_transaction(LONG).unwrap();
        }
    }

    /// Subscribes a URL; its id.
    pub async fn subscribe(&self, name: &str, url: &str) -> String {
        let body = json!({"name": name, "url": url});
        let made = self.post("/subscriptions", &body).await;
        made["id"].as_str().unwrap().to_owned()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.api_url)).json(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// `null` where nobody answers.
    pub async fn get(&self, path: &str) -> Value {
        match self
            .http
            .get(format!("{}{path}", self.api_url))
            .send()
            .await
        {
            Ok(response) => response.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    /// The dead letters, up to 1,000.
    pub async fn dead_letters(&self) -> Vec<Value> {
        let page = self.get("/dlqs?limit=1000").await;
        page["items"].as_array().cloned().unwrap_or_default()
    }

    /// One number out of the database.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let mut db = PgConnection::connect(&self.database_url).await.unwrap();
        sqlx::query_scalar(sql).fetch_one(&mut db).await.unwrap()
    }
}

/// Waits until the condition holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"))
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
