//! TLS and SASL to Kafka, by all programs that speak to it.

use e2e::log::Log;
use e2e::program::Program;
use e2e::receiver::Receiver;
use e2e::stage::{Stage, setting, until};

/// How many events each way brings.
const EVENTS: usize = 10;

/// A password that would be seen anywhere, and is wrong.
const WRONG: &str = "Wr0ng-p4ss%w\"ord";

/// The ports of the listeners of the tests' broker.
const TLS: &str = "TEST_KAFKA_TLS_PORT";
const SASL_TLS: &str = "TEST_KAFKA_SASL_TLS_PORT";
const SASL: &str = "TEST_KAFKA_SASL_PORT";

/// Settings, as names and values.
type Settings = Vec<(&'static str, String)>;

fn certificate(name: &str) -> String {
    format!("{}/{name}", setting("TEST_CERTIFICATES"))
}

fn brokers(host: &str, port: &str) -> (&'static str, String) {
    ("KAFKA_BROKERS", format!("{host}:{}", setting(port)))
}

/// TLS, with a certificate to show.
fn tls() -> Settings {
    vec![
        brokers("localhost", TLS),
        ("KAFKA_SECURITY_PROTOCOL", "ssl".into()),
        ("KAFKA_CA_FILE", certificate("ca.crt")),
        ("KAFKA_CERT_FILE", certificate("client.crt")),
        ("KAFKA_KEY_FILE", certificate("client.key")),
    ]
}

fn login(mechanism: &str) -> Settings {
    vec![
        brokers("localhost", SASL),
        ("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext".into()),
        ("KAFKA_SASL_MECHANISM", mechanism.into()),
        ("KAFKA_SASL_USERNAME", setting("TEST_KAFKA_USER")),
        ("KAFKA_SASL_PASSWORD", setting("TEST_KAFKA_PASSWORD")),
    ]
}

fn login_by_tls(mechanism: &str) -> Settings {
    let mut settings = login(mechanism);
    settings.extend([
        brokers("localhost", SASL_TLS),
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL".into()),
        ("KAFKA_CA_FILE", certificate("ca.crt")),
    ]);
    settings
}

fn but(mut settings: Settings, other: (&'static str, String)) -> Settings {
    settings.push(other);
    settings
}

/// The three programs, told how to speak to Kafka.
struct Programs {
    processor: Program,
    api: Program,
    system: Program,
    log: Log,
}

impl Programs {
    fn start(stage: &Stage, secured: &Settings) -> Self {
        let (operations, count) = (stage.operations_topic(), EVENTS.to_string());
        let mut settings = stage.settings();
        settings.extend([
            ("KAFKA_GROUP", &*stage.broker.topic),
            ("OPERATIONS_TOPIC", &*operations),
            ("SYSTEM_COUNT", &*count),
            ("SYSTEM_RATE", "1000"),
            ("RUST_LOG", "info,librdkafka=debug"),
        ]);
        settings.extend(secured.iter().map(|(name, value)| (*name, &**value)));
        let log = Log::new();
        let start = |name, listen| Program::start_logged(name, listen, &settings, &log);
        Self {
            processor: start("processor", "PROCESSOR_ADMIN_LISTEN"),
            api: start("api", "API_LISTEN"),
            system: start("system", "SYSTEM_ADMIN_LISTEN"),
            log,
        }
    }

    /// What the log says, without the password in it.
    fn said(&self) -> String {
        let said = self.log.text();
        for password in [WRONG, &setting("TEST_KAFKA_PASSWORD")] {
            assert!(!said.contains(password), "{said}");
        }
        said
    }
}

#[tokio::test]
async fn events_go_by_tls_and_by_each_login() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    stage.subscribe("a", &format!("{}/a", receiver.url)).await;
    let ways = [
        tls(),
        login_by_tls("PLAIN"),
        login_by_tls("SCRAM-SHA-256"),
        login_by_tls("scram-sha-512"),
        login("SCRAM-SHA-512"),
    ];
    for (way, arrived) in ways.iter().zip((EVENTS..).step_by(EVENTS)) {
        let programs = Programs::start(&stage, way);
        until("they are delivered", async || {
            receiver.distinct("a") == arrived
        })
        .await;
        until("the API hears of Kafka", async || {
            programs.api.component("kafka").await == "ok"
        })
        .await;
        let said = programs.said();
        let warned = said.contains("hears everything");
        assert_eq!(
            warned,
            way[1].1 == "sasl_plaintext" && way.len() == 5,
            "{said}"
        );
        assert!(programs.system.outcome().await.success());
        assert!(programs.processor.stop().await.success());
    }
}

/// Starts the programs, waits until each has said why it is refused, and looks for that.
async fn each_says(settings: Settings, why: &[&str]) {
    let stage = Stage::new().await;
    let programs = Programs::start(&stage, &settings);
    for (name, program) in [
        ("processor", &programs.processor),
        ("system", &programs.system),
    ] {
        until(name, async || {
            let component = program.component("kafka").await;
            let text = component.as_str().unwrap_or_default();
            why.iter().any(|why| text.contains(why)) && !text.contains(WRONG)
        })
        .await;
        assert!(!program.is_ready().await);
    }
    until("the API says it", async || {
        let said = programs.said();
        let mut lines = said
            .lines()
            .filter(|line| line.contains("replays and previews"));
        lines.any(|line| why.iter().any(|why| line.contains(why)))
    })
    .await;
    let component = programs.api.component("kafka").await;
    let text = component.as_str().unwrap();
    assert!(text.starts_with("it does not answer"), "{text}");
    assert!(programs.api.is_ready().await, "it serves without Kafka");
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_repeated() {
    let wrong = ("KAFKA_SASL_PASSWORD", WRONG.to_owned());
    each_says(
        but(login_by_tls("PLAIN"), wrong.clone()),
        &["Authentication failed"],
    )
    .await;
    each_says(
        but(login_by_tls("SCRAM-SHA-256"), wrong),
        &["Authentication failed"],
    )
    .await;
}

#[tokio::test]
async fn a_broker_that_nobody_vouches_for_is_not_spoken_to() {
    let stranger = ("KAFKA_CA_FILE", certificate("stranger.crt"));
    each_says(
        but(login_by_tls("PLAIN"), stranger),
        &["certificate verify failed"],
    )
    .await;
}

#[tokio::test]
async fn a_broker_by_another_name_is_not_spoken_to() {
    let elsewhere = brokers("127.0.0.1", SASL_TLS);
    each_says(
        but(login_by_tls("PLAIN"), elsewhere),
        &["certificate verify failed"],
    )
    .await;
}

#[tokio::test]
async fn a_broker_that_asks_for_a_certificate_is_shown_one_or_refuses() {
    let without: Settings = tls().into_iter().take(3).collect();
    each_says(
        without,
        &["certificate required", "bad certificate", "alert", "SSL"],
    )
    .await;
}

#[tokio::test]
async fn settings_that_do_not_go_together_end_every_program() {
    let stage = Stage::new().await;
    let listens = [
        "PROCESSOR_ADMIN_LISTEN",
        "API_LISTEN",
        "SYSTEM_ADMIN_LISTEN",
    ];
    for (name, listen) in ["processor", "api", "system"].into_iter().zip(listens) {
        let (log, mut settings) = (Log::new(), stage.settings());
        settings.push(("KAFKA_SASL_PASSWORD", WRONG));
        let program = Program::start_logged(name, listen, &settings, &log);
        assert!(!program.outcome().await.success());
        let said = log.text();
        let both = ["KAFKA_SASL_PASSWORD", "KAFKA_SECURITY_PROTOCOL"];
        assert!(both.iter().all(|name| said.contains(name)), "{said}");
        assert!(!said.contains(WRONG), "{said}");
    }
}
