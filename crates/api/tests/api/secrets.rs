//! What is secret of a subscription: shown once, sealed in the database, and never anywhere else.

use axum::http::StatusCode;
use common::secrets::Keyring;
use common::store::subscriptions::{self, Auth, MAX_SIGNING_KEYS, Secrets};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Client, id_of, keyring};

const HIDDEN: &str = "hunter2-hunter2";
/// A secret that somebody took for a number.
const DIGITS: &str = "73914257";
const GIVEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// All text of the row, and its bytes as text.
async fn stored(db: &PgPool, id: Uuid) -> String {
    let sql = "SELECT row_to_json(s)::text || encode(secrets, 'escape') FROM subscriptions AS s
               WHERE id = $1";
    let row = sqlx::query_scalar(sql).bind(id).fetch_one(db);
    row.await.expect("a row")
}

async fn secrets(db: &PgPool, id: Uuid, keyring: &Keyring) -> Secrets {
    let row = subscriptions::get(db, id).await.expect("Postgres");
    row.expect("a row").secrets(keyring).expect("secrets")
}

fn keys(secrets: &Secrets) -> Vec<&str> {
    let keys = secrets.signing.iter();
    keys.map(|secret| secret.key.expose_secret()).collect()
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_way_to_authenticate_is_stored_sealed_and_shown_by_its_kind(db: PgPool) {
    let client = Client::new(db.clone());
    for (n, auth) in [
        json!({"kind": "bearer", "token": HIDDEN}),
        json!({"kind": "basic", "username": "me", "password": HIDDEN}),
        json!({"kind": "header", "name": "X-Api-Key", "value": HIDDEN}),
    ]
    .into_iter()
    .enumerate()
    {
        let new = json!({"name": n.to_string(), "url": "http://a", "auth": auth});
        let made = client.post("/subscriptions", &new).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
        assert_eq!(made.json()["auth"], json!({"kind": auth["kind"]}));
        assert!(!made.text().contains(HIDDEN));
        let id = id_of(&made.json());
        assert!(!stored(&db, id).await.contains(HIDDEN));
        assert_eq!(
            secrets(&db, id, &keyring()).await.auth.kind().label(),
            auth["kind"]
        );
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_signing_secret_is_made_or_given_and_shown_once(db: PgPool) {
    let client = Client::new(db.clone());
    let new = |name: &str| json!({"name": name, "url": "http://a"});
    let made = client.post("/subscriptions", &new("made")).await;
    let mut given = new("given");
    given["signing_secret"] = json!(GIVEN);
    let given = client.post("/subscriptions", &given).await;
    assert_eq!(given.json()["signing_secret"], GIVEN);
    for answer in [made, given] {
        let (id, shown) = (
            id_of(&answer.json()),
            answer.json()["signing_secret"].clone(),
        );
        let shown = shown.as_str().expect("a secret");
        assert_eq!(keys(&secrets(&db, id, &keyring()).await), [shown]);
        assert!(!stored(&db, id).await.contains(shown));
        let again = client.get(&format!("/subscriptions/{id}")).await;
        assert!(!again.text().contains("whsec_"), "{}", again.text());
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn rotation_lets_the_old_secret_sign_for_its_grace_period(db: PgPool) {
    let client = Client::new(db.clone());
    let id = client.subscription("a").await;
    let old = secrets(&db, id, &keyring()).await;
    let path = format!("/subscriptions/{id}/secret/rotate");
    let given = json!({"grace_period": "1h", "signing_secret": GIVEN});
    let rotated = client.post(&path, &given).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text());
    assert_eq!(rotated.json()["signing_secret"], GIVEN);
    let now = secrets(&db, id, &keyring()).await;
    assert_eq!(keys(&now), [GIVEN, keys(&old)[0]]);
    let until = json!(now.signing[1].ends_at.expect("an end"));
    assert_eq!(rotated.json()["old_until"], until);
    // A new one is made, and those before it go on for their time.
    let rotated = client.post(&path, &json!({})).await;
    assert_eq!(keys(&secrets(&db, id, &keyring()).await).len(), 3);
    assert_ne!(rotated.json()["signing_secret"], GIVEN);
    for _ in 3..MAX_SIGNING_KEYS {
        let rotated = client.post(&path, &json!({})).await;
        assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text());
    }
    let refused = client.post(&path, &json!({})).await;
    assert_eq!(refused.json()["pointer"], "/grace_period");
    let rotated = client.post(&path, &json!({"grace_period": "0s"})).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.text());
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_no_secret_is_refused_by_its_field_and_not_shown(db: PgPool) {
    let client = Client::new(db);
    let id = client.subscription("a").await;
    let with = |field: &str, value: Value| {
        let mut new = json!({"name": "b", "url": "http://a"});
        new[field] = value;
        new
    };
    let bearer = json!({"kind": "bearer", "token": HIDDEN});
    let mut both = with("auth_key", json!(HIDDEN));
    both["auth"] = bearer.clone();
    let rotate = format!("/subscriptions/{id}/secret/rotate");
    for (path, body, pointer) in [
        (
            "/subscriptions",
            with("signing_secret", json!(HIDDEN)),
            "/signing_secret",
        ),
        (
            "/subscriptions",
            with("auth", json!({"kind": HIDDEN})),
            "/auth/kind",
        ),
        ("/subscriptions", both, "/auth"),
        (
            "/subscriptions",
            with("auth_key", json!(73_914_257)),
            "/auth_key",
        ),
        (
            "/subscriptions",
            with("signing_secret", json!(73_914_257.5)),
            "/signing_secret",
        ),
        (&rotate, json!({"grace_period": "8d"}), "/grace_period"),
        (
            &rotate,
            json!({"signing_secret": HIDDEN}),
            "/signing_secret",
        ),
    ] {
        let refused = client.post(path, &body).await;
        assert_eq!(refused.json()["pointer"], pointer, "{}", refused.text());
        for hidden in [HIDDEN, DIGITS] {
            assert!(!refused.text().contains(hidden), "{}", refused.text());
        }
    }
    let patch = json!({"auth_key": null, "auth": bearer});
    let refused = client.patch(&format!("/subscriptions/{id}"), &patch).await;
    assert_eq!(refused.json()["pointer"], "/auth");
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_stored_in_plain_text_is_sealed_at_the_next_start(db: PgPool) {
    let id = Uuid::now_v7();
    let sql =
        "INSERT INTO subscriptions (id, name, url, auth_key) VALUES ($1, 'a', 'http://a', $2)";
    let inserted = sqlx::query(sql).bind(id).bind(HIDDEN).execute(&db);
    inserted.await.expect("a row");
    for sealed in [1, 0] {
        let done = subscriptions::seal_all(&db, &keyring()).await;
        assert_eq!(done.expect("Postgres"), sealed);
    }
    assert!(!stored(&db, id).await.contains(HIDDEN));
    let Auth::Bearer { token } = secrets(&db, id, &keyring()).await.auth else {
        panic!("it was a bearer token");
    };
    assert_eq!(token.expose(), HIDDEN);
}

#[sqlx::test(migrations = "../../migrations")]
async fn another_key_takes_over_and_the_old_one_may_go(db: PgPool) {
    let client = Client::new(db.clone());
    let ids = [
        client.subscription("a").await,
        client.subscription("b").await,
    ];
    let new = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let old = "test:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let keyring = |keys: &str| Keyring::new(&keys.into()).expect("keys");
    let both = keyring(&format!("{new},{old}"));
    for resealed in [2, 0] {
        let done = subscriptions::reseal_all(&db, &both).await;
        assert_eq!(done.expect("they open"), resealed);
    }
    for id in ids {
        assert_eq!(secrets(&db, id, &keyring(new)).await.signing.len(), 1);
    }
    let without = subscriptions::reseal_all(&db, &keyring(old)).await;
    let error = without.expect_err("the new key is not there").to_string();
    assert!(error.contains("no key with the ID new"), "{error}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn secrets_that_were_moved_to_another_row_do_not_open(db: PgPool) {
    let client = Client::new(db.clone());
    let [victim, thief] = [
        client.subscription("a").await,
        client.subscription("b").await,
    ];
    let sql = "UPDATE subscriptions SET secrets = (SELECT secrets FROM subscriptions WHERE id = $1)
               WHERE id = $2";
    let moved = sqlx::query(sql).bind(victim).bind(thief).execute(&db);
    moved.await.expect("two rows");
    for route in ["secret/rotate", "test"] {
        let path = format!("/subscriptions/{thief}/{route}");
        let answer = client.post(&path, &json!({})).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{route}");
    }
}
