//! A client that calls the router without a network, and rows to look at.

use std::time::Duration;

use api::{
    Access, AppState, DoorArgs, Live, LiveSettings, Log, SessionSettings, StatisticsSettings,
    Tester,
};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use common::attempt_log::AttemptLog;
use common::kafka::{KafkaArgs, KafkaSecurity};
use common::probes::{self, Liveness, Readiness};
use common::secrets::Keyring;
use metrics_exporter_prometheus::PrometheusBuilder;
use outbound::{Egress, EgressArgs};
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt;
use uuid::Uuid;

/// Longer than anything here takes, where the time itself is not the matter.
pub const LONG: Duration = Duration::from_mins(1);

/// How long a test delivery takes at most.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// As whom receivers are asked.
pub const ORIGIN: &str = "hooks.example";

/// The API, and the database under it.
#[derive(Clone)]
pub struct Client {
    router: Router,
    headers: Vec<(&'static str, String)>,
    pub db: PgPool,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("answers are UTF-8")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// How to reach the Kafka of the tests, for a topic of that name.
pub fn kafka(topic: &str) -> KafkaArgs {
    KafkaArgs {
        kafka_brokers: std::env::var("TEST_KAFKA_BROKERS").expect("scripts/test sets it"),
        kafka_topic: topic.to_owned(),
        security: KafkaSecurity::default(),
    }
}

/// The API over `db`, as `main` builds it.
pub fn api(db: PgPool, request_timeout: Duration) -> api::Api {
    api_with(
        db,
        Log::new(&kafka("updates")),
        Access::Off,
        request_timeout,
    )
}

/// The keys of the tests.
pub fn keyring() -> Keyring {
    let keys = "test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    Keyring::new(&keys.into()).expect("keys")
}

/// The API over `db` and `log`.
pub fn api_with(db: PgPool, log: Log, access: Access, request_timeout: Duration) -> api::Api {
    let door = DoorArgs {
        request_timeout,
        // Whoever tries every route with every wrong key is told why each is refused.
        rate_limit_wrong_keys: "0".parse().expect("a rate"),
        ..DoorArgs::default()
    };
    api_behind(db, log, access, &door)
}

/// The same, behind that door.
pub fn api_behind(db: PgPool, log: Log, access: Access, door: &DoorArgs) -> api::Api {
    let live = Live::new(db.clone(), LIVE);
    api_live(db, log, access, (live, door))
}

/// How many may listen in these tests, and how often is looked.
pub const LIVE: LiveSettings = LiveSettings {
    listeners: 4,
    listeners_per_owner: 2,
    poll: Duration::from_millis(50),
};

/// The API over `db` and `log`, whose listeners hear what `live` reads, if that is run.
pub fn api_live(db: PgPool, log: Log, access: Access, (live, door): (Live, &DoorArgs)) -> api::Api {
    let egress = Egress::new(&EgressArgs::default()).expect("rules");
    api_of(state(db, log, access, live, egress), door)
}

fn state(db: PgPool, log: Log, access: Access, live: Live, egress: Egress) -> AppState {
    AppState {
        db,
        log,
        access,
        tester: Tester::new(ATTEMPT_TIMEOUT, &egress, ORIGIN).expect("TLS"),
        egress,
        keyring: keyring(),
        attempt_log: AttemptLog::All,
        live,
        sessions: SessionSettings::default(),
        statistics: StatisticsSettings::default(),
    }
}

fn api_of(state: AppState, door: &DoorArgs) -> api::Api {
    let metrics = PrometheusBuilder::new().build_recorder().handle();
    api::routes(
        state,
        probes::router(Readiness::default(), Liveness::default(), metrics),
        door,
    )
}

impl Client {
    pub fn new(db: PgPool) -> Self {
        Self::with_timeout(db, LONG)
    }

    pub fn with_timeout(db: PgPool, request_timeout: Duration) -> Self {
        Self::of(api(db.clone(), request_timeout), db)
    }

    /// Over the topic that `kafka` names.
    pub fn with_kafka(db: PgPool, kafka: &KafkaArgs) -> Self {
        let log = Log::new(kafka);
        Self::of(api_with(db.clone(), log, Access::Off, LONG), db)
    }

    /// One that knows its callers in that way.
    pub fn with_access(db: PgPool, access: Access) -> Self {
        let log = Log::new(&kafka("updates"));
        Self::of(api_with(db.clone(), log, access, LONG), db)
    }

    /// One that stands before that door.
    pub fn before(db: PgPool, access: Access, door: &DoorArgs) -> Self {
        let log = Log::new(&kafka("updates"));
        Self::of(api_behind(db.clone(), log, access, door), db)
    }

    /// The response, as it begins to come.
    pub async fn begin(&self, request: Request<Body>) -> axum::response::Response {
        let mut request = request;
        for (name, value) in &self.headers {
            let value = value.parse().expect("a value");
            request.headers_mut().insert(*name, value);
        }
        let answered = self.router.clone().oneshot(request).await;
        answered.expect("routers do not fail")
    }

    /// One whose test deliveries trust the authorities in that file of PEM.
    pub fn trusting(db: PgPool, file: &std::path::Path) -> Self {
        let args = EgressArgs {
            egress_ca_file: Some(file.to_owned()),
            ..EgressArgs::default()
        };
        let egress = Egress::new(&args).expect("rules");
        let log = Log::new(&kafka("updates"));
        let live = Live::new(db.clone(), LIVE);
        let state = state(db.clone(), log, Access::Off, live, egress);
        let door = DoorArgs {
            request_timeout: LONG,
            ..DoorArgs::default()
        };
        Self::of(api_of(state, &door), db)
    }

    pub fn of(api: api::Api, db: PgPool) -> Self {
        Self {
            router: api.router,
            headers: Vec::new(),
            db,
        }
    }

    /// Shows that token with each request.
    pub fn with_token(self, token: &str) -> Self {
        self.as_somebody(Some(token))
    }

    /// Shows that token, or none.
    pub fn as_somebody(&self, token: Option<&str>) -> Self {
        let authorization = token.map(|token| ("authorization", format!("Bearer {token}")));
        Self {
            headers: authorization.into_iter().collect(),
            ..self.clone()
        }
    }

    pub fn with_request_id(mut self, id: &str) -> Self {
        self.headers.push(("x-request-id", id.to_owned()));
        self
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.begin(request).await.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a whole answer");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub async fn call(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(Body::empty()).expect("a request"))
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path).await
    }

    /// Sends `body` as JSON, whatever it is.
    pub async fn raw(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.into()).expect("a request"))
            .await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.raw(Method::POST, path, body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.raw(Method::PATCH, path, body.to_string()).await
    }

