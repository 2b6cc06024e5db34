//! `/instances` tells which programs run, with which settings: from their start to their end.

use e2e::stage::{Stage, until};
use serde_json::{Value, json};

/// The instances of a program: whether they run, and such a setting of theirs.
async fn told(stage: &Stage, service: &str, name: &str) -> Vec<(bool, Value)> {
    let listed = stage.get("/instances").await;
    let items = listed["items"].as_array().unwrap().iter();
    let of_service = items.filter(|it| it["service"] == service);
    let told = of_service.map(|it| {
        let mut settings = it["settings"].as_array().unwrap().iter();
        let setting = settings.find(|setting| setting["name"] == name).unwrap();
        (it["running"] == true, setting["value"].clone())
    });
    told.collect()
}

#[tokio::test]
async fn a_program_tells_its_settings_until_it_is_stopped_or_for_long_after_a_kill() {
    let stage = Stage::new().await;
    let [one, two] = ["21s", "22s"].map(|lease| stage.processor(&[("LEASE", lease)]));
    for processor in [&one, &two] {
        until("it is ready", async || processor.is_ready().await).await;
    }
    until("both are told", async || {
        let mut leases = told(&stage, "processor", "LEASE").await;
        leases.sort_by_key(|(_, lease)| lease.to_string());
        leases == [(true, json!("21s")), (true, json!("22s"))]
    })
    .await;
    until("the API is told", async || {
        told(&stage, "api", "AUTH").await == [(true, json!("off"))]
    })
    .await;

    assert!(one.stop().await.success());
    two.kill();
    assert_eq!(
        told(&stage, "processor", "LEASE").await,
        [(true, json!("22s"))]
    );
    let mut db = stage.database().await;
    assert!(stage.stopped().await.success());
    let left: Vec<String> = sqlx::query_scalar("SELECT service FROM instances")
        .fetch_all(&mut db)
        .await
        .unwrap();
    assert_eq!(left, ["processor"]);
}
