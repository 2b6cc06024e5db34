//! Where a subscription may point.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;

use crate::support::Client;

const REFUSED: [(&str, &str); 5] = [
    (
        "http://10.0.0.1/",
        "must not lead to 10.0.0.1, which is private",
    ),
    (
        "http://0xa9fea9fe/",
        "which is the metadata service of a cloud",
    ),
    ("http://[::ffff:127.0.0.1]:9099", "which is IPv4-mapped"),
    ("http://[fd00::1]/", "which is unique-local"),
    ("https://0.0.0.0/", "which is unspecified"),
];

#[sqlx::test(migrations = "../../migrations")]
async fn a_url_that_leads_to_an_address_which_is_not_allowed_is_refused(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let path = format!("/subscriptions/{id}");
    for (url, why) in REFUSED {
        for answer in [
            client
                .post("/subscriptions", &json!({"name": "b", "url": url}))
                .await,
            client.patch(&path, &json!({"url": url})).await,
        ] {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}");
            let problem = answer.json();
            assert_eq!(problem["code"], "invalid_field", "{url}");
            assert_eq!(problem["pointer"], "/url", "{url}");
            assert!(
                problem["detail"]
                    .as_str()
                    .is_some_and(|text| text.contains(why)),
                "{problem}"
            );
        }
    }
    assert_eq!(
        client.get(&path).await.json()["url"],
        "https://example.com/hook"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_that_was_allowed_once_can_be_changed_and_a_test_says_that_it_is_blocked(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    sqlx::query("UPDATE subscriptions SET url = 'http://10.0.0.1/'")
        .execute(&client.db)
        .await
        .expect("it is there");
    let path = format!("/subscriptions/{id}");
    let changed = client.patch(&path, &json!({"description": "old"})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text());
    let tested = client
        .post(&format!("{path}/test"), &json!({}))
        .await
        .json();
    assert_eq!(tested["failure"], "blocked_address", "{tested}");
    assert!(
        tested["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("EGRESS_ALLOW")),
        "{tested}"
    );
}
