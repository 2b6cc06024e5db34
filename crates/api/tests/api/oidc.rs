//! Tokens of an OIDC provider: whom they let in, which are refused, and what becomes of its keys.

mod hostile;
pub mod issuer;

use std::time::Duration;

use api::{Access, DoorArgs, Oidc, OidcArgs};
use axum::http::StatusCode;
use clap::{Args, FromArgMatches};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::support::Client;
use issuer::{Issuer, Signing, client_config};

const ADMIN: &str = "the-admin-key-of-these-tests-0123456789";

/// The API that trusts that issuer.
///
/// Nobody is refused for having been wrong too often, so that each is told why.
fn trusting(db: PgPool, issuer: &Issuer, flags: &[&str]) -> Client {
    let oidc = Oidc::new(&args(issuer, flags), client_config());
    let key = SecretString::from(ADMIN);
    let access = Access::by_keys(Some(&key)).and_tokens_of(oidc.expect("settings"));
    let door = DoorArgs {
        rate_limit_wrong_keys: "0".parse().expect("a rate"),
        ..DoorArgs::default()
    };
    Client::before(db, access, &door)
}

fn args(issuer: &Issuer, flags: &[&str]) -> OidcArgs {
    let command = OidcArgs::augment_args(clap::Command::new("oidc"));
    let named = format!("--oidc-issuer={}", issuer.url);
    let ours = [
        "oidc",
        &*named,
        "--oidc-audience=webhooks,other",
        "--oidc-owner-claim=org",
    ];
    let matches = command.get_matches_from([&ours, flags].concat());
    OidcArgs::from_arg_matches(&matches).expect("settings")
}

