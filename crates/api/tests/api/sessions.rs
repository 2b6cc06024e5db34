//! Signing in by a link, and by a provider; what a session may do, and when it ends.

mod provider;

use axum::http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;

use api::Access;

use crate::support::{Answer, Client, id_of};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

fn admin(db: PgPool) -> Client {
    let access = Access::by_keys(Some(&SecretString::from(ADMIN)));
    Client::with_access(db, access).with_token(ADMIN)
}

/// Makes a link; gives the token that is in it.
async fn link(admin: &Client, body: &Value) -> String {
    let made = admin.post("/portal-links", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let made = made.json();
    let url = made["url"].as_str().expect("a URL").to_owned();
    let (page, token) = url.split_once("?link=").expect("a token");
    assert_eq!(page, "http://localhost:9090/console/portal");
    token.to_owned()
}

async fn enter(client: &Client, token: &str) -> Answer {
    let nobody = client.as_somebody(None);
    nobody
        .post("/sessions", &json!({"portal_link": token}))
        .await
}

async fn signed_in(client: &Client, token: &str) -> (Value, Client) {
    let session = enter(client, token).await;
    assert_eq!(session.status, StatusCode::CREATED, "{}", session.text());
    let session = session.json();
    let client = client.as_somebody(session["key"].as_str());
    (session, client)
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_link_signs_one_owner_in_once(db: PgPool) {
    let admin = admin(db);
    let token = link(&admin, &json!({"owner": "acme"})).await;
    let (session, acme) = signed_in(&admin, &token).await;
    assert_eq!(session["role"], "subscriber");
    assert_eq!(session["owner"], "acme");
    assert_eq!(session["scopes"], json!(["read", "write"]));
    assert_eq!(acme.subscribe("a").await["owner"], "acme");
    let others = admin.subscription("of nobody").await;
    let path = format!("/subscriptions/{others}");
    assert_eq!(acme.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(acme.get("/audit").await.status, StatusCode::FORBIDDEN);
    let wanted = json!({"owner": "other"});
    let refused = acme.post("/portal-links", &wanted).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let again = enter(&admin, &token).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN);
    assert_eq!(again.json()["code"], "forbidden");
    assert!(again.text().contains("used already"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_many_who_use_a_link_at_once_one_is_let_in(db: PgPool) {
    let admin = admin(db);
    let token = link(&admin, &json!({"owner": "acme"})).await;
    let all = futures_util::future::join_all((0..8).map(|_| enter(&admin, &token))).await;
    let let_in = all
        .iter()
        .filter(|answer| answer.status == StatusCode::CREATED);
    assert_eq!(let_in.count(), 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_link_that_is_old_or_never_was_is_none_and_nothing_keeps_its_token(db: PgPool) {
    let admin = admin(db);
    let token = link(&admin, &json!({"owner": "acme"})).await;
    let kept: String = sqlx::query_scalar("SELECT portal_links::text FROM portal_links")
        .fetch_one(&admin.db)
        .await
        .expect("a row");
    assert!(!kept.contains(token.trim_start_matches("tw_link_")));
    assert!(!admin.get("/audit").await.text().contains(&token));
    sqlx::query("UPDATE portal_links SET expires_at = now()")
        .execute(&admin.db)
        .await
        .expect("changed");
    for token in [&*token, "tw_link_", "", ADMIN] {
        let refused = enter(&admin, token).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{token}");
    }
    link(&admin, &json!({"owner": "acme"})).await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM portal_links")
        .fetch_one(&admin.db)
        .await
        .expect("a count");
    assert_eq!(left, 1, "the old one is swept up");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_link_that_is_asked_for_wrongly_is_refused_with_the_field(db: PgPool) {
    let admin = admin(db);
    for (body, pointer) in [
        (json!({}), "/owner"),
        (json!({"owner": ""}), "/owner"),
        (json!({"owner": "a", "scopes": []}), "/scopes"),
        (json!({"owner": "a", "scopes": ["write"]}), "/scopes"),
        (json!({"owner": "a", "scopes": ["read", "read"]}), "/scopes"),
        (json!({"owner": "a", "role": "admin"}), "/role"),
    ] {
        let refused = admin.post("/portal-links", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(refused.json()["pointer"], pointer, "{body}");
    }
    for body in [
        json!({}),
        json!({"portal_link": 7}),
        json!({"portal_link": "a", "oidc": {}}),
        json!({"oidc": {"attempt": "a"}}),
        json!({"key": "secret-of-somebody"}),
    ] {
        let refused = admin.post("/sessions", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_session_ends_when_it_is_told_to_and_when_an_admin_revokes_it(db: PgPool) {
    let admin = admin(db);
    let only_looks = json!({"owner": "acme", "scopes": ["read"]});
    let (session, reader) = signed_in(&admin, &link(&admin, &only_looks).await).await;
    let new = json!({"name": "a", "url": "https://example.com"});
    let refused = reader.post("/subscriptions", &new).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let ended = reader.delete("/sessions/current").await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(reader.get("/stats").await.status, StatusCode::UNAUTHORIZED);

    let token = link(&admin, &json!({"owner": "acme"})).await;
    let (other, acme) = signed_in(&admin, &token).await;
    let id = id_of(&other);
    assert_eq!(acme.get("/stats").await.status, StatusCode::OK);
    let revoked = admin.delete(&format!("/api-keys/{id}")).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(acme.get("/stats").await.status, StatusCode::UNAUTHORIZED);

    let listed = admin.get("/api-keys?kind=session").await.json();
    let ids: Vec<_> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(id_of)
        .collect();
    assert_eq!(ids, [id_of(&session), id]);
    assert_eq!(
        admin.get("/api-keys?kind=key").await.json()["items"],
        json!([])
    );
    let none = admin.delete("/sessions/current").await;
    assert_eq!(none.status, StatusCode::CONFLICT);
    assert_eq!(none.json()["code"], "no_session");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_audit_says_who_made_the_link_who_used_it_and_what_was_done_then(db: PgPool) {
    let admin = admin(db);
    let made = admin
        .post("/portal-links", &json!({"owner": "acme"}))
        .await
        .json();
    let token = made["url"]
        .as_str()
        .expect("a URL")
        .split("?link=")
        .nth(1)
        .expect("a token");
    let (session, acme) = signed_in(&admin, token).await;
    let subscription = acme.subscription("a").await;
    acme.delete("/sessions/current").await;
    let (link, session) = (id_of(&made), id_of(&session));
    let audit = admin.get("/audit").await.json();
    let told: Vec<_> = audit["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|entry| {
            ["who", "action", "kind", "object_id"].map(|name| entry[name].as_str().expect(name))
        })
        .collect();
    let (by_link, in_session) = (format!("portal-link:{link}"), format!("session:{session}"));
    let ids = [session, subscription, link].map(|id| id.to_string());
    assert_eq!(
        told,
        [
            [&*in_session, "end", "session", &*ids[0]],
            [&*in_session, "create", "subscription", &*ids[1]],
            [&*by_link, "begin", "session", &*ids[0]],
            ["admin-key", "create", "portal_link", &*ids[2]],
        ]
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn sessions_that_ended_long_ago_are_swept_up_and_keys_never(db: PgPool) {
    let admin = admin(db);
    let key = json!({"name": "k", "role": "admin", "expires_at": "2020-01-01T00:00:00Z"});
    admin.post("/api-keys", &key).await;
    for _ in 0..2 {
        signed_in(&admin, &link(&admin, &json!({"owner": "acme"})).await).await;
    }
    let listed = admin.get("/api-keys?kind=session").await.json();
    sqlx::query("UPDATE api_keys SET expires_at = now() - interval '25 hours' WHERE id = $1")
        .bind(id_of(&listed["items"][0]))
        .execute(&admin.db)
        .await
        .expect("changed");
    signed_in(&admin, &link(&admin, &json!({"owner": "acme"})).await).await;
    let count = async |kind: &str| {
        let listed = admin.get(&format!("/api-keys?kind={kind}")).await.json();
        listed["items"].as_array().expect("items").len()
    };
    assert_eq!((count("session").await, count("key").await), (2, 1));
}
