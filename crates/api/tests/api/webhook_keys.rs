//! Deliveries that are signed with Ed25519, and the keys that anybody verifies them with.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use uuid::Uuid;

use crate::support::{Client, id_of};
use crate::test_delivery::Receiver;

const KEYS: &str = "/.well-known/webhook-keys.json";

impl Client {
    async fn ed25519(&self, name: &str, url: &str) -> Value {
        let new = json!({"name": name, "url": url, "signing_algorithm": "ed25519"});
        let made = self.post("/subscriptions", &new).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        made.json()
    }

    async fn rotate(&self, id: Uuid, rotation: Value) -> Value {
        let path = format!("/subscriptions/{id}/secret/rotate");
        let rotated = self.post(&path, &rotation).await;
        assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text());
        rotated.json()
    }

    async fn keys(&self, path: &str) -> Vec<Value> {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["keys"].as_array().expect("keys").clone()
    }

    /// A delivery to the receiver, as those who verify it want it.
    async fn delivered(&self, id: Uuid, receiver: &mut Receiver) -> Value {
        let path = format!("/subscriptions/{id}/test");
        let tested = self.call(Method::POST, &path).await.json();
        assert_eq!(tested["verdict"], "delivered", "{tested}");
        let (headers, body) = receiver.got.recv().await.expect("it arrived");
        let named = |name: &str| {
            (
                name.to_owned(),
                json!(headers[name].to_str().expect("ASCII")),
            )
        };
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(named);
        let headers: serde_json::Map<_, _> = headers.into_iter().collect();
        json!({"headers": headers, "body": str::from_utf8(&body).expect("UTF-8")})
    }
}

/// What the libraries of two other languages say of each request: whether it is authentic.
async fn verdicts<const N: usize>(requests: [Value; N]) -> Vec<bool> {
    let installed = std::env::var("TEST_INTEROP").expect("scripts/test sets it");
    let installed = PathBuf::from(installed);
    let python = installed.join("venv/bin/python");
    let python = verified(&python, &installed.join("verify.py"), &requests).await;
    let node = verified(Path::new("node"), &installed.join("verify.mjs"), &requests).await;
    assert_eq!(python.len(), requests.len());
    assert_eq!(python, node);
    python
}

async fn verified(program: &Path, script: &Path, requests: &[Value]) -> Vec<bool> {
    let mut process = Command::new(program)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let lines: Vec<String> = requests.iter().map(Value::to_string).collect();
    let mut asked = process.stdin.take().expect("it is piped");
    asked
        .write_all(lines.join("\n").as_bytes())
        .await
        .expect("it reads");
    drop(asked);
    let said = process.wait_with_output().await.expect("it ends");
    let said = String::from_utf8(said.stdout).expect("UTF-8");
    said.lines().map(|line| line == "ok").collect()
}

fn with(delivery: &Value, name: &str, key: &Value) -> Value {
    let mut request = delivery.clone();
    request[name] = key.clone();
    request
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_private_key_stays_here_and_its_public_half_is_for_everybody(db: PgPool) {
    let client = Client::new(db);
    let made = client.ed25519("a", "http://a").await;
    assert_eq!(made["signing_secret"], Value::Null);
    assert_eq!(made["signing_algorithm"], "ed25519");
    let shown = &made["public_keys"][0];
    assert!(
        shown["key"]
            .as_str()
            .is_some_and(|key| key.starts_with("whpk_"))
    );
    let answer = client.get(KEYS).await;
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.json()["keys"][0]["kid"], shown["kid"]);
    let id = id_of(&made).to_string();
    for hidden in [&id, "whsk_", "\"d\""] {
        assert!(!answer.text().contains(hidden), "{}", answer.text());
    }
    // Those who share a secret have nothing to show.
    let other = client.subscribe("b").await;
    assert_eq!(other["signing_algorithm"], "hmac_sha256");
    assert_eq!(
        (&other["public_keys"], &other["public_keys_url"]),
        (&json!([]), &Value::Null)
    );
    assert_eq!(client.keys(KEYS).await.len(), 1);
    client.delete(&format!("/subscriptions/{id}")).await;
    assert!(client.keys(KEYS).await.is_empty());
}

