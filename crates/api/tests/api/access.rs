//! Who gets in, and how far.

mod audit;
mod reach;

use api::Access;
use axum::http::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Client, id_of};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

/// What anybody may ask for.
const OPEN: [&str; 8] = [
    "/",
    "/.well-known/webhook-keys.json",
    "/docs",
    "/livez",
    "/openapi.json",
    "/readyz",
    "/sessions",
    "/sign-ins",
];

/// The API as an admin sees it, who shows the key of the environment.
fn admin(db: PgPool) -> Client {
    let key = SecretString::from(ADMIN);
    Client::with_access(db, Access::by_keys(Some(&key))).with_token(ADMIN)
}

impl Client {
    async fn key_with(&self, body: Value) -> String {
        let made = self.post("/api-keys", &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        made.json()["key"].as_str().expect("a key").to_owned()
    }

    async fn subscriber(&self, owner: &str) -> Client {
        let body = json!({"name": owner, "role": "subscriber", "owner": owner});
        let key = self.key_with(body).await;
        self.clone().with_token(&key)
    }
}

/// Each operation of the document: method, path, what it says of security.
async fn operations(client: &Client) -> Vec<(Method, String, Value)> {
    let document = client.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths").clone();
    let mut operations = Vec::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let method = method.to_uppercase().parse().expect("a method");
            operations.push((method, path.clone(), operation["security"].clone()));
        }
    }
    operations
}

fn of_nobody(path: &str) -> String {
    let number = path.starts_with("/dlqs");
    let id = if number {
        "4711".into()
    } else {
        Uuid::now_v7().to_string()
    };
    path.replace("{id}", &id)
}

#[sqlx::test(migrations = "../../migrations")]
async fn without_a_key_nothing_is_served_but_what_is_open(db: PgPool) {
    let client = admin(db);
    for (method, path, security) in operations(&client).await {
        let is_open = OPEN.contains(&path.as_str());
        let said = security == json!([{}]);
        assert_eq!(is_open, said, "{method} {path}: {security}");
        for token in [
            None,
            Some("tw_live_00000000_wrong"),
            Some("nonsense"),
            Some(""),
        ] {
            let answer = client
                .as_somebody(token)
                .call(method.clone(), &of_nobody(&path))
                .await;
            if is_open {
                assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
                continue;
            }
            assert_eq!(
                answer.status,
                StatusCode::UNAUTHORIZED,
                "{method} {path} {token:?}"
            );
            let challenge = answer.header("www-authenticate");
            assert!(challenge.starts_with("Bearer realm="), "{challenge}");
            assert_eq!(
                challenge.contains("invalid_token"),
                token.is_some(),
                "{challenge}"
            );
        }
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_key_does_what_its_role_and_scopes_say_until_it_ends(db: PgPool) {
    let admin = admin(db);
    let reader = json!({"name": "r", "role": "subscriber", "owner": "acme", "scopes": ["read"]});
    let reader = admin.clone().with_token(&admin.key_with(reader).await);
    assert_eq!(reader.get("/subscriptions").await.status, StatusCode::OK);
    let new = json!({"name": "a", "url": "http://a"});
    let refused = reader.post("/subscriptions", &new).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (403, &json!("forbidden"))
    );
    assert!(
        refused
            .header("www-authenticate")
            .contains("insufficient_scope")
    );
    for path in ["/api-keys", "/audit", "/metrics"] {
        assert_eq!(
            reader.get(path).await.status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
        assert_eq!(admin.get(path).await.status, StatusCode::OK, "{path}");
    }
    // One for a scraper: it makes no key that may more than itself.
    let scraper = json!({"name": "s", "role": "admin", "scopes": ["read"]});
    let scraper = admin.clone().with_token(&admin.key_with(scraper).await);
    assert_eq!(scraper.get("/metrics").await.status, StatusCode::OK);
    let new = json!({"name": "more", "role": "admin"});
    let refused = scraper.post("/api-keys", &new).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let one = format!("/api-keys/{}", Uuid::now_v7());
    assert_eq!(scraper.delete(&one).await.status, StatusCode::FORBIDDEN);
    let listed = admin.get("/api-keys").await.json();
    assert_ne!(listed["items"][0]["last_used_at"], Value::Null);

    let id = id_of(&listed["items"][0]);
    let revoked = admin.delete(&format!("/api-keys/{id}")).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(
        reader.get("/subscriptions").await.status,
        StatusCode::UNAUTHORIZED
    );
    let again = admin.delete(&format!("/api-keys/{id}")).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);

    let old = json!({"name": "o", "role": "admin", "expires_at": "2020-01-01T00:00:00Z"});
    let old = admin.clone().with_token(&admin.key_with(old).await);
    assert_eq!(
        old.get("/subscriptions").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_key_is_shown_once_and_kept_as_its_hash(db: PgPool) {
    let admin = admin(db);
    let key = admin.key_with(json!({"name": "a", "role": "admin"})).await;
    // What comes last may have this character too.
    let secret = key.splitn(4, '_').nth(3).expect("four parts");
    for path in ["/api-keys", "/audit"] {
        assert!(!admin.get(path).await.text().contains(secret), "{path}");
    }
    let kept: String = sqlx::query_scalar("SELECT api_keys::text FROM api_keys")
        .fetch_one(&admin.db)
        .await
        .expect("the row");
    assert!(!kept.contains(secret));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_wrong_key_to_be_made_is_named(db: PgPool) {
    let admin = admin(db);
    for (body, pointer) in [
        (json!({"name": "a", "role": "subscriber"}), "/owner"),
        (
            json!({"name": "a", "role": "admin", "owner": "acme"}),
            "/owner",
        ),
        (
            json!({"name": "a", "role": "admin", "scopes": []}),
            "/scopes",
        ),
        (
            json!({"name": "a", "role": "admin", "scopes": ["read", "read"]}),
            "/scopes",
        ),
        (
            json!({"name": "a", "role": "admin", "scopes": ["x"]}),
            "/scopes/0",
        ),
        (json!({"name": "a", "role": "king"}), "/role"),
        (json!({"name": "", "role": "admin"}), "/name"),
        (
            json!({"name": "a", "role": "admin", "expires_at": "soon"}),
            "/expires_at",
        ),
    ] {
        let answer = admin.post("/api-keys", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answer.json()["pointer"], pointer, "{body}");
    }
}
