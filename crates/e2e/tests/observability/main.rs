//! What the programs tell Prometheus is named as it should be, and holds what the alerts and the
//! dashboard of `deploy/observability` ask for.

#![allow(
    clippy::unwrap_used,
    reason = "a test panics where something is not as it should be"
)]

mod instances;
mod liveness;
mod traces;

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use e2e::receiver::Receiver;
use e2e::stage::{Stage, setting, until};
use serde_json::Value;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/observability");

/// What our series begin with, and those of the process.
const FAMILIES: [&str; 7] = [
    "api_",
    "database_",
    "process_",
    "processor_",
    "system_",
    "temperature_webhooks_",
    "webhook_",
];

/// What Prometheus' own tool finds wrong with it.
fn promtool(arguments: &[&str], input: &str) -> Result<(), String> {
    let mut tool = Command::new(setting("TEST_PROMTOOL"))
        .args(arguments)
        .current_dir(DIRECTORY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = tool.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let ended = tool.wait_with_output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ended.status.success().then_some(()).ok_or(said)
}

/// The names of the series in what a program told.
fn served(text: &str) -> BTreeSet<String> {
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let names = series.filter_map(|line| line.split(['{', ' ']).next());
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The names of our series in an expression, or in several.
fn asked(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| FAMILIES.iter().any(|family| word.starts_with(family)));
    ours.map(str::to_owned).collect()
}

/// All expressions of a dashboard.
fn expressions(dashboard: &Value) -> Vec<&str> {
    match dashboard {
        Value::Array(parts) => parts.iter().flat_map(expressions).collect(),
        Value::Object(parts) => {
            let own = parts.get("expr").and_then(Value::as_str);
            own.into_iter()
                .chain(parts.values().flat_map(expressions))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{DIRECTORY}/{file}")).unwrap()
}

#[tokio::test]
async fn what_programs_tell_is_well_named_and_holds_what_is_asked_for() {
    let (stage, failing) = (Stage::new().await, Receiver::new().await);
    failing.answer(422);
    let webhook = stage
        .webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .await;
    stage
        .subscribe("well", &failing.url.replace("http", "https"))
        .await;
    stage
        .subscribe("failing", &format!("{}/a", failing.url))
        .await;
    stage.subscribe("refused", webhook.url()).await;
    let well = Receiver::new().await;
    stage.subscribe("a", &format!("{}/a", well.url)).await;
    let processor = stage.processor(&[("RETRY_SCHEDULE", "1s")]);
    let system = stage.system_with(&["--rate", "10"]);

    let dashboard: Value =
        serde_json::from_str(&read("grafana/dashboards/temperature-webhooks.json")).unwrap();
    let mut wanted = asked(&read("alerts.yml"));
    wanted.extend(asked(&expressions(&dashboard).join(" ")));
    let mut missing = wanted.clone();
    until("every series is there", async || {
        let mut there = served(&stage.text("/metrics").await);
        for program in [&webhook, &processor, &system] {
            there.extend(served(&program.metrics().await));
        }
        missing = wanted.difference(&there).cloned().collect();
        if !missing.is_empty() {
            println!("not there yet: {missing:?}");
        }
        missing.is_empty()
    })
    .await;

    for (name, text) in [
        ("api", stage.text("/metrics").await),
        ("webhook", webhook.metrics().await),
        ("processor", processor.metrics().await),
        ("system", system.metrics().await),
    ] {
        if let Err(wrong) = promtool(&["check", "metrics"], &text) {
            panic!("{name}: {wrong}");
        }
        for of_every_program in [
            "process_cpu_seconds_total",
            "temperature_webhooks_build_info",
        ] {
            assert!(served(&text).contains(of_every_program), "{name}: {text}");
        }
    }
}

#[test]
fn the_alerts_are_rules_and_pass_their_tests() {
    promtool(&["check", "rules", "alerts.yml"], "").unwrap();
    promtool(&["test", "rules", "alerts_test.yml"], "").unwrap();
}

#[test]
fn names_are_found_in_expressions() {
    let text = r#"sum(rate(processor_events_total{pipeline="api"}[5m])) / process_max_fds > up"#;
    let names = ["process_max_fds", "processor_events_total"].map(str::to_owned);
    assert_eq!(asked(text), BTreeSet::from(names));
    assert_eq!(
        served("# HELP a b\na_total{b=\"c\"} 1\nd 2\n"),
        BTreeSet::from(["a_total".into(), "d".into()])
    );
}
