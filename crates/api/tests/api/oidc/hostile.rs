//! Tokens of whoever has no right to one: claims that are wrong, and heads and signatures that are forged.

use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::issuer::{self, Issuer, Signing};
use super::{head_of, status, trusting};

fn encoded(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

/// What a claim may be and still be refused: one that is changed, or left out (`null`).
fn wrong_claims(now: i64) -> Vec<Value> {
    vec![
        json!({"iss": "https://evil.example"}),
        json!({"iss": null}),
        json!({"iss": ["x"]}),
        json!({"aud": "somebody-else"}),
        json!({"aud": ["somebody-else", 7]}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"aud": "webhooks other"}),
        json!({"aud": {"webhooks": true}}),
        json!({"exp": null}),
        json!({"exp": now - 31}),
        json!({"exp": 0}),
        json!({"exp": -1e300}),
        json!({"exp": "9999999999"}),
        json!({"exp": [now + 600]}),
        json!({"nbf": now + 60}),
        json!({"nbf": 1e300}),
        json!({"nbf": "0"}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "a\r\nb"}),
        json!({"sub": "x".repeat(256)}),
    ]
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_token_that_says_something_wrong_is_refused(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Es256]).await;
    let client = trusting(db, &issuer, &[]);
    let now = issuer::now();
    for claims in wrong_claims(now) {
        let mut claims = claims;
        claims["roles"] = json!("admin");
        let token = issuer.token(Signing::Es256, &claims);
        assert_eq!(status(&client, &token).await, 401, "{claims}");
    }
    // The clocks need not agree to the second.
    for claims in [
        json!({"exp": now - 15}),
        json!({"nbf": now + 15}),
        json!({"aud": ["somebody-else", "other"]}),
    ] {
        let mut claims = claims;
        claims["roles"] = json!("admin");
        let token = issuer.token(Signing::Es256, &claims);
        assert_eq!(status(&client, &token).await, 200, "{claims}");
    }
}

/// Heads and signatures that somebody makes who has no key of the issuer's, or misuses one.
fn forged(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let claims = issuer.claims(&json!({"roles": "admin"}));
    let mut forged = unsigned(issuer);
    forged.extend(by_others(issuer, &claims));
    forged.extend(heads().into_iter().map(|(name, signing, head)| {
        let token = issuer.sign(signing, &head, &claims);
        (name, token)
    }));
    forged.extend(misshapen(issuer, &claims));
    forged
}

/// What says that nothing signed it, or by what.
fn unsigned(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let good = issuer.token(Signing::Es256, &json!({"roles": "admin"}));
    let parts: Vec<&str> = good.split('.').collect();
    let (payload, signature) = (parts[1], parts[2]);
    let none = |alg: &str| {
        let head = encoded(&json!({"alg": alg, "kid": "ES256"}));
        format!("{head}.{payload}.")
    };
    let no_alg = encoded(&json!({"kid": "ES256"}));
    vec![
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("alg nOnE", none("nOnE")),
        ("no alg", format!("{no_alg}.{payload}.{signature}")),
    ]
}

/// What is signed with a key that is not the issuer's, or is none.
fn by_others(issuer: &Issuer, claims: &Value) -> Vec<(&'static str, String)> {
    let stranger = Issuer::unknown(&[Signing::Es256, Signing::EdDsa]);
    let theirs = |signing| stranger.sign(signing, &head_of(signing), claims);
    let named = |head: Value| stranger.sign(Signing::Es256, &head, claims);
    let jwk = stranger.jwk(Signing::Es256);
    let subscriber = issuer.token(Signing::Rs256, &json!({"roles": "subscriber"}));
    let hmac = |alg: &str, key| issuer.hmac(alg, key, claims);
    vec![
        ("HS256 with the public key", hmac("HS256", Signing::Rs256)),
        ("HS384 with the public key", hmac("HS384", Signing::Rs256)),
        ("HS256 with the point", hmac("HS256", Signing::Es256)),
        ("a stranger's ES256", theirs(Signing::Es256)),
        ("a stranger's EdDSA", theirs(Signing::EdDsa)),
        ("RS256 over something else", changed(&subscriber, claims)),
        (
            "a key in the head",
            named(json!({"alg": "ES256", "jwk": jwk})),
        ),
        (
            "a key by URL",
            named(json!({"alg": "ES256", "jku": stranger.url, "kid": "ES256"})),
        ),
    ]
}

