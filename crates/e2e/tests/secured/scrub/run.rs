//! A run of all programs, with secrets in every setting, and all that is heard of them.

use e2e::log::Log;
use e2e::program::Program;
use e2e::receiver::Receiver;
use e2e::stage::{Stage, setting, until};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Url};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use super::inputs::{any_text, core, header_text, key};
use super::{echo, search};

/// How long a program may take to answer.
const ANSWERED_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// What is heard of the programs' insides: all that ours say, and what theirs say without being asked
/// for the finest.
const LEVELS: &str = "debug,api=trace,common=trace,outbound=trace,processor=trace,signature=trace,\
                      system=trace,webhook=trace,librdkafka=trace,hyper=trace,sqlx=trace";

const LISTENS: [(&str, &str); 4] = [
    ("api", "API_LISTEN"),
    ("processor", "PROCESSOR_ADMIN_LISTEN"),
    ("system", "SYSTEM_ADMIN_LISTEN"),
    ("webhook", "WEBHOOK_LISTEN"),
];

type Settings = Vec<(String, String)>;

pub struct Run {
    pub stage: Stage,
    http: Client,
    settings: Settings,
    /// What is looked for.
    secrets: Vec<String>,
    /// What was answered, and by whom.
    heard: Vec<(String, String)>,
    log: Log,
    api: Program,
    processor: Program,
    webhook: Program,
    well: Receiver,
    failing: Receiver,
    echo: String,
    _server: JoinSet<()>,
}

impl Run {
    /// All programs but `system`, and receivers of each kind.
    pub async fn start(format: &str) -> Self {
        let stage = Stage::new().await;
        let (well, failing) = (Receiver::new().await, Receiver::new().await);
        failing.answer(500);
        let (settings, log) = (settings(&stage, format).await, Log::new());
        let (echo, server) = echo::echo(core(TOKEN)).await;
        let run = Self {
            api: start("api", &settings, &log),
            processor: start("processor", &settings, &log),
            webhook: start("webhook", &settings, &log),
            http: Client::builder()
                .redirect(Policy::none())
                .timeout(ANSWERED_WITHIN)
                .build()
                .unwrap(),
            secrets: names()
                .map(core)
                .chain([setting("TEST_KAFKA_PASSWORD")])
                .collect(),
            heard: Vec::new(),
            stage,
            settings,
            log,
            well,
            failing,
            echo,
            _server: server,
        };
        for program in [&run.api, &run.processor, &run.webhook] {
            until("all are ready", async || program.is_ready().await).await;
        }
        run
    }

    /// Where deliveries succeed, and where they fail in several ways.
    pub fn endpoints(&self) -> Vec<String> {
        vec![
            format!("{}/well", self.well.url),
            format!("{}/failing", self.failing.url),
            format!("{}/", self.webhook.url()),
            self.echo.clone(),
            "http://127.0.0.1:1/down".into(),
            format!("{}/tls", self.well.url.replace("http:", "https:")),
        ]
    }

    /// A secret of that name, which is looked for from now on.
    pub fn secret(&mut self, name: &str, make: fn(&str) -> String) -> String {
        let core = core(name);
        let secret = make(&core);
        self.secrets.push(core);
        secret
    }

    /// Looks from now on for as much of a P-256 key in PEM as nothing ever escapes.
    pub fn look_for_key(&mut self, pem: &str) {
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        // What is secret of it are 32 bytes from the 37th on (RFC 5958, RFC 5915); the rest a
        // certificate tells.
        let secret = &base64[48..90];
        let parts = secret.split(|c: char| !c.is_ascii_alphanumeric());
        let longest = parts.max_by_key(|part| part.len()).unwrap();
        self.secrets.push(longest.to_owned());
    }

    /// Where tokens are given, or refused by an echo.
    pub fn token_endpoint(&self) -> &str {
        self.echo.trim_end_matches("/echo")
    }

    /// Has the API make something.
    pub async fn make(&mut self, path: &str, body: &Value) -> Value {
        let mut made = self.ask(Method::POST, path, &body.to_string()).await;
        assert!(
            made["id"].is_string() || made["signing_secret"].is_string(),
            "{made}"
        );
        made.take()
    }

