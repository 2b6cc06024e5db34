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

/// Heads and signatures that somebody makes who has no key of the issuer's.
fn forged(issuer: &Issuer) -> Vec<(&'static str, String)> {
    let claims = issuer.claims(&json!({"roles": "admin"}));
    let sign = |signing, head: Value| issuer.sign(signing, &head, &claims);
    let good = issuer.token(Signing::Es256, &json!({"roles": "admin"}));
    let parts: Vec<&str> = good.split('.').collect();
    let (head, payload, signature) = (parts[0], parts[1], parts[2]);
    let none = |alg: &str| {
        format!(
            "{}.{payload}.",
            encoded(&json!({"alg": alg, "kid": "ES256"}))
        )
    };
    let stranger = Issuer::unknown(&[Signing::Es256, Signing::EdDsa]);
    let theirs = |signing| stranger.sign(signing, &head_of(signing), &claims);
    let jwk = stranger.jwk(Signing::Es256);
    vec![
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("alg nOnE", none("nOnE")),
        (
            "no alg",
            format!(
                "{}.{payload}.{signature}",
                encoded(&json!({"kid": "ES256"}))
            ),
        ),
        (
            "alg is no text",
            sign(Signing::Es256, json!({"alg": ["ES256"], "kid": "ES256"})),
        ),
        (
            "alg twice",
            issuer.sign_text(
                Signing::Es256,
                r#"{"alg":"none","alg":"ES256","kid":"ES256"}"#,
                &claims,
            ),
        ),
        (
            "HS256 with the public key",
            issuer.hmac("HS256", Signing::Rs256, &claims),
        ),
        (
            "HS384 with the public key",
            issuer.hmac("HS384", Signing::Rs256, &claims),
        ),
        (
            "HS256 with the point",
            issuer.hmac("HS256", Signing::Es256, &claims),
        ),
        (
            "RS384",
            sign(Signing::Rs256, json!({"alg": "RS384", "kid": "RS256"})),
        ),
        (
            "PS256",
            sign(Signing::Rs256, json!({"alg": "PS256", "kid": "RS256"})),
        ),
        (
            "ES384",
            sign(Signing::Es256, json!({"alg": "ES384", "kid": "ES256"})),
        ),
        (
            "es256",
            sign(Signing::Es256, json!({"alg": "es256", "kid": "ES256"})),
        ),
        (
            "a key of another kind",
            sign(Signing::Es256, json!({"alg": "RS256", "kid": "ES256"})),
        ),
        (
            "another's algorithm",
            sign(Signing::Es256, json!({"alg": "EdDSA", "kid": "EdDSA"})),
        ),
        (
            "another's key",
            sign(Signing::Es256, json!({"alg": "ES256", "kid": "RS256"})),
        ),
        (
            "an unknown key",
            sign(Signing::Es256, json!({"alg": "ES256", "kid": "unknown"})),
        ),
        (
            "a path for a key",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "../../dev/null"}),
            ),
        ),
        (
            "SQL for a key",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "' OR 1=1 --"}),
            ),
        ),
        ("a stranger's ES256", theirs(Signing::Es256)),
        ("a stranger's EdDSA", theirs(Signing::EdDsa)),
        (
            "RS256 over something else",
            changed(
                &issuer.token(Signing::Rs256, &json!({"roles": "subscriber"})),
                &claims,
            ),
        ),
        (
            "a key in the head",
            stranger.sign(
                Signing::Es256,
                &json!({"alg": "ES256", "jwk": jwk}),
                &claims,
            ),
        ),
        (
            "a key by URL",
            stranger.sign(
                Signing::Es256,
                &json!({"alg": "ES256", "jku": stranger.url, "kid": "ES256"}),
                &claims,
            ),
        ),
        (
            "crit",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "ES256", "crit": ["exp"]}),
            ),
        ),
        (
            "crit b64",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "ES256", "crit": ["b64"], "b64": false}),
            ),
        ),
        (
            "crit empty",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "ES256", "crit": []}),
            ),
        ),
        (
            "a logout token",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "ES256", "typ": "logout+jwt"}),
            ),
        ),
        (
            "a DPoP proof",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "ES256", "typ": "dpop+jwt"}),
            ),
        ),
        ("no signature", format!("{head}.{payload}.")),
        ("two parts", format!("{head}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts", format!("{good}.a.b")),
        (
            "another payload",
            format!(
                "{head}.{}.{signature}",
                encoded(&issuer.claims(&json!({"roles": "admin", "sub": "me"})))
            ),
        ),
        ("padding", format!("{good}=")),
        (
            "zeros for a signature",
            format!(
                "{head}.{payload}.{}",
                BASE64_URL_SAFE_NO_PAD.encode([0; 64])
            ),
        ),
        (
            "a cut signature",
            format!("{head}.{payload}.{}", &signature[..43]),
        ),
        ("a DER signature", issuer.der(&claims)),
        (
            "a payload that is no object",
            issuer.sign(Signing::Es256, &head_of(Signing::Es256), &json!([1])),
        ),
        (
            "a head that is no JSON",
            format!("bm9uc2Vuc2U.{payload}.{signature}"),
        ),
        (
            "an endless one",
            sign(
                Signing::Es256,
                json!({"alg": "ES256", "kid": "ES256", "x": "y".repeat(20_000)}),
            ),
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
