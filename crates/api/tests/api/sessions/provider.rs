//! Signing in by an OIDC provider, over a real connection to one that answers as it is told.

use api::{Access, DoorArgs, Oidc, OidcArgs};
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::{Args, FromArgMatches};
use serde_json::{Value, json};
use sqlx::PgPool;
use url::Url;

use super::admin;
use crate::oidc::issuer::{Issuer, Signing, client_config};
use crate::support::{Answer, Client};

const REDIRECT_URI: &str = "http://localhost:9090/console/sign-in/callback";

/// The API as somebody sees it who has not signed in.
fn nobody(db: PgPool, issuer: &Issuer, flags: &[&str]) -> Client {
    let command = OidcArgs::augment_args(clap::Command::new("oidc"));
    let named = format!("--oidc-issuer={}", issuer.url);
    let ours = [
        "oidc",
        &*named,
        "--oidc-client-id=us",
        "--oidc-owner-claim=org",
    ];
    let matches = command.get_matches_from([&ours, flags].concat());
    let args = OidcArgs::from_arg_matches(&matches).expect("flags");
    let oidc = Oidc::new(&args, client_config()).expect("settings");
    let access = Access::by_keys(Some(&super::ADMIN.into())).and_tokens_of(oidc);
    Client::before(db, access, &DoorArgs::default())
}

/// A sign-in that has begun: what the provider was told, and what is to be shown with its answer.
struct Begun {
    told: Url,
    attempt: String,
}

impl Begun {
    async fn new(client: &Client) -> Self {
        let begun = client.post("/sign-ins", &json!({})).await;
        assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.text());
        let begun = begun.json();
        let told = begun["authorization_url"].as_str().expect("a URL");
        Self {
            told: told.parse().expect("a URL"),
            attempt: begun["attempt"].as_str().expect("an attempt").to_owned(),
        }
    }

    fn told(&self, name: &str) -> String {
        let mut pairs = self.told.query_pairs();
        let pair = pairs.find(|(key, _)| key == name);
        pair.unwrap_or_else(|| panic!("no {name}")).1.into_owned()
    }

    fn returned(&self) -> Value {
        json!({"attempt": self.attempt, "code": "the-code", "state": self.told("state")})
    }

    /// The claims of a good ID token, but for what is given.
    fn claims(&self, changed: &Value) -> Value {
        let mut claims = json!({"aud": "us", "nonce": self.told("nonce"), "roles": "admin"});
        let changed = changed.as_object().expect("claims").clone();
        claims.as_object_mut().expect("claims").extend(changed);
        claims
    }
}

async fn finish(client: &Client, returned: &Value) -> Answer {
    client.post("/sessions", &json!({"oidc": returned})).await
}