    /// What an answer shows once is looked for from now on, but there.
    fn shown_once(&mut self, answered: &Value) {
        let (_, answer) = self.heard.last_mut().unwrap();
        for name in ["signing_secret", "key"] {
            if let Some(secret) = answered[name].as_str() {
                *answer = answer.replace(secret, "shown once");
                // Its beginning may be known.
                let hidden = &secret[secret.len() - 24..];
                self.secrets.push(hidden.trim_end_matches('=').to_owned());
            }
        }
    }

    /// Asks the API as its first admin.
    pub async fn ask(&mut self, method: Method, path: &str, body: &str) -> Value {
        let key = format!("Bearer {}", self.value("ADMIN_API_KEY"));
        let answered = self.send(method, path, body, ("authorization", &key)).await;
        self.shown_once(&answered);
        answered
    }

    /// Asks the API with that header, and no other; the answer as it is heard, from its status on.
    pub async fn ask_with(&mut self, method: Method, path: &str, header: (&str, &str)) -> &str {
        self.send(method, path, "", header).await;
        &self.heard.last().unwrap().1
    }

    /// Shows a key to the console, the first admin's unless another is given; its cookie, if it lets
    /// one in.
    pub async fn sign_in(&mut self, key: Option<&str>) -> Option<String> {
        let key = key.unwrap_or_else(|| self.value("ADMIN_API_KEY"));
        let form = Url::parse_with_params("http://form/", [("key", key)]).unwrap();
        let request = self
            .http
            .post(format!("{}/console/sign-in", self.api.url()));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.header("sec-fetch-site", "same-origin");
        let answer = request
            .body(form.query().unwrap().to_owned())
            .send()
            .await
            .unwrap();
        let cookie = answer
            .headers()
            .get("set-cookie")
            .map(|it| it.to_str().unwrap());
        let cookie = cookie.and_then(|it| Some(it.split_once(';')?.0.to_owned()));
        let head = format!("{:?}", answer.headers());
        let text = answer.text().await.unwrap();
        self.heard
            .push(("sign-in".into(), format!("{head}\n{text}")));
        cookie
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: &str,
        header: (&str, &str),
    ) -> Value {
        let place = format!("{method} {path}");
        let request = self
            .http
            .request(method, format!("{}{path}", self.api.url()));
        let request = request.header(header.0, header.1).body(body.to_owned());
        let answer = request
            .header("content-type", "application/json")
            .send()
            .await
            .unwrap();
        let head = format!("{} {:?}", answer.status(), answer.headers());
        let text = answer.text().await.unwrap();
        let value = serde_json::from_str(&text).unwrap_or_default();
        self.heard.push((place, format!("{head}\n{text}")));
        value
    }

    /// The path of some subscription.
    pub async fn first(&mut self) -> String {
        let page = self.ask(Method::GET, "/subscriptions?limit=1", "").await;
        format!(
            "/subscriptions/{}",
            page["items"][0]["id"].as_str().unwrap()
        )
    }

    /// Publishes events, and waits until they were delivered where all is well.
    pub async fn publish(&mut self, events: usize) {
        // Test deliveries were there before.
        let arrived = self.well.distinct("well") + events;
        let mut settings = self.settings.clone();
        settings.push(("SYSTEM_COUNT".into(), events.to_string()));
        assert!(
            start("system", &settings, &self.log)
                .outcome()
                .await
                .success()
        );
        until("they arrive", async || {
            self.well.distinct("well") == arrived
        })
        .await;
    }

    /// What programs tell of themselves besides.
    pub async fn look_at_the_others(&mut self) {
        for url in [&self.processor, &self.webhook].map(|program| program.url().to_owned()) {
            self.look_at(&url).await;
        }
    }

    async fn look_at(&mut self, program: &str) {
        for path in ["/metrics", "/readyz", "/livez", "/received"] {
            let url = format!("{program}{path}");
            let text = self.http.get(&url).send().await.unwrap().text().await;
            self.heard.push((url, text.unwrap()));
        }
    }

    /// Starts a program that ends because of that setting.
    pub async fn fail_to_start(&self, program: &str, (name, value): (&str, &str)) {
        let mut settings = self.settings.clone();
        settings.retain(|(name, _)| program != "system" || !name.starts_with("KAFKA_S"));
        settings.push((name.to_owned(), value.to_owned()));
        let ended = start(program, &settings, &self.log).outcome().await;
        assert!(!ended.success(), "{program} started in spite of {name}");
    }

