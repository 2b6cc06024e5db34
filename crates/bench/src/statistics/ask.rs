//! Asks the API's own routes, without a network, as an admin and as a subscriber.

use std::time::Duration;

use anyhow::{Context, ensure};
use api::{
    Access, AppState, DoorArgs, Live, LiveSettings, Log, SessionSettings, StatisticsSettings,
    Tester,
};
use axum::Router;
use axum::body::{Body, to_bytes};
use chrono::{SecondsFormat, TimeDelta, Utc};
use common::attempt_log::AttemptLog;
use common::kafka::KafkaArgs;
use common::probes::{self, Liveness, Readiness};
use common::secrets::Keyring;
use http::{Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use outbound::{Egress, EgressArgs};
use sqlx::PgPool;
use tokio::time::Instant;
use tower::ServiceExt;

use super::Taken;
use crate::stage::SECRETS_KEYS;

/// An admin's key for this run.
const ADMIN: &str = "an-admins-key-for-the-benchmark-alone";

const LONG: Duration = Duration::from_mins(1);

/// Nobody listens here.
const LIVE: LiveSettings = LiveSettings {
    listeners: 1,
    listeners_per_owner: 1,
    poll: LONG,
};

/// The API over a database.
#[derive(Clone)]
pub struct Api {
    router: Router,
    subscriber: String,
    subscription: String,
}

/// What is asked, and as whom.
#[derive(Clone, Debug)]
pub struct Question {
    /// For the table.
    pub name: &'static str,
    /// The path with its query.
    pub path: String,
    /// By the key of an owner of a hundred subscriptions.
    pub as_subscriber: bool,
}

impl Api {
    /// With a subscriber's key, of an owner of a hundred subscriptions.
    ///
    /// # Errors
    /// That the API refuses.
    pub async fn new(db: &PgPool, kafka: &KafkaArgs) -> anyhow::Result<Self> {
        let egress = Egress::new(&EgressArgs::default())?;
        let state = AppState {
            db: db.clone(),
            log: Log::new(kafka),
            access: Access::by_keys(Some(&ADMIN.into())),
            tester: Tester::new(LONG, &egress, "localhost")?,
            egress,
            keyring: Keyring::new(&SECRETS_KEYS.into())?,
            attempt_log: AttemptLog::All,
            live: Live::new(db.clone(), LIVE),
            sessions: SessionSettings::default(),
            statistics: StatisticsSettings::default(),
        };
        let door = DoorArgs {
            request_timeout: LONG,
            rate_limit_per_key: "0".parse().map_err(anyhow::Error::msg)?,
            ..DoorArgs::default()
        };
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let admin = probes::router(Readiness::default(), Liveness::default(), metrics);
        let sql = "SELECT id::text FROM subscriptions WHERE owner = 'owner-7' LIMIT 1";
        let mut api = Self {
            router: api::routes(state, admin, &door).router,
            subscriber: String::new(),
            subscription: sqlx::query_scalar(sql).fetch_one(db).await?,
        };
        api.subscriber = api.make_key().await?;
        Ok(api)
    }

    async fn make_key(&self) -> anyhow::Result<String> {
        let asked = r#"{"name":"bench","role":"subscriber","owner":"owner-7"}"#;
        let request = Request::post("/api-keys").header("content-type", "application/json");
        let answer = self.call(request, ADMIN, asked.into()).await?;
        let made: serde_json::Value = serde_json::from_slice(&answer)?;
        let key = made["key"].as_str().context("a key")?;
        Ok(key.to_owned())
    }

    async fn call(
        &self,
        request: http::request::Builder,
        key: &str,
        body: Body,
    ) -> anyhow::Result<Vec<u8>> {
        let request = request.header("authorization", format!("Bearer {key}"));
        let response = self.router.clone().oneshot(request.body(body)?).await?;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await?.to_vec();
        let is_well = matches!(status, StatusCode::OK | StatusCode::CREATED);
        ensure!(is_well, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// Asks so many times; how long it took, and how many bytes the answer had.
    ///
    /// # Errors
    /// That the API refuses.
    pub async fn ask(&self, question: &Question, times: usize) -> anyhow::Result<(Taken, usize)> {
        let key = if question.as_subscriber {
            &self.subscriber
        } else {
            ADMIN
        };
        let (mut taken, mut bytes) = (Taken::default(), 0);
        for _ in 0..times {
            let began = Instant::now();
            let request = Request::get(&question.path);
            let answer = self.call(request, key, Body::empty()).await;
            bytes = answer.with_context(|| question.path.clone())?.len();
            taken.add(began);
        }
        Ok((taken, bytes))
    }

    /// Each endpoint, over all, over one and over many.
    pub fn questions(&self) -> Vec<Question> {
        let ago = |time: TimeDelta| (Utc::now() - time).to_rfc3339_opts(SecondsFormat::Secs, true);
        let series = |query: String| format!("/stats/timeseries?{query}");
        let all = "measures=attempts,success_share,latency_ms_p95,delay_ms_p99";
        let one = format!("subscription_id={}", self.subscription);
        let question = |name, path, as_subscriber| Question {
            name,
            path,
            as_subscriber,
        };
        let an_hour = format!("granularity=1m&{all}&since={}", ago(TimeDelta::minutes(59)));
        let a_day = format!("granularity=1h&{all}&since={}", ago(TimeDelta::hours(23)));
        let a_month = format!("granularity=1d&{all}&since={}", ago(TimeDelta::days(29)));
        let a_minute = format!("granularity=1m&{all}&since={}", ago(TimeDelta::zero()));
        let mut questions = vec![
            question("stats", "/stats".into(), false),
            question("stats, a subscriber's", "/stats".into(), true),
            question(
                "stats of a subscription",
                format!("/subscriptions/{}/stats", self.subscription),
                false,
            ),
            question("an hour by the minute", series(an_hour.clone()), false),
            question("… of an owner", series(an_hour.clone()), true),
            question(
                "… of a subscription",
                series(format!("{an_hour}&{one}")),
                false,
            ),
            question(
                "… of a city",
                series(format!("{an_hour}&city=city-7")),
                false,
            ),
            question(
                "… of an owner's subscriptions",
                series(format!("{an_hour}&dimensions=subscription_id")),
                true,
            ),
            question(
                "a day by the hour and failure",
                series(format!("{a_day}&dimensions=failure")),
                false,
            ),
            question("a month by the day", series(a_month), false),
            question(
                "a minute by city",
                series(format!("{a_minute}&dimensions=city")),
                false,
            ),
        ];
        questions.extend(self.of_deliveries());
        questions
    }

    /// Lists of the record; where nothing is found, the bound on what is looked at decides.
    fn of_deliveries(&self) -> Vec<Question> {
        let one = format!("subscription_id={}", self.subscription);
        [
            ("deliveries", "limit=100".to_owned(), false),
            ("… of an owner", "limit=100".into(), true),
            ("… of a subscription", format!("limit=100&{one}"), false),
            ("… of an event", "event_id=event-777".into(), false),
            ("… that are dead", "status=dead&limit=100".into(), false),
            ("… of a city", "city=city-7&limit=100".into(), false),
            ("… of a city there is not", "city=none".into(), false),
            ("… of a rare failure", "failure=tls".into(), false),
        ]
        .map(|(name, query, as_subscriber)| Question {
            name,
            path: format!("/deliveries?{query}"),
            as_subscriber,
        })
        .into()
    }
}
