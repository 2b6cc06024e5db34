//! `/dlqs/groups`.

use api::Access;
use axum::http::{Method, StatusCode};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Answer, Client};

/// Dead letters that failed alike, each a second younger than the one before; the first was here so long
/// ago as there are, and is of the offset `from`.
#[derive(Clone, Copy)]
struct Alike {
    of: Option<Uuid>,
    reason: &'static str,
    error: Option<&'static str>,
    from: i32,
    count: i32,
}

impl Alike {
    fn new(of: Uuid, count: i32) -> Self {
        Self {
            of: Some(of),
            reason: "exhausted",
            error: Some("http_5xx"),
            from: 0,
            count,
        }
    }

    async fn write(self, db: &PgPool) {
        sqlx::query(
            "INSERT INTO dead_letters (subscription_id, topic, partition, event_offset, event_id,
                payload, reason, attempts, last_error, created_at)
             SELECT $1, 'updates', 3, at, 'event-' || at, '{}', $2, 9, $3,
                    now() - make_interval(secs => $4 + $5 - at)
             FROM generate_series($4, $4 + $5 - 1) AS at",
        )
        .bind(self.of)
        .bind(self.reason)
        .bind(self.error)
        .bind(self.from)
        .bind(self.count)
        .execute(db)
        .await
        .expect("dead letters");
    }

    /// What names it in the body of a request.
    fn body(self) -> Value {
        json!({"subscription_id": self.of, "reason": self.reason, "last_error": self.error})
    }

    /// What is listed of it, but for its times.
    fn listed(self) -> Value {
        let mut listed = self.body();
        listed["count"] = json!(self.count);
        listed
    }
}