/// Heads over which the issuer's own key signs.
fn heads() -> Vec<(&'static str, Signing, Value)> {
    let es256 = |name, kid: &str| (name, Signing::Es256, json!({"alg": "ES256", "kid": kid}));
    let with = |name, field: &str, value: Value| {
        let mut head = json!({"alg": "ES256", "kid": "ES256"});
        head[field] = value;
        (name, Signing::Es256, head)
    };
    let alg =
        |name, alg: &str, signing, kid: &str| (name, signing, json!({"alg": alg, "kid": kid}));
    let mut b64 = with("crit b64", "crit", json!(["b64"]));
    b64.2["b64"] = json!(false);
    vec![
        with("alg is no text", "alg", json!(["ES256"])),
        alg("RS384", "RS384", Signing::Rs256, "RS256"),
        alg("PS256", "PS256", Signing::Rs256, "RS256"),
        alg("ES384", "ES384", Signing::Es256, "ES256"),
        alg("es256", "es256", Signing::Es256, "ES256"),
        alg("a key of another kind", "RS256", Signing::Es256, "ES256"),
        alg("another's algorithm", "EdDSA", Signing::Es256, "EdDSA"),
        es256("another's key", "RS256"),
        es256("an unknown key", "unknown"),
        es256("a path for a key", "../../dev/null"),
        es256("SQL for a key", "' OR 1=1 --"),
        with("crit", "crit", json!(["exp"])),
        b64,
        with("crit empty", "crit", json!([])),
        with("a logout token", "typ", json!("logout+jwt")),
        with("a DPoP proof", "typ", json!("dpop+jwt")),
        with("an endless one", "x", json!("y".repeat(20_000))),
    ]
}

/// What is no token by its shape, or whose signature is none.
fn misshapen(issuer: &Issuer, claims: &Value) -> Vec<(&'static str, String)> {
    let good = issuer.token(Signing::Es256, &json!({"roles": "admin"}));
    let parts: Vec<&str> = good.split('.').collect();
    let (head, payload, signature) = (parts[0], parts[1], parts[2]);
    let other = encoded(&issuer.claims(&json!({"roles": "admin", "sub": "me"})));
    let zeros = BASE64_URL_SAFE_NO_PAD.encode([0; 64]);
    let twice = r#"{"alg":"none","alg":"ES256","kid":"ES256"}"#;
    let list = issuer.sign(Signing::Es256, &head_of(Signing::Es256), &json!([1]));
    vec![
        ("alg twice", issuer.sign_text(Signing::Es256, twice, claims)),
        ("no signature", format!("{head}.{payload}.")),
        ("two parts", format!("{head}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{good}.a.b")),
        ("another payload", format!("{head}.{other}.{signature}")),
        ("padding", format!("{good}=")),
        ("zeros for a signature", format!("{head}.{payload}.{zeros}")),
        (
            "a cut signature",
            format!("{head}.{payload}.{}", &signature[..43]),
        ),
        ("a DER signature", issuer.der(claims)),
        ("a payload that is no object", list),
        (
            "a head that is no JSON",
            format!("bm9uc2Vuc2U.{payload}.{signature}"),
        ),
        ("dots", "..".into()),
    ]
}

/// The same head and signature around other claims.
fn changed(token: &str, claims: &Value) -> String {
    let mut parts = token.split('.');
    let (head, signature) = (parts.next(), parts.nth(1));
    let (head, signature) = (head.expect("a head"), signature.expect("a signature"));
    format!("{head}.{}.{signature}", encoded(claims))
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_token_that_the_issuer_did_not_sign_for_this_is_refused(db: PgPool) {
    let issuer = Issuer::start(&[Signing::Rs256, Signing::Es256, Signing::EdDsa]).await;
    let client = trusting(db, &issuer, &[]);
    for (what, token) in forged(&issuer) {
        let answer = client.as_somebody(Some(&token)).get("/subscriptions").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
        assert_eq!(answer.json()["code"], "invalid_token", "{what}");
    }
    let token = issuer.token(Signing::Es256, &json!({"roles": "admin"}));
    assert_eq!(status(&client, &token).await, 200);
    // However many unknown keys were named, it was asked once, and once more.
    assert!(issuer.asked() <= 2, "{}", issuer.asked());
}
