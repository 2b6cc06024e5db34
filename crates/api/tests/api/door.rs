//! What each request passes before its route: from where, how often, how large, for which page.

use std::net::{IpAddr, SocketAddr};

use api::{Access, DoorArgs};
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Answer, Client};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

/// The API with an admin's key, before a door that asks of its callers what `settings` changes.
fn before(db: PgPool, settings: impl FnOnce(&mut DoorArgs)) -> Client {
    let mut door = DoorArgs::default();
    settings(&mut door);
    let key = SecretString::from(ADMIN);
    Client::before(db, Access::by_keys(Some(&key)), &door)
}

impl Client {
    /// A request from that address, with those headers.
    async fn from(&self, address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let address: IpAddr = address.parse().expect("an address");
        let peer = ConnectInfo(SocketAddr::from((address, 4711)));
        let request = request.extension(peer).body(Body::empty());
        self.send(request.expect("a request")).await
    }

    async fn status(&self, address: &str, token: &str) -> u16 {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", &*authorization)];
        let answer = self.from(address, "/subscriptions", &headers).await;
        answer.status.as_u16()
    }
}

fn is_limited(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.json()["code"], "rate_limited");
    let seconds: u64 = answer.header("retry-after").parse().expect("a number");
    assert!((1..=1000).contains(&seconds), "{seconds}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_address_that_asks_too_often_is_told_when_to_go_on_and_no_other(db: PgPool) {
    let client = before(db, |door| {
        door.rate_limit_per_address = "0.01:3".parse().expect("a rate");
    });
    for _ in 0..3 {
        let answer = client.from("203.0.113.9", "/", &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    is_limited(&client.from("203.0.113.9", "/", &[]).await);
    is_limited(&client.from("203.0.113.9", "/nowhere", &[]).await);
    is_limited(&client.from("::ffff:203.0.113.9", "/", &[]).await);
    for other in ["203.0.113.8", "2001:db8::1"] {
        let answer = client.from(other, "/", &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{other}");
    }
    // An orchestrator behind the same address finds it alive.
    for probe in ["/livez", "/readyz"] {
        let answer = client.from("203.0.113.9", probe, &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{probe}");
    }
    // Another address of the same site is the same.
    for _ in 0..2 {
        client.from("2001:db8::2", "/", &[]).await;
    }
    is_limited(&client.from("2001:db8::3", "/", &[]).await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_key_that_asks_too_often_is_refused_wherever_it_comes_from_and_no_other_key(db: PgPool) {
    let client = before(db, |door| {
        door.rate_limit_per_key = "0.01:3".parse().expect("a rate");
    });
    let admin = client.as_somebody(Some(ADMIN));
    let body = json!({"name": "acme", "role": "subscriber", "owner": "acme"});
    let key = admin.post("/api-keys", &body).await.json()["key"].clone();
    let key = key.as_str().expect("a key");
    for address in ["203.0.113.1", "203.0.113.2", "203.0.113.3"] {
        assert_eq!(client.status(address, key).await, 200);
    }
    assert_eq!(client.status("203.0.113.4", key).await, 429);
    assert_eq!(client.status("203.0.113.4", ADMIN).await, 200);
    is_limited(&client.as_somebody(Some(key)).get("/dlqs").await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn who_guesses_keys_is_refused_unlooked_and_locks_nobody_out_who_is_at_work(db: PgPool) {
    let client = before(db, |door| {
        door.rate_limit_wrong_keys = "0.01:3".parse().expect("a rate");
    });
    let (here, there) = ("203.0.113.9", "203.0.113.10");
    assert_eq!(client.status(here, ADMIN).await, 200);
    let wrong = ["nonsense", "tw_live_00000000_wrong", ""];
    for token in wrong {
        assert_eq!(client.status(here, token).await, 401, "{token}");
    }
    for token in wrong {
        assert_eq!(client.status(here, token).await, 429, "{token}");
    }
    // The key that was right from here before is; one that was not is not looked at.
    assert_eq!(client.status(here, ADMIN).await, 200);
    let body = json!({"name": "other", "role": "admin"});
    let admin = client.as_somebody(Some(ADMIN));
    let other = admin.post("/api-keys", &body).await.json()["key"].clone();
    let other = other.as_str().expect("a key");
    assert_eq!(client.status(here, other).await, 429);
    assert_eq!(client.status(there, other).await, 200);
    assert_eq!(client.status(there, "nonsense").await, 401);
    // To show none is no guess.
    for _ in 0..9 {
        let answer = client.from("203.0.113.11", "/subscriptions", &[]).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    // One that ends meanwhile is refused like any other.
    let keys = admin.get("/api-keys").await.json();
    let id = keys["items"][0]["id"].as_str().expect("an id").to_owned();
    admin.delete(&format!("/api-keys/{id}")).await;
    assert_eq!(client.status(there, other).await, 401);
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_audit_has_the_address_that_a_trusted_proxy_tells_and_no_other(db: PgPool) {
    let client = before(db, |door| {
        door.trusted_proxies = "10.0.0.0/8".parse().expect("networks");
    });
    let admin = client.as_somebody(Some(ADMIN));
    for (peer, said, expected) in [
        ("10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9' OR 1=1", "10.0.0.1"),
    ] {
        let peer: IpAddr = peer.parse().expect("an address");
        let request = Request::post("/api-keys")
            .header("content-type", "application/json")
            .header("x-forwarded-for", said)
            .header("forwarded", "for=6.6.6.6")
            .header("x-real-ip", "6.6.6.6")
            .extension(ConnectInfo(SocketAddr::from((peer, 1))))
            .body(json!({"name": "a", "role": "admin"}).to_string().into());
        let made = admin.send(request.expect("a request")).await;
        assert_eq!(made.status, StatusCode::CREATED);
        let audit = admin.get("/audit?limit=1").await.json();
        assert_eq!(audit["items"][0]["address"], expected, "{said}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn behind_a_trusted_proxy_each_client_has_its_own_limit(db: PgPool) {
    let client = before(db, |door| {
        door.trusted_proxies = "10.0.0.1".parse().expect("networks");
        door.rate_limit_per_address = "0.01:1".parse().expect("a rate");
    });
    let ask = async |said: &str| {
        client
            .from("10.0.0.1", "/", &[("x-forwarded-for", said)])
            .await
    };
    assert_eq!(ask("203.0.113.1").await.status, StatusCode::OK);
    assert_eq!(ask("203.0.113.2").await.status, StatusCode::OK);
    is_limited(&ask("203.0.113.1").await);
    // Whoever makes up addresses before it stays who it is.
    is_limited(&ask("1.2.3.4, 203.0.113.2").await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_too_long_or_too_large_is_refused_as_a_problem(db: PgPool) {
    let client = before(db, |door| {
        door.max_uri_bytes = 256;
        door.max_body_bytes = 100;
    });
    let client = client.as_somebody(Some(ADMIN));
    let at = |length: usize| format!("/dlqs?reason={}", "x".repeat(length - 13));
    assert_eq!(client.get(&at(256)).await.status, StatusCode::BAD_REQUEST);
    let long = client.get(&at(257)).await;
    assert_eq!(long.status, StatusCode::URI_TOO_LONG);
    assert_eq!(long.json()["code"], "uri_too_long");
    let body = |length: usize| json!({"name": "x".repeat(length - 11)}).to_string();
    assert_eq!(body(100).len(), 100);
    let fits = client.raw(Method::POST, "/subscriptions", body(100)).await;
    assert_eq!(fits.status, StatusCode::UNPROCESSABLE_ENTITY);
    let large = client.raw(Method::POST, "/subscriptions", body(101)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(large.json()["code"], "body_too_large");
}

/// The question of a browser before a page's request.
fn preflight(origin: &str) -> Request<Body> {
    Request::options("/subscriptions")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
        .body(Body::empty())
        .expect("a request")
}

#[sqlx::test(migrations = "../../migrations")]
async fn pages_of_other_origins_are_let_in_only_where_they_are_named(db: PgPool) {
    const NAMED: &str = "https://console.example.com";
    let closed = before(db.clone(), |_| {});
    let open = before(db, |door| {
        door.cors_origins = NAMED.parse().expect("origins");
    });
    for (client, origin, allowed) in [
        (&closed, NAMED, ""),
        (&open, NAMED, NAMED),
        (&open, "https://evil.example.com", ""),
        (&open, "null", ""),
        (&open, "https://console.example.com.evil.example", ""),
        (&open, "http://console.example.com", ""),
    ] {
        let asked = client.send(preflight(origin)).await;
        let said = asked.header("access-control-allow-origin");
        assert_eq!(said, allowed, "{origin}");
        assert_eq!(asked.header("access-control-allow-credentials"), "");
        // A refusal too can be read by a page that is let in.
        let got = client
            .from("203.0.113.9", "/dlqs", &[("origin", origin)])
            .await;
        assert_eq!(got.status, StatusCode::UNAUTHORIZED);
        assert_eq!(got.header("access-control-allow-origin"), allowed);
        assert_eq!(got.json()["code"], "unauthorized");
    }
    let asked = open.send(preflight(NAMED)).await;
    assert_eq!(asked.status, StatusCode::OK);
    let allowed = asked.header("access-control-allow-headers").to_owned();
    assert!(allowed.contains("authorization"), "{allowed}");
    assert!(asked.header("vary").to_lowercase().contains("origin"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_shows_a_secret_is_kept_by_no_cache(db: PgPool) {
    let admin = before(db, |_| {}).as_somebody(Some(ADMIN));
    let key = json!({"name": "a", "role": "admin"});
    let subscription = json!({"name": "a", "url": "https://example.com"});
    for (path, body, secret) in [
        ("/api-keys", key, "key"),
        ("/subscriptions", subscription, "signing_secret"),
    ] {
        let made = admin.post(path, &body).await;
        assert_ne!(made.json()[secret], Value::Null, "{path}");
        assert_eq!(made.header("cache-control"), "no-store", "{path}");
    }
}