/// The groups of a page, without their times.
async fn groups(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/dlqs/groups{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let mut items = answer.json()["items"].as_array().cloned().expect("items");
    for item in &mut items {
        let item = item.as_object_mut().expect("a group");
        let times = (item.remove("oldest_at"), item.remove("newest_at"));
        assert!(matches!(
            times,
            (Some(Value::String(_)), Some(Value::String(_)))
        ));
    }
    items
}

async fn send(client: &Client, body: &Value) -> Answer {
    client.post("/dlqs/groups", body).await
}

/// What a good answer says.
async fn sent(client: &Client, body: &Value) -> (u64, u64, Value) {
    let answer = send(client, body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
    let said = answer.json();
    let count = |field: &str| said[field].as_u64().expect("a count");
    (
        count("requeued"),
        count("remaining"),
        said["requeued_at"].clone(),
    )
}

async fn left(client: &Client) -> i64 {
    let left = sqlx::query_scalar("SELECT count(*) FROM dead_letters");
    left.fetch_one(&client.db).await.expect("a count")
}

#[sqlx::test(migrations = "../../migrations")]
async fn all_that_failed_alike_is_a_group_and_the_largest_is_first(db: PgPool) {
    let client = Client::new(db);
    let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let no_event = |error, from, count| Alike {
        of: None,
        reason: "malformed",
        error: Some(error),
        from,
        count,
    };
    let of_one = |reason, error, count| Alike {
        reason,
        error,
        ..Alike::new(one, count)
    };
    let all = [
        of_one("exhausted", Some("http_5xx"), 1500),
        Alike::new(other, 4),
        of_one("exhausted", Some("timeout"), 3),
        of_one("exhausted", None, 3),
        of_one("gone", Some("gone"), 3),
        no_event("it is not a JSON object", 0, 3),
        no_event("another", 3, 1),
    ];
    for alike in all.iter().rev() {
        alike.write(&client.db).await;
    }
    let listed = all.map(Alike::listed).to_vec();
    assert_eq!(groups(&client, "").await, listed);
    for (query, expected) in [
        ("?skip=1&limit=3", listed[1..4].to_vec()),
        ("?skip=7", vec![]),
        ("?reason=malformed", listed[5..].to_vec()),
        ("?reason=gone&last_error=gone", listed[4..5].to_vec()),
        ("?last_error=http_5xx", listed[..2].to_vec()),
        ("?last_error=another", listed[6..].to_vec()),
        ("?last_error=", listed[3..4].to_vec()),
        ("?last_error=http_5x", vec![]),
    ] {
        assert_eq!(groups(&client, query).await, expected, "{query}");
    }
    let of = |query: &str| format!("?subscription_id={one}{query}");
    let own = [&listed[..1], &listed[2..5]].concat();
    assert_eq!(groups(&client, &of("")).await, own);
    assert_eq!(groups(&client, &of("&skip=1&limit=2")).await, own[1..3]);
    assert_eq!(groups(&client, &of("&last_error=")).await, own[2..3]);
    let none = groups(&client, &of("&reason=malformed")).await;
    assert_eq!(none.len(), 0);

    let sql =
        "SELECT min(created_at), max(created_at) FROM dead_letters WHERE subscription_id = $1";
    let times = sqlx::query_as(sql).bind(other).fetch_one(&client.db).await;
    let times: (DateTime<Utc>, DateTime<Utc>) = times.expect("times");
    let shown = client
        .get(&format!("/dlqs/groups?subscription_id={other}"))
        .await;
    let shown = shown.json()["items"][0].clone();
    assert_eq!(
        (&shown["oldest_at"], &shown["newest_at"]),
        (&json!(times.0), &json!(times.1))
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn groups_are_ones_own_and_those_of_what_was_removed_are_for_admins(db: PgPool) {
    let key = "the-admin-key-of-these-tests-0123456789";
    let admin = Client::with_access(db, Access::by_keys(Some(&key.into()))).with_token(key);
    let mut owners = Vec::new();
    for owner in ["acme", "other"] {
        let body = json!({"name": owner, "role": "subscriber", "owner": owner});
        let made = admin.post("/api-keys", &body).await.json();
        owners.push(admin.as_somebody(made["key"].as_str()));
    }
    let [acme, other] = &owners[..] else {
        panic!("two")
    };
    let (kept, removed) = (acme.subscription("a").await, acme.subscription("b").await);
    for (of, count) in [(kept, 2), (removed, 1)] {
        Alike::new(of, count).write(&admin.db).await;
    }
    admin.dead_letter(None, 9).await;
    assert_eq!(groups(acme, "").await.len(), 2);
    assert_eq!(groups(other, "").await.len(), 0);
    let of_kept = format!("?subscription_id={kept}");
    assert_eq!(groups(other, &of_kept).await.len(), 0);
    assert_eq!(
        send(other, &Alike::new(kept, 0).body()).await.status,
        StatusCode::NOT_FOUND
    );

    acme.delete(&format!("/subscriptions/{removed}")).await;
    assert_eq!(groups(acme, "").await, [Alike::new(kept, 2).listed()]);
    assert_eq!(groups(&admin, "").await.len(), 3);
    for client in [acme, &admin] {
        let gone = send(client, &Alike::new(removed, 0).body()).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{}", gone.text());
        assert_eq!(gone.json()["code"], "not_found");
    }
    assert_eq!(left(&admin).await, 4);
    assert_eq!(sent(acme, &Alike::new(kept, 0).body()).await.0, 2);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_group_is_sent_again_oldest_first_and_repeating_ends_though_it_fails_again(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let group = Alike::new(id, 10_050);
    group.write(&client.db).await;
    let others = [
        Alike {
            error: Some("timeout"),
            ..Alike::new(id, 1)
        },
        Alike {
            error: None,
            ..Alike::new(id, 2)
        },
        Alike::new(client.subscription("b").await, 3),
    ];
    for other in others {
        other.write(&client.db).await;
    }
    let (requeued, remaining, at) = sent(&client, &group.body()).await;
    assert_eq!((requeued, remaining), (10_000, 50));
    assert_eq!(client.pending(id).await, 10_000);
    let oldest = "SELECT min(event_offset) FROM dead_letters
                  WHERE subscription_id = $1 AND last_error = 'http_5xx'";
    let oldest: i64 = sqlx::query_scalar(oldest)
        .bind(id)
        .fetch_one(&client.db)
        .await
        .expect("an offset");
    assert_eq!(oldest, 10_000);
    let recorded = "SELECT count(*) FROM attempts WHERE attempted_at = $1::text::timestamptz
                    AND number = 0 AND outcome = 'pending'";
    let recorded: i64 = sqlx::query_scalar(recorded)
        .bind(at.as_str())
        .fetch_one(&client.db)
        .await
        .expect("a count");
    assert_eq!(recorded, 10_000);

    // Some fail again.
    let again = client.dead_letter(Some(id), 1).await;
    let mut body = group.body();
    body["until"] = at;
    let (requeued, remaining, later) = sent(&client, &body).await;
    assert_eq!((requeued, remaining), (50, 0));
    assert_ne!(later, body["until"]);
    assert_eq!(sent(&client, &body).await, (0, 0, Value::Null));
    assert_eq!(
        client.get(&format!("/dlqs/{again}")).await.status,
        StatusCode::OK
    );
    let expected = [
        others[2].listed(),
        others[1].listed(),
        Alike::new(id, 1).listed(),
    ];
    let listed = groups(&client, "").await;
    assert!(expected.iter().all(|it| listed.contains(it)), "{listed:?}");

    let audit = client.get("/audit?kind=dead_letter").await.json();
    let changes: Vec<_> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|it| (it["action"].clone(), it["changes"].clone()))
        .collect();
    let change = |requeued: u64, until: &Value| {
        let mut change = group.body();
        (change["requeued"], change["until"]) = (json!(requeued), until.clone());
        (json!("reprocess"), change)
    };
    assert_eq!(
        changes,
        [change(50, &body["until"]), change(10_000, &Value::Null)]
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn those_without_an_error_are_a_group_of_their_own(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let without = Alike {
        error: None,
        ..Alike::new(id, 3)
    };
    without.write(&client.db).await;
    Alike::new(id, 2).write(&client.db).await;
    let left_out = json!({"subscription_id": id, "reason": "exhausted"});
    assert_eq!(sent(&client, &left_out).await.0, 3);
    assert_eq!(sent(&client, &without.body()).await, (0, 0, Value::Null));
    assert_eq!(left(&client).await, 2);
    let gone = json!({"subscription_id": id, "reason": "gone", "last_error": "http_5xx"});
    assert_eq!(sent(&client, &gone).await, (0, 0, Value::Null));
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_two_calls_at_once_each_letter_is_moved_by_one(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let group = Alike::new(id, 12_000);
    group.write(&client.db).await;
    let body = group.body();
    let (one, two) = tokio::join!(sent(&client, &body), sent(&client, &body));
    assert_eq!(one.0 + two.0, 12_000, "{one:?} {two:?}");
    assert_eq!((left(&client).await, client.pending(id).await), (0, 12_000));
    let rows = sqlx::query_scalar("SELECT count(*) FROM attempts");
    let rows: i64 = rows.fetch_one(&client.db).await.expect("a count");
    assert_eq!(rows, 12_000);
}

/// By their ids, in the other order.
#[sqlx::test(migrations = "../../migrations")]
async fn what_another_call_moves_by_its_id_is_not_moved_with_its_group(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let group = Alike::new(id, 900);
    group.write(&client.db).await;
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM dead_letters ORDER BY id DESC")
        .fetch_all(&client.db)
        .await
        .expect("ids");
    let (by_id, by_group) = (json!({"dlqs": ids}), group.body());
    let (by_id, by_group) = tokio::join!(client.post("/dlqs", &by_id), sent(&client, &by_group));
    assert_eq!(by_id.status, StatusCode::ACCEPTED);
    let by_id = by_id.json()["requeued"].as_array().map_or(0, Vec::len);
    assert_eq!(by_id as u64 + by_group.0, 900);
    assert_eq!((left(&client).await, client.pending(id).await), (0, 900));
}

#[sqlx::test(migrations = "../../migrations")]
async fn removal_while_a_group_is_sent_leaves_no_orphan(db: PgPool) {
    let client = Client::new(db);
    for round in 0..10 {
        let id = client.subscription(&format!("a{round}")).await;
        let group = Alike::new(id, 20);
        group.write(&client.db).await;
        let (path, body) = (format!("/subscriptions/{id}"), group.body());
        let (done, removed) =
            tokio::join!(send(&client, &body), client.call(Method::DELETE, &path));
        let allowed = [StatusCode::ACCEPTED, StatusCode::NOT_FOUND];
        assert!(allowed.contains(&done.status), "{}", done.text());
        assert_eq!(removed.status, StatusCode::NO_CONTENT);
        assert_eq!(client.pending(id).await, 0);
    }
}
