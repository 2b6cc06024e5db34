//! The trail of what was changed.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::admin;
use crate::support::Client;

#[sqlx::test(migrations = "../../migrations")]
async fn each_change_is_in_the_audit_without_secrets(db: PgPool) {
    let admin = admin(db);
    let acme = admin.subscriber("acme").await;
    let new = json!({"name": "a", "url": "http://a", "auth_key": "a-secret-nobody-sees"});
    let path = acme
        .post("/subscriptions", &new)
        .await
        .header("location")
        .to_owned();
    acme.patch(
        &path,
        &json!({"url": "http://b", "auth_key": "another-secret"}),
    )
    .await;
    for state in ["pause", "pause", "resume"] {
        acme.post(&format!("{path}/{state}"), &json!({})).await;
    }
    let dead = admin.dead_letter(Some(id_at(&path)), 1).await;
    acme.post("/dlqs", &json!({"dlqs": [dead]})).await;
    acme.delete(&path).await;
    // What is refused, or changes nothing, is no change.
    acme.delete(&path).await;

    let audit = admin.get("/audit?who=").await;
    assert_eq!(audit.status, StatusCode::BAD_REQUEST);
    let audit = admin.get("/audit").await;
    assert!(!audit.text().contains("secret"), "{}", audit.text());
    let items = audit.json()["items"].as_array().cloned().expect("items");
    let actions: Vec<&str> = items
        .iter()
        .filter_map(|item| item["action"].as_str())
        .collect();
    let expected = [
        "delete",
        "reprocess",
        "resume",
        "pause",
        "update",
        "create",
        "create",
    ];
    assert_eq!(actions, expected);
    assert_eq!(
        items[4]["changes"],
        json!({"auth": "changed", "url": "http://b"})
    );
    assert_eq!(
        (&items[6]["who"], &items[6]["kind"]),
        (&json!("admin-key"), &json!("api_key"))
    );
    assert!(
        items[0]["who"]
            .as_str()
            .is_some_and(|who| who.starts_with("key:"))
    );
    assert_eq!(items[0]["request_id"].as_str().map(str::len), Some(36));
    let seen = paged(&admin, "/audit?limit=3&kind=subscription").await;
    assert_eq!(seen, 5);
}

/// How many there are, read part by part as `Link` says.
async fn paged(admin: &Client, first: &str) -> usize {
    let (mut path, mut seen) = (first.to_owned(), 0);
    loop {
        let answer = admin.get(&path).await;
        seen += answer.json()["items"].as_array().map_or(0, Vec::len);
        match answer.header("link").split(['<', '>']).nth(1) {
            Some(next) => next.clone_into(&mut path),
            None => return seen,
        }
    }
}

fn id_at(path: &str) -> Uuid {
    let id = path.rsplit('/').next().expect("an id");
    id.parse().expect("an id")
}
