//! `/deliveries`.

mod actions;

use api::Access;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::recorded::Recorded;
use crate::support::{Answer, Client};

/// The pages of a list, read as `Link` says, each as the event ids that it has.
async fn pages(client: &Client, first: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (first.to_owned(), Vec::new());
    loop {
        let answer = client.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        pages.push(event_ids(&answer));
        match answer.header("link").split(['<', '>']).nth(1) {
            Some(next) => next.clone_into(&mut path),
            None => return pages,
        }
    }
}

fn event_ids(answer: &Answer) -> Vec<String> {
    let items = answer.json()["items"].as_array().cloned().expect("items");
    items
        .iter()
        .map(|item| item["event_id"].as_str().expect("an id").to_owned())
        .collect()
}

fn ids(offsets: impl IntoIterator<Item = i32>) -> Vec<String> {
    offsets
        .into_iter()
        .map(|at| format!("event-{at}"))
        .collect()
}

/// The one delivery of an event.
async fn only(client: &Client, event_id: &str) -> Value {
    let answer = client
        .get(&format!("/deliveries?event_id={event_id}"))
        .await;
    let items = answer.json()["items"].as_array().cloned().expect("items");
    assert_eq!(items.len(), 1, "{}", answer.text());
    items[0].clone()
}

fn path(delivery: &Value) -> String {
    format!("/deliveries/{}", delivery["id"].as_str().expect("an id"))
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_list_is_read_part_by_part_newest_first_and_each_delivery_once(db: PgPool) {
    let client = Client::new(db);
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    for offset in 1..=23 {
        let row = Recorded::new(if offset % 2 == 0 { one } else { other }, offset);
        row.write(&client.db).await;
    }
    // At the same moment, and tried before.
    let twin = Recorded::new(one, 9);
    twin.write(&client.db).await;
    let retried = Recorded {
        seconds_ago: 20.5,
        ..Recorded::new(one, 4)
    };
    retried.failed("pending").write(&client.db).await;

    let all = pages(&client, "/deliveries?limit=5").await;
    assert!(all.iter().all(|page| page.len() <= 5));
    let mut expected = ids(1..=23);
    expected.insert(8, "event-9".into());
    assert_eq!(all.concat(), expected);
    let of_one = pages(
        &client,
        &format!("/deliveries?limit=3&subscription_id={one}"),
    )
    .await;
    let mut evens = ids((2..=22).step_by(2));
    evens.insert(4, "event-9".into());
    assert_eq!(of_one.concat(), evens);
}

/// What is enough for a page is looked for in the last day first; some of these are older, and some
/// subscriptions have all the new ones.
#[sqlx::test(migrations = "../../migrations")]
async fn an_owners_list_is_the_same_however_its_deliveries_are_spread(db: PgPool) {
    let key = "the-admin-key-of-these-tests-0123456789";
    let admin = Client::with_access(db, Access::by_keys(Some(&key.into()))).with_token(key);
    let body = json!({"name": "a", "role": "subscriber", "owner": "acme"});
    let made = admin.post("/api-keys", &body).await.json();
    let acme = admin.as_somebody(made["key"].as_str());
    let (busy, slow) = (
        acme.subscription("busy").await,
        acme.subscription("slow").await,
    );
    let other = admin.subscription("of nobody").await;
    for offset in 1..=40 {
        let hours_ago = 3_600.0 * f64::from(offset);
        let row = Recorded {
            seconds_ago: hours_ago,
            ..Recorded::new(if offset % 7 == 0 { slow } else { busy }, offset)
        };
        row.write(&admin.db).await;
        let strange = Recorded {
            subscription: other,
            ..row
        };
        strange.write(&admin.db).await;
    }
    for limit in [1, 3, 10, 30, 100] {
        let listed = pages(&acme, &format!("/deliveries?limit={limit}")).await;
        assert_eq!(listed.concat(), ids(1..=40), "{limit}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_looked_for_is_found_behind_all_that_is_not(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let rows: Vec<Recorded> = (1..=30).map(|offset| Recorded::new(id, offset)).collect();
    for row in &rows[..26] {
        row.write(&client.db).await;
    }
    let oslo = Recorded {
        city: "Oslo",
        ..rows[26].clone()
    };
    oslo.write(&client.db).await;
    rows[27].clone().failed("dead").write(&client.db).await;
    let pending = rows[28].clone().failed("pending");
    pending.write(&client.db).await;
    pending.wait(&client.db).await;
    rows[29]
        .clone()
        .unposted("superseded")
        .write(&client.db)
        .await;
    for (query, expected) in [
        ("city=Oslo", ids([27])),
        ("status=dead", ids([28])),
        ("status=pending", ids([29])),
        ("status=superseded", ids([30])),
        ("status=expired", ids([])),
        ("status=cancelled", ids([])),
        ("failure=http_5xx", ids([28, 29])),
        ("failure=dns", ids([])),
        ("event_id=event-3", ids([3])),
        ("status=delivered&city=Oslo", ids([27])),
    ] {
        for scope in ["", &format!("&subscription_id={id}")] {
            let found = pages(&client, &format!("/deliveries?limit=2&{query}{scope}")).await;
            assert_eq!(found.concat(), expected, "{query}{scope}");
        }
    }
    let others = format!("/deliveries?subscription_id={}", Uuid::now_v7());
    assert_eq!(pages(&client, &others).await.concat(), ids([]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_list_covers_a_stretch_of_time(db: PgPool) {
    let client = Client::new(db);
    let mut times = Vec::new();
    for offset in 1..=6 {
        let time = Recorded::new(Uuid::nil(), offset).write(&client.db).await;
        times.push(time.to_rfc3339().replace('+', "%2B"));
    }
    let within = format!("/deliveries?limit=2&since={}&until={}", times[4], times[1]);
    assert_eq!(pages(&client, &within).await.concat(), ids([3, 4, 5]));
    sqlx::query("CREATE TABLE attempts_20261001 PARTITION OF attempts FOR VALUES FROM ('2026-10-01 00:00+00') TO ('2026-10-02 00:00+00')")
        .execute(&client.db)
        .await
        .expect("a day");
    let before = client.get("/deliveries?until=2026-09-30T00:00:00Z").await;
    assert_eq!(before.status, StatusCode::BAD_REQUEST);
    let said = before.json();
    assert_eq!(said["parameter"], "until");
    assert!(
        said["detail"]
            .as_str()
            .is_some_and(|it| it.contains("2026-10-01")),
        "{said}"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_delivery_shows_its_attempts_and_what_to_do(db: PgPool) {
    let client = Client::new(db);
    let first = Recorded {
        seconds_ago: 20.0,
        ..Recorded::new(client.subscription("a").await, 1)
    };
    let first = first.failed("pending");
    first.write(&client.db).await;
    let second = Recorded {
        number: 2,
        ..Recorded::new(first.subscription, 1)
    };
    second.write(&client.db).await;
    let shown = client
        .get(&path(&only(&client, "event-1").await))
        .await
        .json();
    assert_eq!(
        (&shown["status"], &shown["attempts_made"], &shown["city"]),
        (&json!("delivered"), &json!(2), &json!("Tokyo"))
    );
    let attempts = shown["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2);
    for (field, expected) in [
        ("number", json!(1)),
        ("posted", json!(true)),
        ("outcome", json!("pending")),
        ("status", json!(500)),
        ("failure", json!("http_5xx")),
        (
            "hint",
            json!("it failed by a fault of its own: look in its log"),
        ),
        (
            "latency_ms",
            json!({"dns": 1.204, "connect": 11.87, "tls": null, "first_byte": 40.018, "total": 78.112}),
        ),
        ("remote_address", json!("203.0.113.7:443")),
        ("reused_connection", json!(false)),
        ("tls_version", json!("TLS 1.3")),
        ("certificate_expires_in_days", json!(69)),
        ("request_headers", json!({"authorization": "[redacted]"})),
        ("response_headers", json!({"x-why": "disk"})),
        ("response", json!("no disk")),
    ] {
        assert_eq!(attempts[0][field], expected, "{field}");
    }
    assert_eq!(attempts[1]["hint"], "nothing: it was delivered");
    assert_eq!(attempts[1]["response"], Value::Null);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_replay_of_an_event_is_a_delivery_of_its_own(db: PgPool) {
    let client = Client::new(db);
    let plain = Recorded::new(Uuid::now_v7(), 1);
    plain.write(&client.db).await;
    let replayed = Recorded {
        replay: Some(Uuid::now_v7()),
        seconds_ago: 0.5,
        ..plain
    };
    replayed.failed("dead").write(&client.db).await;
    let answer = client.get("/deliveries").await.json();
    let statuses: Vec<&Value> = answer["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["status"])
        .collect();
    assert_eq!(statuses, [&json!("dead"), &json!("delivered")]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_waits_no_more_and_has_come_to_no_end_is_cancelled(db: PgPool) {
    let client = Client::new(db);
    let row = Recorded::new(Uuid::now_v7(), 1).unposted("pending");
    row.wait(&client.db).await;
    row.write(&client.db).await;
    assert_eq!(only(&client, "event-1").await["status"], "pending");
    sqlx::query("DELETE FROM pending_deliveries")
        .execute(&client.db)
        .await
        .expect("gone");
    let delivery = only(&client, "event-1").await;
    assert_eq!(delivery["status"], "cancelled");
    assert_eq!(delivery["next_attempt_at"], Value::Null);
    let found = pages(&client, "/deliveries?status=cancelled")
        .await
        .concat();
    assert_eq!(found, ids([1]));
    assert_eq!(
        pages(&client, "/deliveries?status=pending").await.concat(),
        ids([])
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_that_nobody_knows_is_not_found(db: PgPool) {
    let client = Client::new(db);
    let row = Recorded::new(Uuid::now_v7(), 1);
    row.write(&client.db).await;
    let one = path(&only(&client, "event-1").await);
    sqlx::query("DELETE FROM attempts")
        .execute(&client.db)
        .await
        .expect("gone");
    for (method, path) in [
        (Method::GET, one.clone()),
        (Method::POST, format!("{one}/retry")),
        (Method::DELETE, format!("{one}/content")),
        (Method::GET, "/events/event-1".into()),
    ] {
        let answer = client.call(method, &path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.json()["parameter"], "id");
    }
}