    /// Subscribes; gives the answer's body.
    pub async fn subscribe(&self, name: &str) -> Value {
        let new = json!({"name": name, "url": "https://example.com/hook"});
        let answer = self.post("/subscriptions", &new).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        answer.json()
    }

    /// Subscribes; gives the id.
    pub async fn subscription(&self, name: &str) -> Uuid {
        id_of(&self.subscribe(name).await)
    }

    /// Adds a dead letter of a JSON event; `None` makes a malformed one.
    pub async fn dead_letter(&self, subscription: Option<Uuid>, offset: i64) -> i64 {
        self.dead_letter_with(subscription, offset, br#"{"city":"Tokyo", "reading":23.0}"#)
            .await
    }

    pub async fn dead_letter_with(
        &self,
        subscription: Option<Uuid>,
        offset: i64,
        payload: &[u8],
    ) -> i64 {
        sqlx::query_scalar(
            "INSERT INTO dead_letters (subscription_id, topic, partition, event_offset, event_id,
                payload, content_type, traceparent, reason, attempts, last_status, last_error)
             VALUES ($1, 'updates', 3, $2, 'event-' || $2, $3, 'application/json', '00-1-2-01',
                     CASE WHEN $1 IS NULL THEN 'malformed' ELSE 'exhausted' END, 9, 500, 'http_5xx')
             RETURNING id",
        )
        .bind(subscription)
        .bind(offset)
        .bind(payload)
        .fetch_one(&self.db)
        .await
        .expect("a dead letter")
    }

    /// How many deliveries are pending for it.
    pub async fn pending(&self, subscription: Uuid) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM pending_deliveries WHERE subscription_id = $1")
            .bind(subscription)
            .fetch_one(&self.db)
            .await
            .expect("a count")
    }
}

pub fn id_of(subscription: &Value) -> Uuid {
    serde_json::from_value(subscription["id"].clone()).expect("an id")
}
