//! The console before the API itself: what a session may see, and when it ends. What its pages hold is
//! tested in its own crate.

use std::time::Duration;

use api::{Access, Api};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use secrecy::SecretString;
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Answer, Client, LONG, api_with, kafka, keyring};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

/// The API with the console before it, to a client that shows an admin's key.
fn admin(db: PgPool) -> Client {
    let access = Access::by_keys(Some(&SecretString::from(ADMIN)));
    let log = api::Log::new(&kafka("updates"));
    let api = api_with(db.clone(), log, access, LONG);
    let settings = console::Settings {
        asks_for_keys: true,
        by_tls: false,
        idle: Duration::from_hours(1),
        lifetime: Duration::from_hours(12),
        has_provider: false,
        frame_ancestors: Vec::new(),
    };
    let router = console::in_front_of(api.router, &keyring(), settings);
    let document = api.document;
    Client::of(Api { router, document }, db).with_token(ADMIN)
}

/// A key of that owner, with its id.
async fn key(admin: &Client, owner: &str) -> (Uuid, String) {
    let body = json!({"name": owner, "role": "subscriber", "owner": owner});
    let made = admin.post("/api-keys", &body).await.json();
    let id = made["id"].as_str().expect("an id").parse();
    let key = made["key"].as_str().expect("a key").to_owned();
    (id.expect("a UUID"), key)
}

/// Signs in with that key, in a browser that shows no other; gives the cookie.
async fn sign_in(client: &Client, key: &str) -> String {
    let shown = submit(client, "/console/sign-in", "", &format!("key={key}")).await;
    assert_eq!(shown.status, StatusCode::SEE_OTHER, "{}", shown.text());
    let cookie = shown.header("set-cookie").split(';').next();
    cookie.expect("a cookie").to_owned()
}

async fn submit(client: &Client, path: &str, cookie: &str, form: &str) -> Answer {
    let request = Request::post(path)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", cookie);
    let request = request.body(Body::from(form.to_owned()));
    client.send(request.expect("a request")).await
}

async fn page(client: &Client, path: &str, cookie: &str) -> Answer {
    let request = Request::get(path)
        .header("accept", "text/html")
        .header("cookie", cookie);
    let request = request.body(Body::empty());
    client.send(request.expect("a request")).await
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_session_reaches_what_its_key_does_and_no_more(db: PgPool) {
    let admin = admin(db);
    let (_, acme) = key(&admin, "acme").await;
    let (_, other) = key(&admin, "other").await;
    let id = admin.as_somebody(Some(&acme)).subscription("of acme").await;
    let browser = admin.as_somebody(None);
    let (own, strange) = (
        sign_in(&browser, &acme).await,
        sign_in(&browser, &other).await,
    );
    let path = format!("/console/subscriptions/{id}");
    let shown = page(&browser, &path, &own).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(shown.text().contains("of acme"));
    let theirs = page(&browser, &path, &strange).await;
    assert_eq!(theirs.status, StatusCode::NOT_FOUND);
    let nobodys = format!("/console/subscriptions/{}", Uuid::now_v7());
    let nobodys = page(&browser, &nobodys, &strange).await;
    assert_eq!(nobodys.status, StatusCode::NOT_FOUND);
    for action in ["pause", "test", "rotate", "delete"] {
        let form = "name=of+acme&grace_period=1h";
        let answer = submit(&browser, &format!("{path}/{action}"), &strange, form).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{action}");
    }
    for path in ["/console/subscriptions", "/console/deliveries", "/"] {
        let list = page(&browser, path, &strange).await;
        assert_eq!(list.status, StatusCode::OK, "{path}");
        assert!(!list.text().contains("of acme"), "{path}");
    }
    let keys = page(&browser, "/console/keys", &strange).await;
    assert_eq!(keys.status, StatusCode::FORBIDDEN);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_session_ends_with_its_key_and_what_it_did_is_in_the_audit(db: PgPool) {
    let admin = admin(db);
    let (id, acme) = key(&admin, "acme").await;
    let subscription = admin.as_somebody(Some(&acme)).subscription("a").await;
    let browser = admin.as_somebody(None);
    let cookie = sign_in(&browser, &acme).await;
    let path = format!("/console/subscriptions/{subscription}");
    let paused = submit(&browser, &format!("{path}/pause"), &cookie, "").await;
    assert_eq!(paused.status, StatusCode::SEE_OTHER);
    let audit = admin.get("/audit?action=pause").await.json();
    assert_eq!(audit["items"][0]["who"], format!("key:{id}"));

    admin.delete(&format!("/api-keys/{id}")).await;
    let after = page(&browser, &path, &cookie).await;
    assert_eq!(after.status, StatusCode::SEE_OTHER);
    assert!(after.header("location").starts_with("/console/sign-in"));
    let resumed = submit(&browser, &format!("{path}/resume"), &cookie, "").await;
    assert!(resumed.header("location").starts_with("/console/sign-in"));
    let state = admin.get(&format!("/subscriptions/{subscription}")).await;
    assert_eq!(state.json()["state"], "paused");
}