async fn status(client: &Client, token: &str) -> u16 {
    let answer = client.as_somebody(Some(token)).get("/subscriptions").await;
    answer.status.as_u16()
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_token_by_each_algorithm_lets_in_whom_it_names(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Rs256, Signing::Es256, Signing::EdDsa]).await;
    let client = trusting(db, &issuer, &[]);
    for signing in [Signing::Rs256, Signing::Es256, Signing::EdDsa] {
        let token = issuer.token(signing, &json!({"roles": ["admin"]}));
        assert_eq!(status(&client, &token).await, 200, "{signing:?}");
    }
    assert_eq!(status(&client, ADMIN).await, 200);
    assert_eq!(issuer.asked(), 1);

    let acme = issuer.token(
        Signing::Es256,
        &json!({"roles": "subscriber", "org": "acme"}),
    );
    let acme = client.as_somebody(Some(&acme));
    let made = acme.subscribe("a").await;
    assert_eq!(made["owner"], "acme");
    assert_eq!(acme.get("/audit").await.status, StatusCode::FORBIDDEN);
    let audit = client.as_somebody(Some(ADMIN)).get("/audit").await.json();
    assert_eq!(audit["items"][0]["who"], "oidc:somebody");
    let other = issuer.token(
        Signing::Es256,
        &json!({"roles": "subscriber", "org": "other"}),
    );
    let others = client.as_somebody(Some(&other)).get("/subscriptions").await;
    assert_eq!(others.json()["items"], json!([]));

    for claims in [
        json!({}),
        json!({"roles": "king"}),
        json!({"roles": "subscriber"}),
    ] {
        let token = issuer.token(Signing::EdDsa, &claims);
        assert_eq!(status(&client, &token).await, 403, "{claims}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_token_that_claims_scopes_has_no_others(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let client = trusting(db, &issuer, &["--oidc-scope-claim=scope"]);
    let new = json!({"name": "a", "url": "https://example.com"});
    for (scope, reads, writes) in [
        ("openid read", 200, 403),
        ("write", 403, 201),
        ("openid", 403, 403),
    ] {
        let claims = json!({"roles": "admin", "scope": scope});
        let client = client.as_somebody(Some(&issuer.token(Signing::Es256, &claims)));
        assert_eq!(client.get("/dlqs").await.status.as_u16(), reads, "{scope}");
        assert_eq!(
            client.post("/subscriptions", &new).await.status.as_u16(),
            writes,
            "{scope}"
        );
    }
}

fn head_of(signing: Signing) -> Value {
    json!({"alg": signing.name(), "kid": signing.name()})
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_token_that_names_no_key_is_taken_where_only_one_can_be_meant(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256, Signing::EdDsa]).await;
    let client = trusting(db, &issuer, &["--oidc-keys-pause=1ms"]);
    let claims = issuer.claims(&json!({"roles": "admin"}));
    let nameless = issuer.sign(Signing::Es256, &json!({"alg": "ES256"}), &claims);
    assert_eq!(status(&client, &nameless).await, 200);
    let both = [
        issuer.jwk(Signing::Es256),
        Issuer::unknown(&[Signing::Es256]).jwk(Signing::Es256),
    ];
    issuer.publish(&both);
    let new = issuer.sign(
        Signing::EdDsa,
        &json!({"alg": "EdDSA", "kid": "new"}),
        &claims,
    );
    assert_eq!(status(&client, &new).await, 401);
    assert_eq!(status(&client, &nameless).await, 401);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_new_key_is_asked_for_when_a_token_names_it_but_not_again_and_again(db: PgPool) {
    let old = Issuer::start(&[Signing::Es256]).await;
    let client = trusting(db.clone(), &old, &["--oidc-keys-pause=1h"]);
    let claims = json!({"roles": "admin"});
    let before = old.token(Signing::Es256, &claims);
    assert_eq!(status(&client, &before).await, 200);
    let unknown = old.sign(
        Signing::Es256,
        &json!({"alg": "ES256", "kid": "x"}),
        &old.claims(&claims),
    );
    for _ in 0..5 {
        assert_eq!(status(&client, &unknown).await, 401);
    }
    assert_eq!(old.asked(), 1);

    let client = trusting(db, &old, &["--oidc-keys-pause=1ms"]);
    assert_eq!(status(&client, &before).await, 200);
    let new = Issuer::unknown(&[Signing::EdDsa]);
    old.publish(&[new.jwk(Signing::EdDsa)]);
    let after = new.sign(
        Signing::EdDsa,
        &head_of(Signing::EdDsa),
        &old.claims(&claims),
    );
    assert_eq!(status(&client, &after).await, 200);
    // What the issuer withdrew is refused from then on.
    assert_eq!(status(&client, &before).await, 401);
}

#[sqlx::test(migrations = "../../migrations")]
async fn while_the_issuer_is_away_its_keys_are_used_for_a_while_and_then_nobody_can_tell(
    db: PgPool,
) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let claims = json!({"roles": "admin"});
    let token = issuer.token(Signing::Es256, &claims);
    let flags = [
        "--oidc-keys-pause=1ms",
        "--oidc-keys-age=1ms",
        "--oidc-keys-kept=5s",
    ];
    let client = trusting(db, &issuer, &flags);
    issuer.fail(true);
    let away = client.as_somebody(Some(&token)).get("/subscriptions").await;
    assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(away.json()["code"], "provider_unavailable");
    assert_eq!(away.header("retry-after"), "2");
    // Keys need no issuer.
    assert_eq!(status(&client, ADMIN).await, 200);

    issuer.fail(false);
    assert_eq!(status(&client, &token).await, 200);
    issuer.fail(true);
    let unknown = issuer.sign(
        Signing::Es256,
        &json!({"alg": "ES256", "kid": "x"}),
        &issuer.claims(&claims),
    );
    assert_eq!(status(&client, &unknown).await, 503);
    assert_eq!(status(&client, &token).await, 200);
    let forgotten = async {
        while status(&client, &token).await != 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let forgotten = tokio::time::timeout(crate::support::LONG, forgotten).await;
    forgotten.expect("they are not used for ever");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_issuer_that_answers_nonsense_lets_nobody_in(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let token = issuer.token(Signing::Es256, &json!({"roles": "admin"}));
    let keys = format!("{}/jwks", issuer.url);
    for discovery in [
        json!({"issuer": "https://evil.example", "jwks_uri": keys}),
        json!({"issuer": format!("{}/", issuer.url), "jwks_uri": keys}),
        json!({"issuer": issuer.url, "jwks_uri": "http://203.0.113.1/jwks"}),
        json!({"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": issuer.url}),
        json!([]),
        json!({"issuer": issuer.url, "jwks_uri": format!("{}/redirect", issuer.url)}),
        json!({"issuer": issuer.url, "jwks_uri": format!("{}/endless", issuer.url)}),
        json!({"issuer": issuer.url, "jwks_uri": format!("{}/empty", issuer.url)}),
    ] {
        issuer.discover(discovery.clone());
        let client = trusting(db.clone(), &issuer, &[]);
        assert_eq!(status(&client, &token).await, 503, "{discovery}");
    }
}

#[tokio::test]
async fn its_keys_are_at_hand_before_a_token_comes_and_asked_for_again_by_themselves() {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let flags = ["--oidc-keys-age=1ms", "--oidc-keys-pause=1ms"];
    let oidc = Oidc::new(&args(&issuer, &flags), client_config());
    let oidc = oidc.expect("settings").expect("an issuer");
    let stop = CancellationToken::new();
    let until = async |count: usize| {
        while issuer.asked() < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let looking = async {
        until(3).await;
        stop.cancel();
    };
    let looking = tokio::time::timeout(crate::support::LONG, looking);
    let (kept, looked) = tokio::join!(oidc.keep_fresh(stop.clone()), looking);
    kept.expect("it only ends when it is stopped");
    looked.expect("it asks again");
}

#[test]
fn settings_that_trust_anybody_are_refused() {
    let check = |flags: &[&str]| {
        let command = OidcArgs::augment_args(clap::Command::new("oidc"));
        let all = ["oidc", "--oidc-audience=a"].iter().chain(flags);
        let matches = command.try_get_matches_from(all).expect("flags");
        let args = OidcArgs::from_arg_matches(&matches).expect("settings");
        Oidc::new(&args, client_config()).map(|oidc| oidc.is_some())
    };
    assert!(check(&["--oidc-issuer=https://login.example.com/realm"]).expect("good"));
    assert!(check(&["--oidc-issuer=http://[::1]:8080"]).expect("good"));
    for wrong in [
        "--oidc-issuer=http://login.example.com",
        "--oidc-issuer=ftp://127.0.0.1",
        "--oidc-issuer=login.example.com",
        "--oidc-issuer=https://login.example.com?realm=a",
        "--oidc-issuer=http://127.0.0.1.example.com",
    ] {
        assert!(check(&[wrong]).is_err(), "{wrong}");
    }
    let good = "--oidc-issuer=https://login.example.com";
    assert!(check(&[good, "--oidc-client-id=us"]).expect("good"));
    for wrong in [
        "--oidc-client-id=",
        "--oidc-scopes=profile email",
        "--oidc-admin-value=subscriber",
        "--oidc-keys-kept=1s",
        "--oidc-audience=",
    ] {
        assert!(check(&[good, wrong]).is_err(), "{wrong}");
    }
}
