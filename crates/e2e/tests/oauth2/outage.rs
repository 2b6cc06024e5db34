//! The whole system: what becomes of deliveries while no token is to be had for them.

use std::collections::HashMap;
use std::time::Duration;

use e2e::authorization_server::AuthorizationServer;
use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};

const EVENTS: usize = 50;

/// How long tokens live before the outage, in seconds: less than it takes to publish.
const LIFE: u64 = 3;

const SECRET: &str = "hunter2-hunter2";

fn clients() -> [Value; 1] {
    [json!({
        "client_id": "sensor", "client_secret": SECRET,
        "token_endpoint_auth_method": "client_secret_post",
    })]
}

async fn start(port: u16, life: u64) -> AuthorizationServer {
    AuthorizationServer::start(port, Duration::from_secs(life), &clients()).await
}

fn auth(server: &AuthorizationServer, secret: &str) -> Value {
    json!({
        "kind": "oauth2", "token_url": server.token_url(), "client_id": "sensor",
        "client_auth": "client_secret_post", "client_secret": secret,
    })
}

/// Subscribes with one retry only: what was attempted in vain twice would be dead.
async fn subscribe(stage: &Stage, receiver: &Receiver, auth: Value) -> String {
    let new = json!({
        "name": "a", "url": format!("{}/a", receiver.url), "auth": auth,
        "retry_schedule": ["1s"], "ordering": "per_key",
    });
    let made = stage.post("/subscriptions", &new).await;
    assert!(!made.to_string().contains("hunter2"), "{made}");
    made["id"].as_str().unwrap().to_owned()
}

async fn circuit(stage: &Stage, id: &str) -> Value {
    stage.get(&format!("/subscriptions/{id}")).await["circuit"].clone()
}

async fn until_open(stage: &Stage, id: &str, failure: &str) {
    until("its circuit is open for that reason", async || {
        let circuit = circuit(stage, id).await;
        circuit["state"] == "open" && circuit["last_failure"] == failure
    })
    .await;
}

/// That all arrived once, by its first attempt, each city's in the order of the log.
async fn assert_as_if_nothing_had_been(stage: &Stage, receiver: &Receiver) {
    assert_eq!(receiver.duplicates(), 0);
    assert!(stage.dead_letters().await.is_empty());
    let sql = "SELECT count(*) FROM attempts WHERE number > 1 OR failure IS NOT NULL";
    assert_eq!(stage.count(sql).await, 0);
    let mut last: HashMap<String, String> = HashMap::new();
    for arrival in receiver.arrivals("a") {
        let event: Value = serde_json::from_slice(&arrival.body).unwrap();
        let [city, id] = ["city", "id"].map(|field| event[field].as_str().unwrap().to_owned());
        // UUIDv7: it grows with time.
        let before = last.insert(city, id.clone());
        assert!(before.is_none_or(|before| before < id));
    }
}

#[tokio::test]
async fn an_outage_of_the_token_endpoint_loses_nothing_and_uses_up_no_attempt() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    let server = start(0, LIFE).await;
    let id = subscribe(&stage, &receiver, auth(&server, SECRET)).await;
    let test = format!("/subscriptions/{id}/auth/test");
    let tested = stage.post(&test, &json!({})).await;
    assert_eq!(tested["granted"], true, "{tested}");
    assert_eq!(tested["expires_in_seconds"], LIFE);

    let processor = stage.processor(&[]);
    stage.system(EVENTS, 100).ended().await;
    until("it has all", async || receiver.distinct("a") == EVENTS).await;
    let port = server.port();
    drop(server);
    // It takes longer than the last token lives.
    stage.system(EVENTS, 10).ended().await;
    until_open(&stage, &id, "oauth2_unavailable").await;
    let tested = stage.post(&test, &json!({})).await;
    assert_eq!(tested["failure"], "oauth2_unavailable", "{tested}");
    assert!(receiver.distinct("a") < 2 * EVENTS);
    let postponed = "processor_attempts_total{verdict=\"postponed\"}";
    assert!(processor.metric(postponed).await > Some(0.0));

    let _server = start(port, 600).await;
    until("it has all", async || receiver.distinct("a") == 2 * EVENTS).await;
    assert_as_if_nothing_had_been(&stage, &receiver).await;
    assert!(processor.stop().await.success());
}

#[tokio::test]
async fn a_client_that_is_refused_is_told_of_and_goes_on_when_it_was_put_right() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    let server = start(0, 600).await;
    let id = subscribe(&stage, &receiver, auth(&server, "wrong-hunter2")).await;
    let _processor = stage.processor(&[]);
    stage.system(EVENTS, 10).ended().await;
    until_open(&stage, &id, "oauth2_invalid_client").await;
    assert_eq!(receiver.distinct("a"), 0);
    let right = json!({"auth": auth(&server, SECRET)});
    stage.patch(&format!("/subscriptions/{id}"), &right).await;
    until("it has all", async || receiver.distinct("a") == EVENTS).await;
    assert_as_if_nothing_had_been(&stage, &receiver).await;
}
