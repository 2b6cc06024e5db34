//! Which programs run, and with which settings.

use std::time::Duration;

use api::{Access, Config};
use axum::http::StatusCode;
use common::instance::Instance;
use common::settings::{self, Setting, Source};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::{Client, LONG};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

/// Those of `api`, told such flags.
fn settings_of(flags: &[&str]) -> Vec<Setting> {
    let keys = "--secrets-keys=test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let (_, settings) = settings::parse_from::<Config>([&["api", keys], flags].concat());
    settings
}

/// The instances that are listed, once there are so many.
async fn listed(client: &Client, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + LONG;
    loop {
        let answer = client.get("/instances").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let items = answer.json()["items"].as_array().cloned().expect("items");
        if items.len() == count {
            return items;
        }
        assert!(
            Instant::now() < deadline,
            "{count} were waited for: {items:?}"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

fn setting<'a>(instance: &'a Value, name: &str) -> &'a Value {
    let settings = instance["settings"].as_array().expect("settings");
    let setting = settings.iter().find(|setting| setting["name"] == name);
    setting.expect(name)
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_instance_is_listed_with_its_settings_until_a_clean_stop(db: PgPool) {
    let client = Client::new(db.clone());
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let told = settings_of(&["--listen=127.0.0.1:7", "--slo-success=95"]);
    let instance = Instance::new("api", &told);
    tasks.spawn(instance.run(db.clone(), stop.clone()));
    let [api] = &listed(&client, 1).await[..] else {
        panic!("there is one")
    };
    assert_eq!(
        (&api["service"], &api["running"], &api["pid"]),
        (&json!("api"), &json!(true), &json!(std::process::id()))
    );
    let expected = json!({
        "name": "SLO_SUCCESS", "flag": "--slo-success", "source": "command_line", "secret": false,
        "help": "How many attempts should succeed, in percent: what error budgets are reckoned from",
        "value": "95", "default": "99.9",
    });
    assert_eq!(setting(api, "SLO_SUCCESS"), &expected);

    let other = Instance::new("processor", &[]);
    tasks.spawn(other.run(db, CancellationToken::new()));
    let both = listed(&client, 2).await;
    assert_eq!(both[0]["service"], "processor", "the newest is first");
    let second = client.get("/instances?skip=1&limit=1").await.json();
    assert_eq!(second["items"][0]["id"], api["id"]);

    stop.cancel();
    tasks
        .join_next()
        .await
        .expect("a task")
        .expect("no panic")
        .expect("no error");
    assert_eq!(listed(&client, 1).await[0]["service"], "processor");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_killed_is_not_running_and_goes_after_an_hour(db: PgPool) {
    let client = Client::new(db.clone());
    for (service, seen) in [("lately", "80 s"), ("silent", "100 s"), ("gone", "61 min")] {
        let sql =
            "INSERT INTO instances (id, service, version, host, pid, started_at, seen_at, settings)
                   VALUES (gen_random_uuid(), $1, '0', 'h', 1, now() - interval '2 h',
                           now() - $2::text::interval, '[]')";
        let insert = sqlx::query(sql).bind(service).bind(seen);
        insert.execute(&db).await.expect("a row");
    }
    let mut tasks = JoinSet::new();
    assert_eq!(listed(&client, 3).await.len(), 3);
    tasks.spawn(Instance::new("new", &[]).run(db, CancellationToken::new()));
    let mut found = Vec::new();
    let deadline = Instant::now() + LONG;
    // It is there before the old one is gone.
    while !found.contains(&("new".to_owned(), true)) || found.len() != 3 {
        assert!(Instant::now() < deadline, "{found:?}");
        sleep(Duration::from_millis(20)).await;
        let items = client.get("/instances").await.json()["items"].clone();
        let items = items.as_array().expect("items").iter();
        found = items
            .map(|item| {
                (
                    item["service"].as_str().expect("text").to_owned(),
                    item["running"] == true,
                )
            })
            .collect();
    }
    for known in [("lately", true), ("silent", false)] {
        assert!(found.contains(&(known.0.to_owned(), known.1)), "{found:?}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_stop_does_not_wait_for_a_database_that_is_away(db: PgPool) {
    db.close().await;
    let held = sqlx::postgres::PgPoolOptions::new()
        .acquire_timeout(LONG)
        .connect_lazy("postgres://nobody@192.0.2.1/none")
        .expect("a URL");
    for db in [db, held] {
        let stop = CancellationToken::new();
        stop.cancel();
        let began = Instant::now();
        let ended = Instance::new("api", &[]).run(db, stop).await;
        assert!(ended.is_ok() && began.elapsed() < Duration::from_secs(5));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn settings_are_for_admins(db: PgPool) {
    let access = Access::by_keys(Some(&SecretString::from(ADMIN)));
    let admin = Client::with_access(db, access).with_token(ADMIN);
    assert_eq!(admin.get("/instances").await.status, StatusCode::OK);
    let new = json!({"name": "acme", "role": "subscriber", "owner": "acme"});
    let made = admin.post("/api-keys", &new).await.json();
    let acme = admin.as_somebody(made["key"].as_str());
    assert_eq!(acme.get("/instances").await.status, StatusCode::FORBIDDEN);
}

#[test]
fn no_secret_of_the_api_is_among_its_settings() {
    let settings = settings_of(&[
        "--admin-api-key=hunter2-0123456789abcdef0123456789",
        "--database-url=postgres://me:hunter2@here/x",
        "--kafka-sasl-password=hunter2",
        "--egress-proxy=http://me:hunter2@here",
        "--oidc-issuer=https://me:hunter2@here",
        "--oidc-client-id=us",
        "--oidc-client-secret=hunter2",
    ]);
    let said = format!("{settings:?}{}", json!(settings));
    assert!(
        !said.contains("hunter2") && !said.contains("AAAA"),
        "{said}"
    );
    let set = |setting: &&Setting| setting.secret && setting.source == Source::CommandLine;
    assert_eq!(settings.iter().filter(set).count(), 7, "{settings:?}");
}