#[sqlx::test(migrations = "../../migrations")]
async fn keys_are_found_by_their_set_and_by_their_name_and_no_more_than_1000_are_shown(db: PgPool) {
    let client = Client::new(db.clone());
    let (one, other) = (
        client.ed25519("a", "http://a").await,
        client.ed25519("b", "http://a").await,
    );
    let kid = |made: &Value| {
        made["public_keys"][0]["kid"]
            .as_str()
            .expect("a kid")
            .to_owned()
    };
    let set = one["public_keys_url"].as_str().expect("a URL");
    for (path, kids) in [
        (KEYS.to_owned(), vec![kid(&other), kid(&one)]),
        (set.to_owned(), vec![kid(&one)]),
        (format!("{KEYS}?kid={}", kid(&other)), vec![kid(&other)]),
        (format!("{set}&kid={}", kid(&other)), vec![]),
        (format!("{KEYS}?set={}", Uuid::new_v4()), vec![]),
        (format!("{KEYS}?set={}", id_of(&one)), vec![]),
    ] {
        let found = client.keys(&path).await;
        let found: Vec<_> = found.iter().filter_map(|key| key["kid"].as_str()).collect();
        assert_eq!(found, kids, "{path}");
    }
    for (query, parameter) in [("set=a", "set"), ("kid=", "kid"), ("kids=a", "kids")] {
        let refused = client.get(&format!("{KEYS}?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(refused.json()["parameter"], parameter, "{query}");
    }
    sqlx::query(
        "INSERT INTO public_keys (subscription_id, key_set, kid, key)
         SELECT $1, gen_random_uuid(), 'k' || n, sha256(n::text::bytea)
         FROM generate_series(1, 1000) AS n",
    )
    .bind(id_of(&one))
    .execute(&db)
    .await
    .expect("many keys");
    let found = client.keys(KEYS).await;
    assert_eq!((found.len(), &found[0]["kid"]), (1000, &json!("k1000")));
    assert_eq!(client.keys(set).await.len(), 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn others_verify_by_the_published_keys_during_a_rotation_and_after_it(db: PgPool) {
    let client = Client::new(db);
    let mut receiver = Receiver::new(204, "").await;
    let made = client.ed25519("a", &receiver.url).await;
    let id = id_of(&made);
    let set = made["public_keys_url"].as_str().expect("a URL").to_owned();
    let jwks = async || client.get(&set).await.json();
    let old = jwks().await;
    let before = client.delivered(id, &mut receiver).await;

    let rotated = client.rotate(id, json!({"grace_period": "1h"})).await;
    assert_eq!(rotated["signing_algorithm"], "ed25519");
    assert_eq!(rotated["signing_secret"], Value::Null);
    let new_key = &rotated["public_key"];
    let during = client.delivered(id, &mut receiver).await;
    let both = jwks().await;
    assert_eq!(both["keys"].as_array().map(Vec::len), Some(2));

    client.rotate(id, json!({"grace_period": "0s"})).await;
    let after = client.delivered(id, &mut receiver).await;
    let newest = jwks().await;
    assert_eq!(newest["keys"].as_array().map(Vec::len), Some(1));

    let mut changed = before.clone();
    changed["body"] = json!(before["body"].as_str().expect("text").replace("21", "22"));
    let said = verdicts([
        with(&before, "jwks", &old),
        with(&changed, "jwks", &old),
        with(&during, "jwks", &old),
        with(&during, "key", new_key),
        with(&during, "jwks", &both),
        with(&after, "jwks", &both),
        with(&after, "key", new_key),
        with(&after, "jwks", &newest),
        with(&during, "jwks", &newest),
    ]);
    let expected = [true, false, true, true, true, false, false, true, false];
    assert_eq!(said.await, expected);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_algorithm_takes_the_place_of_the_other_and_both_sign_meanwhile(db: PgPool) {
    let client = Client::new(db);
    let mut receiver = Receiver::new(204, "").await;
    let new = json!({"name": "a", "url": receiver.url});
    let made = client.post("/subscriptions", &new).await.json();
    let (id, first) = (id_of(&made), made["signing_secret"].clone());
    let to_ed25519 = json!({"grace_period": "1h", "signing_algorithm": "ed25519"});
    let rotated = client.rotate(id, to_ed25519).await;
    let public = rotated["public_key"].clone();
    let both = client.delivered(id, &mut receiver).await;

    let back = json!({"grace_period": "1h", "signing_algorithm": "hmac_sha256"});
    let second = client.rotate(id, back).await["signing_secret"].clone();
    let shown = client.get(&format!("/subscriptions/{id}")).await.json();
    assert_eq!(shown["signing_algorithm"], "hmac_sha256");
    assert_ne!(shown["public_keys"][0]["ends_at"], Value::Null);
    let three = client.delivered(id, &mut receiver).await;

    client.rotate(id, json!({"grace_period": "0s"})).await;
    assert!(client.keys(KEYS).await.is_empty());
    let said = verdicts([
        with(&both, "key", &first),
        with(&both, "key", &public),
        with(&three, "key", &first),
        with(&three, "key", &public),
        with(&three, "key", &second),
    ]);
    assert_eq!(said.await, [true; 5]);
    let last = client.delivered(id, &mut receiver).await;
    let said = verdicts([with(&last, "key", &second), with(&last, "key", &public)]);
    assert_eq!(said.await, [false; 2]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn nobody_gives_us_a_private_key(db: PgPool) {
    let client = Client::new(db);
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let new = |algorithm: &str, secret: &str| {
        json!({"name": "a", "url": "http://a", "signing_algorithm": algorithm,
               "signing_secret": secret})
    };
    let id = id_of(&client.ed25519("ed", "http://a").await);
    let rotate = format!("/subscriptions/{id}/secret/rotate");
    for (path, body, pointer) in [
        ("/subscriptions", new("ed25519", secret), "/signing_secret"),
        (
            "/subscriptions",
            new("ed25519", "whsk_AAAA"),
            "/signing_secret",
        ),
        (
            "/subscriptions",
            new("hmac_sha256", "whsk_AAAA"),
            "/signing_secret",
        ),
        ("/subscriptions", new("rsa", secret), "/signing_algorithm"),
        // What signs now is not given up for a secret unless that is said.
        (
            &rotate,
            json!({"signing_secret": secret}),
            "/signing_secret",
        ),
        (
            &rotate,
            json!({"signing_algorithm": "v1a"}),
            "/signing_algorithm",
        ),
    ] {
        let refused = client.post(path, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(refused.json()["pointer"], pointer, "{body}");
        assert!(!refused.text().contains("whsk_AAAA"), "{}", refused.text());
    }
}
