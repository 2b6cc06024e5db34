//! `/subscriptions`.

use axum::http::{Method, StatusCode};
use common::store::subscriptions::CHANGED;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::support::{Client, id_of};

const SECRET: &str = "jfask329489240krwjekjewlkjre";

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_made_can_be_read_where_location_says(db: PgPool) {
    let client = Client::new(db);
    let new = json!({
        "name": "all", "description": "two\nlines", "url": "http://localhost:9099/hook?a=b",
        "auth_key": SECRET, "event_types": ["temperature.*"], "cities": ["Tokyo", "São Paulo"],
    });
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED);

    let read = client.get(made.header("location")).await;
    assert_eq!(read.status, StatusCode::OK);
    let mut shown = made.json();
    shown
        .as_object_mut()
        .and_then(|shown| shown.remove("signing_secret"))
        .expect("the secret is shown once");
    assert_eq!(read.json(), shown);
    for field in ["name", "description", "url", "event_types", "cities"] {
        assert_eq!(read.json()[field], new[field], "{field}");
    }
    assert_eq!(read.json()["auth"], json!({"kind": "bearer"}));
    assert_eq!(read.json()["state"], "active");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_secret_is_never_read_back(db: PgPool) {
    let client = Client::new(db);
    let new = json!({"name": "a", "url": "http://a", "auth_key": SECRET});
    let made = client.post("/subscriptions", &new).await;
    let path = made.header("location");
    let patch = json!({"auth_key": SECRET, "description": "x"});
    for answer in [
        client.get(path).await,
        client.get("/subscriptions").await,
        client.patch(path, &patch).await,
        client
            .patch(path, &json!({"auth_key": format!("{SECRET} {SECRET}")}))
            .await,
        made,
    ] {
        assert!(!answer.text().contains(SECRET), "{}", answer.text());
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_name_is_taken_once(db: PgPool) {
    let client = Client::new(db);
    client.subscribe("a").await;
    let other = client.subscription("b").await;
    let again = client
        .post("/subscriptions", &json!({"name": "a", "url": "http://b"}))
        .await;
    let renamed = client
        .patch(&format!("/subscriptions/{other}"), &json!({"name": "a"}))
        .await;
    for refused in [again, renamed] {
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert_eq!(refused.json()["code"], "name_taken");
        assert_eq!(refused.json()["pointer"], "/name");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_list_is_oldest_first_and_cut_by_skip_and_limit(db: PgPool) {
    let client = Client::new(db);
    for name in ["a", "b", "c", "d"] {
        client.subscribe(name).await;
    }
    for (query, expected) in [
        ("", vec!["a", "b", "c", "d"]),
        ("?skip=1&limit=2", vec!["b", "c"]),
        ("?skip=4", vec![]),
        ("?limit=1000", vec!["a", "b", "c", "d"]),
    ] {
        let page = client.get(&format!("/subscriptions{query}")).await.json();
        let items = page["items"].as_array().expect("items");
        let names: Vec<&Value> = items.iter().map(|item| &item["name"]).collect();
        assert_eq!(names, expected, "{query}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_finds_subscriptions_by_text_state_and_what_they_suffer_from(db: PgPool) {
    let client = Client::new(db.clone());
    let mut ids = Vec::new();
    for (name, url, owner) in [
        ("Heat 100%", "https://example.com/acme", "acme"),
        ("frost", "https://example.com/HEAT", "globex"),
        ("wind", "https://example.com/w", "heaters"),
        ("rain", "https://example.com/r", "initech"),
    ] {
        let new = json!({"name": name, "url": url, "owner": owner});
        ids.push(id_of(&client.post("/subscriptions", &new).await.json()));
    }
    client
        .call(Method::POST, &format!("/subscriptions/{}/pause", ids[1]))
        .await;
    for (id, state) in [(ids[0], "open"), (ids[1], "closed"), (ids[2], "closed")] {
        let failing = "INSERT INTO circuits (subscription_id, state, failing_since)
             VALUES ($1, $2, now())";
        let done = sqlx::query(failing).bind(id).bind(state);
        done.execute(&db).await.expect("a circuit");
    }
    for (id, end) in [(ids[2], None), (ids[3], Some(9_i64))] {
        let held =
            "INSERT INTO cursors (subscription_id, topic, partition, next_offset, end_offset)
             VALUES ($1, 'updates', 0, 1, $2)";
        let done = sqlx::query(held).bind(id).bind(end);
        done.execute(&db).await.expect("a cursor");
    }
    let by_id = format!("q={}", ids[3].to_string().to_uppercase());
    for (query, found) in [
        ("q=heat", &[0, 1, 2][..]),
        ("q=HEAT&skip=1&limit=1", &[1]),
        // No character stands for others.
        ("q=100%25", &[0]),
        ("q=h%25t", &[]),
        ("q=_", &[]),
        (&*by_id, &[3]),
        ("state=paused", &[1]),
        ("state=active&q=heat", &[0, 2]),
        ("health=failing", &[0, 2]),
        ("health=circuit_open", &[0]),
        ("health=held_back", &[2]),
    ] {
        let answer = client.get(&format!("/subscriptions?{query}")).await.json();
        let items = answer["items"].as_array().expect("a list");
        let wanted: Vec<_> = found.iter().map(|at: &usize| ids[*at]).collect();
        assert_eq!(
            items.iter().map(id_of).collect::<Vec<_>>(),
            wanted,
            "{query}"
        );
    }
    for query in ["state=broken", "health=fine", "q=a%0Ab"] {
        let answer = client.get(&format!("/subscriptions?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_patch_changes_what_it_names_and_null_clears(db: PgPool) {
    let client = Client::new(db);
    let new = json!({
        "name": "a", "description": "d", "url": "http://a", "auth_key": "k",
        "event_types": ["temperature.updated"], "cities": ["Oslo"],
    });
    let made = client.post("/subscriptions", &new).await;
    let path = made.header("location");
    let cleared = json!({
        "auth": {"kind": "none"}, "description": null, "event_types": null, "cities": null,
    });
    for (patch, expected) in [
        (json!({"description": "e"}), json!({"description": "e"})),
        (
            json!({"name": "b", "url": "https://b/c"}),
            json!({"name": "b", "url": "https://b/c"}),
        ),
        (
            json!({"event_types": ["x.*"], "cities": ["Bergen"]}),
            json!({"event_types": ["x.*"], "cities": ["Bergen"]}),
        ),
        (json!({}), json!({})),
        (
            json!({"auth_key": null, "description": null, "event_types": null, "cities": null}),
            cleared,
        ),
        (
            json!({"auth_key": "k2"}),
            json!({"auth": {"kind": "bearer"}}),
        ),
    ] {
        let before = client.get(path).await.json();
        let after = client.patch(path, &patch).await;
        assert_eq!(after.status, StatusCode::OK, "{}", after.text());
        assert_changed(&before, &after.json(), &expected);
        assert_eq!(client.get(path).await.json(), after.json());
    }
}

/// Everything but `updated_at` is as before, or as `expected` has it.
fn assert_changed(before: &Value, after: &Value, expected: &Value) {
    for (field, value) in before.as_object().expect("an object") {
        let wanted = expected.get(field).unwrap_or(value);
        assert!(
            field == "updated_at" || &after[field] == wanted,
            "{field}: {}",
            after[field]
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn removal_ends_pending_deliveries_and_keeps_dead_letters(db: PgPool) {
    let client = Client::new(db);
    let (gone, other) = (
        client.subscription("gone").await,
        client.subscription("other").await,
    );
    for subscription in [gone, other] {
        let dead = client.dead_letter(Some(subscription), 1).await;
        client.post("/dlqs", &json!({"dlqs": [dead]})).await;
    }
    let kept = client.dead_letter(Some(gone), 2).await;

    let path = format!("/subscriptions/{gone}");
    assert_eq!(client.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.delete(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(client.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        (client.pending(gone).await, client.pending(other).await),
        (0, 1)
    );
    assert_eq!(
        client.get(&format!("/dlqs/{kept}")).await.status,
        StatusCode::OK
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn enabling_clears_why_it_was_disabled_and_may_be_repeated(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    sqlx::query("UPDATE subscriptions SET state = 'disabled', disabled_reason = 'gone', disabled_at = now()")
        .execute(&client.db)
        .await
        .expect("disabled");
    let disabled = client.get(&format!("/subscriptions/{id}")).await.json();
    assert_eq!(
        (&disabled["state"], &disabled["disabled_reason"]),
        (&json!("disabled"), &json!("gone"))
    );

    let path = format!("/subscriptions/{id}/enable");
    let enabled = client.post(&path, &json!({})).await;
    assert_eq!(enabled.status, StatusCode::OK);
    assert_eq!(enabled.json()["state"], "active");
    assert_eq!(enabled.json()["disabled_reason"], Value::Null);
    assert_eq!(enabled.json()["disabled_at"], Value::Null);
    assert_eq!(client.post(&path, &json!({})).await.json(), enabled.json());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_subscription_nobody_knows_is_not_found(db: PgPool) {
    let client = Client::new(db);
    let path = format!("/subscriptions/{}", Uuid::now_v7());
    for answer in [
        client.get(&path).await,
        client.patch(&path, &json!({"name": "x"})).await,
        client.delete(&path).await,
        client.post(&format!("{path}/enable"), &json!({})).await,
    ] {
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.json()["code"], "not_found");
        assert_eq!(answer.json()["parameter"], "id");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn processors_are_told_of_each_change_and_of_nothing_else(db: PgPool) {
    let client = Client::new(db);
    let mut changes = PgListener::connect_with(&client.db)
        .await
        .expect("a listener");
    changes.listen(CHANGED).await.expect("to listen");

    let id = id_of(&client.subscribe("a").await);
    let path = format!("/subscriptions/{id}");
    client.patch(&path, &json!({"url": "http://b"})).await;
    // It is active: nothing changes, nobody is told.
    client.post(&format!("{path}/enable"), &json!({})).await;
    client.delete(&path).await;
    let other = id_of(&client.subscribe("b").await);
    for expected in [id, id, id, other] {
        let told = changes.recv().await.expect("a notification");
        assert_eq!(told.payload(), expected.to_string());
    }
}
