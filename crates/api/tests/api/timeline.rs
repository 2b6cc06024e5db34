//! What happened to a subscription, as the processor wrote it down.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::Client;

/// Writes an event down as the processor does, that many minutes ago.
async fn happened(db: &PgPool, id: Uuid, minutes: i32, event_type: &str, more: serde_json::Value) {
    sqlx::query(
        r#"INSERT INTO operations (id, event_type, subscription_id, body, created_at)
         SELECT $1::uuid, $2::text, $3::uuid, (jsonb_build_object('id', $1, 'type', $2, 'timestamp',
             to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
             'subscription_id', $3, 'subscription_name', 'a') || $4::jsonb)::text, at
         FROM (SELECT now() - make_interval(mins => $5) AS at) AS moment"#,
    )
    .bind(Uuid::now_v7())
    .bind(event_type)
    .bind(id)
    .bind(more)
    .bind(minutes)
    .execute(db)
    .await
    .expect("an event");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_happened_is_told_newest_first_and_to_nobody_else(db: PgPool) {
    let client = Client::new(db.clone());
    let (id, other) = (
        client.subscription("a").await,
        client.subscription("other").await,
    );
    let opened = json!({"last_failure": "connect_refused", "failing_seconds": 10.4});
    happened(&db, id, 9, "subscription.circuit_opened", opened).await;
    happened(&db, id, 2, "subscription.circuit_closed", json!({})).await;
    let dead = json!({"reason": "exhausted", "count": 3, "attempts": 9, "last_status": 500});
    happened(&db, id, 5, "delivery.dead_lettered", dead).await;
    happened(&db, other, 1, "subscription.recovered", json!({})).await;

    let path = format!("/subscriptions/{id}/timeline");
    let answer = client.get(&path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let items = answer.json()["items"].as_array().expect("a list").clone();
    let types: Vec<_> = items.iter().map(|it| it["type"].clone()).collect();
    assert_eq!(
        types,
        [
            "subscription.circuit_closed",
            "delivery.dead_lettered",
            "subscription.circuit_opened"
        ]
    );
    assert_eq!(items[1]["count"], 3);
    assert_eq!(
        (&items[2]["last_failure"], &items[2]["failing_seconds"]),
        (&json!("connect_refused"), &json!(10.4))
    );
    let newest = client.get(&format!("{path}?limit=1")).await.json();
    assert_eq!(newest["items"], json!([items[0]]));

    let nobodys = format!("/subscriptions/{}/timeline", Uuid::now_v7());
    assert_eq!(client.get(&nobodys).await.status, StatusCode::NOT_FOUND);
    let wrong = client.get(&format!("{path}?limit=0")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}