    /// Programs whose password Kafka does not take, until they have said so.
    pub async fn fail_to_log_in(&mut self) {
        let password = self.secret("KafkaWrong", any_text);
        for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
            let mut settings = self.settings.clone();
            settings.push(("KAFKA_SASL_PASSWORD".into(), password.clone()));
            settings.push(("KAFKA_SASL_MECHANISM".into(), mechanism.into()));
            for program in ["system", "processor"] {
                let running = start(program, &settings, &self.log);
                until("it is refused", async || {
                    let said = running.component("kafka").await;
                    said.as_str()
                        .is_some_and(|said| said.contains("Authentication failed"))
                })
                .await;
                let said = running.component("kafka").await;
                self.heard.push((program.to_owned(), said.to_string()));
                self.look_at(running.url()).await;
            }
        }
    }

    /// Stops all, and says what of the secrets was heard.
    pub async fn end(self) -> Vec<String> {
        for program in [self.processor, self.api, self.webhook] {
            assert!(program.stop().await.success());
        }
        let mut found = search::find(&self.secrets, "the log", &self.log.text());
        for (place, text) in &self.heard {
            found.extend(search::find(&self.secrets, place, text));
        }
        found
    }

    fn value(&self, name: &str) -> &str {
        let setting = self.settings.iter().find(|(given, _)| given == name);
        &setting.unwrap().1
    }
}

fn start(program: &str, settings: &Settings, log: &Log) -> Program {
    let (_, listen) = LISTENS.iter().find(|(name, _)| *name == program).unwrap();
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    Program::start_logged(program, listen, &settings, log)
}

/// What a token endpoint gives.
const TOKEN: &str = "Granted";

/// What is secret but for the fields, by the names that it has.
fn names() -> impl Iterator<Item = &'static str> {
    [
        "Admin",
        "Sealing",
        "Postgres",
        "Token",
        "Verifying",
        "InAUrl",
        TOKEN,
    ]
    .into_iter()
}

/// Settings with a secret wherever one fits. The broker's password is the only one that is given.
async fn settings(stage: &Stage, format: &str) -> Settings {
    let kafka = format!("localhost:{}", setting("TEST_KAFKA_SASL_TLS_PORT"));
    let authority = format!("{}/ca.crt", setting("TEST_CERTIFICATES"));
    let mut settings: Settings = stage
        .settings()
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for (name, value) in [
        ("AUTH", "on".to_owned()),
        ("RATE_LIMIT_PER_KEY", "0".into()),
        ("RATE_LIMIT_PER_ADDRESS", "0".into()),
        ("ADMIN_API_KEY", header_text(&core("Admin")).repeat(2)),
        ("SECRETS_KEYS", format!("key:{}", key(&core("Sealing")))),
        (
            "DATABASE_URL",
            log_in(stage, &any_text(&core("Postgres"))).await,
        ),
        ("KAFKA_BROKERS", kafka),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl".into()),
        ("KAFKA_CA_FILE", authority),
        ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512".into()),
        ("KAFKA_SASL_USERNAME", setting("TEST_KAFKA_USER")),
        ("KAFKA_SASL_PASSWORD", setting("TEST_KAFKA_PASSWORD")),
        ("KAFKA_GROUP", stage.broker.topic.clone()),
        ("OPERATIONS_TOPIC", stage.operations_topic()),
        ("RETRY_SCHEDULE", "1s,1s".into()),
        ("WEBHOOK_TOKEN", header_text(&core("Token"))),
        (
            "WEBHOOK_SECRET",
            format!("whsec_{}", key(&core("Verifying"))),
        ),
        ("LOG_FORMAT", format.into()),
        ("RUST_LOG", LEVELS.into()),
    ] {
        settings.retain(|(given, _)| given != name);
        settings.push((name.into(), value));
    }
    settings
}

/// A user of the stage's database with that password; its URL.
async fn log_in(stage: &Stage, password: &str) -> String {
    let mut db = stage.database().await;
    let user = &stage.broker.topic;
    let quoted = password.replace('\'', "''");
    let create = format!("CREATE ROLE {user} LOGIN IN ROLE webhooks PASSWORD '{quoted}'");
    let grant = format!("ALTER ROLE {user} SET role = webhooks");
    for statement in [create, grant] {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut db)
            .await
            .unwrap();
    }
    let mut url: reqwest::Url = stage.database_url.parse().unwrap();
    url.set_username(user).unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}
