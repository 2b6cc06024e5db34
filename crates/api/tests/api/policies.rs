//! The policy of a subscription, whether it gets events, and how its deliveries fare.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::Client;

fn policy() -> Value {
    json!({
        "retry_schedule": ["5s", "1m 30s", "2h"], "max_age": "6h", "timeout": "5s",
        "rate_limit": 12.5, "max_in_flight": 8, "ordering": "per_key",
        "coalesce": "latest_per_key", "filter": "event.reading > 30", "disable_after": "5d",
    })
}

fn defaults() -> Value {
    json!({
        "retry_schedule": null, "max_age": null, "timeout": null, "rate_limit": null,
        "max_in_flight": null, "ordering": "none", "coalesce": "none", "filter": null,
        "disable_after": null,
    })
}

fn assert_has(shown: &Value, fields: &Value) {
    for (field, value) in fields.as_object().expect("an object") {
        assert_eq!(&shown[field], value, "{field}");
    }
}

async fn run(client: &Client, sql: &'static str, id: Uuid) {
    sqlx::query(sql)
        .bind(id)
        .execute(&client.db)
        .await
        .expect(sql);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_policy_is_taken_shown_changed_and_cleared(db: PgPool) {
    let client = Client::new(db);
    let mut new = policy();
    (new["name"], new["url"]) = (json!("a"), json!("http://a"));
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_has(&made.json(), &policy());

    let plain = client.subscribe("b").await;
    assert_has(&plain, &defaults());
    let path = format!("/subscriptions/{}", plain["id"].as_str().expect("an id"));
    for (field, value) in policy().as_object().expect("an object") {
        let patched = client.patch(&path, &json!({field: value})).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
        assert_eq!(&patched.json()[field], value, "{field}");
    }
    assert_has(&client.get(&path).await.json(), &policy());
    for field in policy().as_object().expect("an object").keys() {
        let cleared = client.patch(&path, &json!({field: null})).await;
        assert_eq!(cleared.json()[field], defaults()[field], "{field}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_policy_is_named(db: PgPool) {
    let client = Client::new(db);
    let path = format!("/subscriptions/{}", client.subscription("a").await);
    for (field, value, pointer) in [
        ("retry_schedule", json!([]), "/retry_schedule"),
        ("retry_schedule", json!(vec!["1s"; 21]), "/retry_schedule"),
        ("retry_schedule", json!("5s"), "/retry_schedule"),
        ("retry_schedule", json!(["5s", "0s"]), "/retry_schedule/1"),
        ("retry_schedule", json!(["31d"]), "/retry_schedule/0"),
        ("retry_schedule", json!(["soon"]), "/retry_schedule/0"),
        ("retry_schedule", json!([5]), "/retry_schedule/0"),
        ("retry_schedule", json!(["-5s"]), "/retry_schedule/0"),
        ("max_age", json!("999ms"), "/max_age"),
        ("max_age", json!("366d"), "/max_age"),
        ("max_age", json!("99999999999999999999y"), "/max_age"),
        ("max_age", json!(""), "/max_age"),
        ("max_age", json!(6), "/max_age"),
        ("timeout", json!("999ms"), "/timeout"),
        ("timeout", json!("31s"), "/timeout"),
        ("rate_limit", json!(0), "/rate_limit"),
        ("rate_limit", json!(-1), "/rate_limit"),
        ("rate_limit", json!(100_001), "/rate_limit"),
        ("rate_limit", json!("50"), "/rate_limit"),
        ("max_in_flight", json!(0), "/max_in_flight"),
        ("max_in_flight", json!(1001), "/max_in_flight"),
        ("max_in_flight", json!(1.5), "/max_in_flight"),
        ("ordering", json!("strict"), "/ordering"),
        ("coalesce", json!(true), "/coalesce"),
        ("filter", json!(""), "/filter"),
        ("filter", json!("reading > 3"), "/filter"),
        ("filter", json!("x".repeat(1025)), "/filter"),
        ("filter", json!("event.city == '\0'"), "/filter"),
        ("filter", json!(7), "/filter"),
        ("disable_after", json!("59s"), "/disable_after"),
        ("disable_after", json!("366d"), "/disable_after"),
    ] {
        let mut new = json!({"name": "n", "url": "http://a"});
        new[field] = value.clone();
        for answer in [
            client.post("/subscriptions", &new).await,
            client.patch(&path, &json!({field: value})).await,
        ] {
            assert_eq!(
                answer.status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{field}: {value}"
            );
            assert_eq!(answer.json()["pointer"], pointer, "{field}: {value}");
        }
    }
    let broken = client
        .patch(&path, &json!({"filter": "true &&\n  event.reading >"}))
        .await;
    let detail = broken.json()["detail"].as_str().expect("a text").to_owned();
    assert!(detail.starts_with("line 2, column"), "{detail}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn pausing_and_resuming_may_be_repeated_and_not_while_disabled(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    for (call, state) in [
        ("pause", "paused"),
        ("enable", "paused"),
        ("resume", "active"),
    ] {
        let path = format!("/subscriptions/{id}/{call}");
        let once = client.post(&path, &json!({})).await;
        assert_eq!(once.status, StatusCode::OK, "{}", once.text());
        assert_eq!(once.json()["state"], state, "{call}");
        assert_eq!(client.post(&path, &json!({})).await.json(), once.json());
    }
    run(
        &client,
        "UPDATE subscriptions SET state = 'disabled' WHERE id = $1",
        id,
    )
    .await;
    for call in ["pause", "resume"] {
        let refused = client
            .post(&format!("/subscriptions/{id}/{call}"), &json!({}))
            .await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert_eq!(refused.json()["code"], "subscription_disabled");
        let path = format!("/subscriptions/{}/{call}", Uuid::now_v7());
        assert_eq!(
            client.post(&path, &json!({})).await.status,
            StatusCode::NOT_FOUND
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_may_mend_it_is_tried_at_once_where_its_circuit_is_open(db: PgPool) {
    let client = Client::new(db);
    for (n, (state, change, at_once)) in [
        ("open", json!({"url": "https://example.com/other"}), true),
        ("open", json!({"auth_key": "another"}), true),
        ("open", json!({"headers": {"X-Team": "weather"}}), true),
        (
            "open",
            json!({"description": "another", "timeout": "2s"}),
            false,
        ),
        ("open", json!({"url": "https://example.com/hook"}), false),
        // A probe is on its way.
        (
            "half_open",
            json!({"url": "https://example.com/other"}),
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let id = client.subscription(&n.to_string()).await;
        let sql =
            "INSERT INTO circuits (subscription_id, state, opened_at, probe_at, probe_delay_ms)
                   VALUES ($1, $2, now(), now() + interval '5 minutes', 600000)";
        let opened = sqlx::query(sql).bind(id).bind(state).execute(&client.db);
        opened.await.expect("a circuit");
        let patched = client.patch(&format!("/subscriptions/{id}"), &change).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
        let sql = "SELECT probe_at <= now() FROM circuits WHERE subscription_id = $1";
        let due: bool = sqlx::query_scalar(sql)
            .bind(id)
            .fetch_one(&client.db)
            .await
            .expect("the row");
        assert_eq!(due, at_once, "{state} {change}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_that_is_enabled_starts_with_a_probe(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    run(
        &client,
        "INSERT INTO circuits (subscription_id, state, failing_since, last_failure, opened_at,
                               last_failure_at, probe_at, probe_delay_ms, prober)
         VALUES ($1, 'half_open', now() - interval '5 days', 'timeout', now(), now(), now(),
                 600000, 'somebody')",
        id,
    )
    .await;
    let path = format!("/subscriptions/{id}/enable");
    let active = client.post(&path, &json!({})).await.json();
    assert_eq!(
        active["circuit"]["state"], "half_open",
        "it was not disabled"
    );
    assert_eq!(active["circuit"]["next_probe_at"], Value::Null);

    run(
        &client,
        "UPDATE subscriptions SET state = 'disabled' WHERE id = $1",
        id,
    )
    .await;
    let enabled = client.post(&path, &json!({})).await.json();
    assert_eq!(enabled["state"], "active");
    let circuit = &enabled["circuit"];
    assert_eq!(
        (&circuit["state"], &circuit["failing_since"]),
        (&json!("open"), &Value::Null)
    );
    assert_eq!(circuit["last_failure"], "timeout");
    assert!(circuit["next_probe_at"].is_string());
    let probe: (bool, i64, Option<String>) = sqlx::query_as(
        "SELECT probe_at BETWEEN now() + interval '3 s' AND now() + interval '5 s',
                probe_delay_ms, prober FROM circuits",
    )
    .fetch_one(&client.db)
    .await
    .expect("the row");
    assert_eq!(probe, (true, 5000, None));
    assert_eq!(client.post(&path, &json!({})).await.json(), enabled);
}

#[sqlx::test(migrations = "../../migrations")]
async fn how_deliveries_fare_is_shown_and_goes_with_the_subscription(db: PgPool) {
    let client = Client::new(db);
    let (id, other) = (
        client.subscription("a").await,
        client.subscription("b").await,
    );
    for sql in [
        "INSERT INTO circuits (subscription_id, state, last_failure) VALUES ($1, 'open', 'tls')",
        "INSERT INTO cursors (subscription_id, topic, partition, next_offset, retention_used)
         VALUES ($1, 'updates', 0, 7, 0.25), ($1, 'updates', 1, 9, 0.5)",
        "INSERT INTO cursors (subscription_id, topic, partition, next_offset, end_offset)
         VALUES ($1, 'updates', 2, 7, 9)",
        "INSERT INTO undelivered VALUES ($1, 'expired', 3), ($1, 'superseded', 4)",
    ] {
        run(&client, sql, id).await;
    }
    let shown = client.get(&format!("/subscriptions/{id}")).await.json();
    assert_eq!(shown["circuit"]["last_failure"], "tls");
    assert_eq!(
        (&shown["expired"], &shown["superseded"]),
        (&json!(3), &json!(4))
    );
    let held = &shown["held_back"];
    assert_eq!(
        (&held["partitions"], &held["retention_used"]),
        (&json!(2), &json!(0.5))
    );
    assert!(
        held["warning"]
            .as_str()
            .is_some_and(|text| text.starts_with("50 %")),
        "{held}"
    );
    let list = client.get("/subscriptions").await.json();
    assert_eq!(list["items"][0], shown);
    let plain = &list["items"][1];
    assert_eq!(plain["circuit"]["state"], "closed");
    assert_eq!(
        (&plain["held_back"], &plain["expired"]),
        (&Value::Null, &json!(0))
    );

    client.delete(&format!("/subscriptions/{id}")).await;
    let left: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM circuits) + (SELECT count(*) FROM cursors)
              + (SELECT count(*) FROM undelivered)",
    )
    .fetch_one(&client.db)
    .await
    .expect("a count");
    assert_eq!(left, 0);
    assert_eq!(
        client.get(&format!("/subscriptions/{other}")).await.status,
        StatusCode::OK
    );
}
