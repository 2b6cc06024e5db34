//! Wrong ids, groups and parameters of dead letters.

use serde_json::json;
use sqlx::PgPool;

use super::assert_problem;
use crate::support::Client;

#[sqlx::test(migrations = "../../migrations")]
async fn what_to_reprocess_must_be_1_to_1000_ids(db: PgPool) {
    let client = Client::new(db);
    for (body, pointer) in [
        (json!({}), "/dlqs"),
        (json!({"dlqs": []}), "/dlqs"),
        (json!({"dlqs": vec![1; 1001]}), "/dlqs"),
        (json!({"dlqs": [1, "2"]}), "/dlqs/1"),
        (json!({"dlqs": [1.5]}), "/dlqs/0"),
        (json!({"dlqs": [18_446_744_073_709_551_615_u64]}), "/dlqs/0"),
        (json!({"dlqs": 1}), "/dlqs"),
        (json!({"dlqs": [1], "force": true}), "/force"),
    ] {
        let answer = client.post("/dlqs", &body).await;
        assert_problem(&answer, 422, "invalid_field");
        assert_eq!(answer.json()["pointer"], pointer, "{body}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_group_to_reprocess_is_named_by_what_it_is(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    for (field, value, pointer) in [
        ("subscription_id", json!("nobody"), "/subscription_id"),
        ("subscription_id", json!(null), "/subscription_id"),
        ("reason", json!("malformed"), "/reason"),
        ("reason", json!("bored"), "/reason"),
        ("reason", json!(null), "/reason"),
        ("last_error", json!(""), "/last_error"),
        ("last_error", json!("a\0"), "/last_error"),
        ("last_error", json!("x".repeat(201)), "/last_error"),
        ("last_error", json!(5), "/last_error"),
        ("until", json!("yesterday"), "/until"),
        ("until", json!("2026-11-23"), "/until"),
        ("until", json!(0), "/until"),
        ("force", json!(true), "/force"),
    ] {
        let mut body = json!({"subscription_id": id, "reason": "exhausted"});
        body[field] = value;
        let answer = client.post("/dlqs/groups", &body).await;
        assert_problem(&answer, 422, "invalid_field");
        assert_eq!(answer.json()["pointer"], pointer, "{body}");
    }
    for (body, pointer) in [
        (json!({"reason": "exhausted"}), "/subscription_id"),
        (json!({"subscription_id": id}), "/reason"),
    ] {
        let answer = client.post("/dlqs/groups", &body).await;
        assert_problem(&answer, 422, "invalid_field");
        assert_eq!(answer.json()["pointer"], pointer, "{body}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_parameter_of_a_list_is_named(db: PgPool) {
    let client = Client::new(db);
    let long = format!("last_error={}", "x".repeat(301));
    for list in ["/dlqs", "/dlqs/groups"] {
        for (query, parameter) in [
            ("subscription_id=nobody", "subscription_id"),
            ("subscription_id=%00", "subscription_id"),
            ("reason=bored", "reason"),
            ("reason=%00", "reason"),
            ("last_error=a%00", "last_error"),
            (&*long, "last_error"),
            ("last_error=a&last_error=b", "last_error"),
            ("cause=a", "cause"),
        ] {
            let answer = client.get(&format!("{list}?{query}")).await;
            assert_problem(&answer, 400, "invalid_parameter");
            assert_eq!(answer.json()["parameter"], parameter, "{list}?{query}");
        }
    }
    for (path, parameter) in [
        ("/dlqs?after=", "after"),
        ("/dlqs?after=a", "after"),
        ("/dlqs?after=99999999999999999999", "after"),
        ("/dlqs/groups?after=1", "after"),
        ("/dlqs/reprocessed", "at"),
        ("/dlqs/reprocessed?at=", "at"),
        ("/dlqs/reprocessed?at=yesterday", "at"),
        ("/dlqs/reprocessed?at=2026-11-23", "at"),
        ("/dlqs/reprocessed?at=%00", "at"),
        ("/dlqs/reprocessed?at=2026-11-23T21:00:00Z&limit=1", "limit"),
    ] {
        let answer = client.get(path).await;
        assert_problem(&answer, 400, "invalid_parameter");
        assert_eq!(answer.json()["parameter"], parameter, "{path}");
    }
    for at in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        let answer = client.get(&format!("/dlqs/reprocessed?at={at}")).await;
        assert_problem(&answer, 404, "not_found");
    }
}