#[sqlx::test(migrations = "../../migrations")]
async fn who_signs_in_there_is_who_the_claims_say(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let client = nobody(db, &issuer, &["--oidc-client-secret=s:e c"]);
    let begun = Begun::new(&client).await;
    assert!(
        begun
            .told
            .as_str()
            .starts_with(&format!("{}/authorize?", issuer.url))
    );
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "us"),
        ("redirect_uri", REDIRECT_URI),
        ("scope", "openid"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(begun.told(name), value, "{name}");
    }
    let claims = begun.claims(&json!({"roles": "subscriber", "org": "acme"}));
    issuer.grant(&issuer.token(Signing::Es256, &claims));
    let session = finish(&client, &begun.returned()).await;
    assert_eq!(session.status, StatusCode::CREATED, "{}", session.text());
    let session = session.json();
    assert_eq!(
        (&session["role"], &session["owner"]),
        (&json!("subscriber"), &json!("acme"))
    );
    let acme = client.as_somebody(session["key"].as_str());
    assert_eq!(acme.subscribe("a").await["owner"], "acme");

    let asked = issuer.exchanged();
    let form: Vec<(String, String)> = url::form_urlencoded::parse(asked.body.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|pair| &*pair.1)
    };
    assert_eq!(field("grant_type"), Some("authorization_code"));
    assert_eq!(field("code"), Some("the-code"));
    assert_eq!(field("redirect_uri"), Some(REDIRECT_URI));
    assert_eq!(field("client_secret"), None);
    // "us" and "s:e c", each encoded.
    assert_eq!(asked.authorization, "Basic dXM6cyUzQWUrYw==");
    let verifier = field("code_verifier").expect("a verifier");
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes());
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest);
    assert_eq!(begun.told("code_challenge"), challenge);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_secret_goes_where_the_provider_takes_it(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let mut said = issuer.discovery();
    said["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    issuer.discover(said);
    for (flags, in_body) in [(vec!["--oidc-client-secret=secret"], true), (vec![], false)] {
        let client = nobody(db.clone(), &issuer, &flags);
        let begun = Begun::new(&client).await;
        issuer.grant(&issuer.token(Signing::Es256, &begun.claims(&json!({}))));
        let session = finish(&client, &begun.returned()).await;
        assert_eq!(session.status, StatusCode::CREATED, "{}", session.text());
        let asked = issuer.exchanged();
        assert_eq!(asked.authorization, "");
        assert_eq!(asked.body.contains("client_secret=secret"), in_body);
        assert!(asked.body.contains("client_id=us"));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_not_begun_here_lets_nobody_in_and_the_provider_is_not_asked(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let client = nobody(db, &issuer, &[]);
    let (begun, other) = (Begun::new(&client).await, Begun::new(&client).await);
    issuer.grant(&issuer.token(Signing::Es256, &begun.claims(&json!({}))));
    for (changed, status) in [
        (json!({"state": other.told("state")}), 403),
        (json!({"state": ""}), 403),
        (json!({"iss": "https://other.example"}), 403),
        (json!({"attempt": other.attempt}), 403),
        (json!({"attempt": format!("{}A", begun.attempt)}), 422),
        (json!({"attempt": "a.b"}), 422),
        (json!({"attempt": ""}), 422),
    ] {
        let mut returned = begun.returned();
        let changed = changed.as_object().expect("fields").clone();
        returned.as_object_mut().expect("fields").extend(changed);
        let refused = finish(&client, &returned).await;
        assert_eq!(
            refused.status.as_u16(),
            status,
            "{returned}: {}",
            refused.text()
        );
    }
    assert_eq!(issuer.exchanged().body, "");
    let mut right = begun.returned();
    right["iss"] = json!(issuer.url);
    let session = finish(&client, &right).await;
    assert_eq!(session.status, StatusCode::CREATED, "{}", session.text());
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_id_token_that_is_for_another_sign_in_or_client_lets_nobody_in(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let stranger = Issuer::unknown(&[Signing::Es256]);
    let client = nobody(db, &issuer, &[]);
    let begun = Begun::new(&client).await;
    let other = Begun::new(&client).await;
    for (changed, status) in [
        (json!({"nonce": other.told("nonce")}), 403),
        (json!({"nonce": null}), 403),
        (json!({"aud": "others"}), 401),
        (json!({"aud": ["us", "others"], "azp": "others"}), 403),
        (json!({"iss": "https://other.example"}), 401),
        (json!({"exp": 1}), 401),
        (json!({"roles": "king"}), 403),
    ] {
        let claims = begun.claims(&changed);
        issuer.grant(&issuer.token(Signing::Es256, &claims));
        let refused = finish(&client, &begun.returned()).await;
        assert_eq!(
            refused.status.as_u16(),
            status,
            "{claims}: {}",
            refused.text()
        );
    }
    let mut claims = begun.claims(&json!({}));
    claims["iss"] = json!(issuer.url);
    issuer.grant(&stranger.token(Signing::Es256, &claims));
    let refused = finish(&client, &begun.returned()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_provider_that_refuses_or_fails_lets_nobody_in(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let client = nobody(db.clone(), &issuer, &[]);
    let begun = Begun::new(&client).await;
    issuer.answer(400, &json!({"error": "invalid_grant"}));
    let refused = finish(&client, &begun.returned()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    issuer.grant("");
    let refused = finish(&client, &begun.returned()).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    for odd in [json!([]), json!("x"), json!({"id_token": 7})] {
        issuer.answer(200, &odd);
        let refused = finish(&client, &begun.returned()).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{odd}");
    }
    issuer.fail(true);
    let client = nobody(db.clone(), &issuer, &[]);
    for answer in [
        finish(&client, &begun.returned()).await,
        client.post("/sign-ins", &json!({})).await,
    ] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.json()["code"], "provider_unavailable");
    }
    let none = admin(db)
        .as_somebody(None)
        .post("/sign-ins", &json!({}))
        .await;
    assert_eq!(none.status, StatusCode::FORBIDDEN);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_id_token_is_no_key(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let client = nobody(db, &issuer, &[]);
    let token = issuer.token(Signing::Es256, &json!({"aud": "us", "roles": "admin"}));
    let refused = client.as_somebody(Some(&token)).get("/stats").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}
