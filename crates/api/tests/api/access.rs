//! Who gets in, and how far.

use api::Access;
use axum::http::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Answer, Client, id_of};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

/// What anybody may ask for.
const OPEN: [&str; 6] = [
    "/",
    "/.well-known/webhook-keys.json",
    "/docs",
    "/livez",
    "/openapi.json",
    "/readyz",
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

/// All that one can call about a thing, with its id in the place of `{id}`.
async fn calls(client: &Client, on: &str) -> Vec<(Method, String)> {
    let all = operations(client).await.into_iter();
    all.filter(|(_, path, _)| path.starts_with(on) && path.contains("{id}"))
        .map(|(method, path, _)| (method, path))
        .collect()
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_anothers_is_as_what_is_not_there(db: PgPool) {
    let admin = admin(db);
    let (acme, other) = (
        admin.subscriber("acme").await,
        admin.subscriber("other").await,
    );
    let subscription = acme.subscription("a").await;
    let ranges =
        "INSERT INTO replays (id, subscription_id, since, until) VALUES ($1, $2, now(), now())";
    let replay = Uuid::now_v7();
    let made = sqlx::query(ranges).bind(replay).bind(subscription);
    made.execute(&admin.db).await.expect("a replay");
    let dead = admin.dead_letter(Some(subscription), 1).await;
    let before = everything(&admin).await;

    let things = [
        (
            "/subscriptions",
            subscription.to_string(),
            Uuid::now_v7().to_string(),
        ),
        ("/replays", replay.to_string(), Uuid::now_v7().to_string()),
        ("/dlqs", dead.to_string(), "4711".to_owned()),
    ];
    let mut tried = 0;
    for (on, id, nobodys) in things {
        for (method, path) in calls(&admin, on).await {
            let body = match path.rsplit('/').next() {
                Some("replay") => json!({"since": "2026-01-01T00:00:00Z"}),
                _ => json!({}),
            };
            let theirs = other
                .fixed(&method, &path.replace("{id}", &id), &body)
                .await;
            let missing = other
                .fixed(&method, &path.replace("{id}", &nobodys), &body)
                .await;
            assert_eq!(
                theirs.status,
                StatusCode::NOT_FOUND,
                "{method} {path}: {}",
                theirs.text()
            );
            assert_eq!(theirs.body, missing.body, "{method} {path}");
            tried += 1;
        }
    }
    assert_eq!(tried, 16);
    let requeued = other.post("/dlqs", &json!({"dlqs": [dead]})).await.json();
    assert_eq!(requeued["not_found"], json!([dead]));
    assert_eq!(everything(&admin).await, before);
}

/// What an admin sees of all that subscribers have.
async fn everything(admin: &Client) -> Vec<Value> {
    let mut all = Vec::new();
    for list in ["/subscriptions", "/dlqs", "/replays"] {
        all.push(admin.get(list).await.json());
    }
    all
}

#[sqlx::test(migrations = "../../migrations")]
async fn lists_show_what_is_ones_own_and_an_admin_everything(db: PgPool) {
    let admin = admin(db);
    let (acme, other) = (
        admin.subscriber("acme").await,
        admin.subscriber("other").await,
    );
    for client in [&acme, &other, &admin] {
        let id = client.subscription("of the same name").await;
        client.dead_letter(Some(id), 1).await;
    }
    admin.dead_letter(None, 2).await;
    for (client, subscriptions, dead_letters) in [(&acme, 1, 1), (&other, 1, 1), (&admin, 3, 4)] {
        for (list, count) in [("/subscriptions", subscriptions), ("/dlqs", dead_letters)] {
            let items = client.get(list).await.json()["items"].clone();
            assert_eq!(items.as_array().map(Vec::len), Some(count), "{list}");
        }
    }
    let own = acme.get("/subscriptions").await.json();
    assert_eq!(own["items"][0]["owner"], "acme");
}

#[sqlx::test(migrations = "../../migrations")]
async fn only_an_admin_names_another_owner(db: PgPool) {
    let admin = admin(db);
    let acme = admin.subscriber("acme").await;
    let new = |owner: &str| json!({"name": owner, "url": "http://a", "owner": owner});
    assert_eq!(
        acme.post("/subscriptions", &new("other")).await.json()["pointer"],
        "/owner"
    );
    let own = acme.post("/subscriptions", &new("acme")).await;
    let path = own.header("location");
    for owner in [json!("other"), json!(null)] {
        let given = acme.patch(path, &json!({"owner": owner})).await;
        assert_eq!(
            (given.status.as_u16(), &given.json()["pointer"]),
            (422, &json!("/owner"))
        );
    }
    let moved = admin.patch(path, &json!({"owner": "other"})).await;
    assert_eq!(moved.json()["owner"], "other");
    assert_eq!(acme.get(path).await.status, StatusCode::NOT_FOUND);
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
async fn what_happens_to_everybodys_subscriptions_is_told_to_no_owner(db: PgPool) {
    let admin = admin(db);
    let acme = admin.subscriber("acme").await;
    let with =
        |name: &str, types: &[&str]| json!({"name": name, "url": "http://a", "event_types": types});
    for types in [
        &["subscription.*"][..],
        &["temperature.*", "delivery.dead_lettered"],
    ] {
        let refused = acme.post("/subscriptions", &with("a", types)).await;
        assert_eq!(
            refused.json()["pointer"],
            "/event_types",
            "{}",
            refused.text()
        );
    }
    let own = acme
        .post("/subscriptions", &with("a", &["temperature.*"]))
        .await;
    let path = own.header("location");
    let types = json!({"event_types": ["subscription.disabled"]});
    assert_eq!(
        acme.patch(path, &types).await.json()["pointer"],
        "/event_types"
    );
    assert_eq!(
        admin.patch(path, &types).await.json()["pointer"],
        "/event_types"
    );
    // An admin's hears of it, and cannot be given away while it does.
    let ours = admin
        .post("/subscriptions", &with("b", &["subscription.*"]))
        .await;
    assert_eq!(ours.status, StatusCode::CREATED);
    let given = admin
        .patch(ours.header("location"), &json!({"owner": "acme"}))
        .await;
    assert_eq!(given.json()["pointer"], "/event_types");
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

impl Client {
    /// Under a request id that is always the same.
    async fn fixed(&self, method: &Method, path: &str, body: &Value) -> Answer {
        let client = self.clone().with_request_id("fixed");
        client.raw(method.clone(), path, body.to_string()).await
    }
}

fn id_at(path: &str) -> Uuid {
    let id = path.rsplit('/').next().expect("an id");
    id.parse().expect("an id")
}
