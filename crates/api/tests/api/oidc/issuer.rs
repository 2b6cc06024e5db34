//! An issuer: its keys, the tokens that it signs, and the documents that it serves.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use ring::{hmac, signature};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// An RSA key, since nothing here makes one. It is of these tests only.
const RSA: &[u8] = include_bytes!("rsa.pk8");

/// How it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signing {
    Rs256,
    Es256,
    EdDsa,
}

impl Signing {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A key in PKCS#8.
type Pkcs8 = Vec<u8>;

/// Dropping it ends its server.
pub struct Issuer {
    pub url: String,
    keys: HashMap<Signing, Pkcs8>,
    served: Arc<Served>,
    server: JoinSet<()>,
}

#[derive(Default)]
struct Served {
    discovery: Mutex<Value>,
    keys: Mutex<Value>,
    asked: AtomicUsize,
    fails: AtomicBool,
    /// What becomes of a code, with its status.
    granted: Mutex<(u16, Value)>,
    exchanged: Mutex<Exchanged>,
}

/// What it was asked for a token with.
#[derive(Clone, Default)]
pub struct Exchanged {
    pub authorization: String,
    pub body: String,
}

fn make(signing: Signing) -> Pkcs8 {
    let random = SystemRandom::new();
    let made = match signing {
        Signing::Rs256 => return RSA.to_vec(),
        Signing::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        Signing::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
    };
    made.expect("a key").as_ref().to_vec()
}

fn ecdsa(key: &[u8], how: &'static signature::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(how, key, &SystemRandom::new()).expect("a key")
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// In seconds since the Unix epoch.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

impl Issuer {
    /// One whose documents are served.
    pub async fn start(signings: &[Signing]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut issuer = Self::unknown(signings);
        issuer.url = format!("http://{}", listener.local_addr().expect("an address"));
        let at = |path: &str| format!("{}/{path}", issuer.url);
        issuer.discover(json!({
            "issuer": issuer.url, "jwks_uri": at("jwks"), "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
        }));
        let keys: Vec<Value> = signings
            .iter()
            .map(|&signing| issuer.jwk(signing))
            .collect();
        issuer.publish(&keys);
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(jwks))
            .route("/token", post(token))
            .route("/redirect", get(async || Redirect::temporary("/jwks")))
            .route("/endless", get(async || " ".repeat(2 * 1024 * 1024)))
            .route("/empty", get(async || r#"{"keys":[]}"#))
            .with_state(issuer.served.clone());
        issuer.server.spawn(async move {
            axum::serve(listener, routes).await.expect("it serves");
        });
        issuer
    }

    /// One that nobody can ask.
    pub fn unknown(signings: &[Signing]) -> Self {
        Self {
            url: "http://127.0.0.1:1".into(),
            keys: signings
                .iter()
                .map(|&signing| (signing, make(signing)))
                .collect(),
            served: Arc::default(),
            server: JoinSet::new(),
        }
    }

    /// What it says of itself from now on.
    pub fn discover(&self, document: Value) {
        *self.served.discovery.lock().expect("no panic") = document;
    }

    /// The keys that it has from now on.
    pub fn publish(&self, keys: &[Value]) {
        *self.served.keys.lock().expect("no panic") = json!({"keys": keys});
    }

    /// What it says of itself.
    pub fn discovery(&self) -> Value {
        self.served.discovery.lock().expect("no panic").clone()
    }

    /// The ID token that it gives for any code.
    pub fn grant(&self, id_token: &str) {
        let answer = json!({"token_type": "Bearer", "access_token": "x", "id_token": id_token});
        self.answer(200, &answer);
    }

    /// What it says to any code instead.
    pub fn answer(&self, status: u16, answer: &Value) {
        *self.served.granted.lock().expect("no panic") = (status, answer.clone());
    }

    /// What it was asked for a token with, last.
    pub fn exchanged(&self) -> Exchanged {
        self.served.exchanged.lock().expect("no panic").clone()
    }

    /// Whether it fails from now on.
    pub fn fail(&self, fails: bool) {
        self.served.fails.store(fails, Ordering::SeqCst);
    }

    /// How often somebody asked for its keys.
    pub fn asked(&self) -> usize {
        self.served.asked.load(Ordering::SeqCst)
    }

    /// A key as it publishes it, named like its algorithm.
    pub fn jwk(&self, signing: Signing) -> Value {
        let key = &self.keys[&signing];
        let mut jwk = match signing {
            Signing::Rs256 => {
                let key = RsaKeyPair::from_pkcs8(key).expect("a key");
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                let (n, e) = (public.n, public.e);
                json!({"kty": "RSA", "n": encoded(n), "e": encoded(e)})
            }
            Signing::Es256 => {
                let key = ecdsa(key, &ECDSA_P256_SHA256_FIXED_SIGNING);
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..])})
            }
            Signing::EdDsa => {
                let key = Ed25519KeyPair::from_pkcs8(key).expect("a key");
                json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key())})
            }
        };
        jwk["kid"] = json!(signing.name());
        jwk["use"] = json!("sig");
        jwk
    }

    /// What a good token says, but for what is given; `null` leaves one out.
    pub fn claims(&self, changed: &Value) -> Value {
        let mut claims = json!({
            "iss": self.url, "aud": "webhooks", "sub": "somebody", "iat": now(), "exp": now() + 600,
        });
        for (name, value) in changed.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let claims = claims.as_object().expect("claims").clone();
        claims
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .collect()
    }

    /// A token that says so.
    pub fn token(&self, signing: Signing, changed: &Value) -> String {
        let head = json!({"alg": signing.name(), "kid": signing.name(), "typ": "JWT"});
        self.sign(signing, &head, &self.claims(changed))
    }

    pub fn sign(&self, signing: Signing, head: &Value, claims: &Value) -> String {
        self.sign_text(signing, &head.to_string(), claims)
    }

    pub fn sign_text(&self, signing: Signing, head: &str, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(head), encoded(claims.to_string()));
        let key = &self.keys[&signing];
        let random = SystemRandom::new();
        let signature = match signing {
            Signing::Rs256 => {
                let key = RsaKeyPair::from_pkcs8(key).expect("a key");
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    signed.as_bytes(),
                    &mut signature,
                )
                .expect("signed");
                signature
            }
            Signing::Es256 => {
                let key = ecdsa(key, &ECDSA_P256_SHA256_FIXED_SIGNING);
                key.sign(&random, signed.as_bytes())
                    .expect("signed")
                    .as_ref()
                    .to_vec()
            }
            Signing::EdDsa => {
                let key = Ed25519KeyPair::from_pkcs8(key).expect("a key");
                key.sign(signed.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{signed}.{}", encoded(signature))
    }

    /// A token that has its public key for a shared secret.
    pub fn hmac(&self, alg: &str, signing: Signing, claims: &Value) -> String {
        let jwk = self.jwk(signing);
        let public = jwk["n"]
            .as_str()
            .or(jwk["x"].as_str())
            .expect("a public key");
        let head = json!({"alg": alg, "kid": signing.name()}).to_string();
        let signed = format!("{}.{}", encoded(head), encoded(claims.to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes());
        let tag = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", encoded(tag))
    }

    /// A token whose ES256 signature is written as certificates have it.
    pub fn der(&self, claims: &Value) -> String {
        let head = json!({"alg": "ES256", "kid": "ES256"}).to_string();
        let signed = format!("{}.{}", encoded(head), encoded(claims.to_string()));
        let key = ecdsa(&self.keys[&Signing::Es256], &ECDSA_P256_SHA256_ASN1_SIGNING);
        let signature = key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("signed");
        format!("{signed}.{}", encoded(signature))
    }
}

async fn discovery(State(served): State<Arc<Served>>) -> Response {
    if served.fails.load(Ordering::SeqCst) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    served
        .discovery
        .lock()
        .expect("no panic")
        .to_string()
        .into_response()
}

async fn token(
    State(served): State<Arc<Served>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, axum::Json<Value>) {
    let authorization = headers.get("authorization");
    *served.exchanged.lock().expect("no panic") = Exchanged {
        authorization: authorization
            .map_or("", |it| it.to_str().expect("ASCII"))
            .into(),
        body,
    };
    let (status, answer) = served.granted.lock().expect("no panic").clone();
    let status = StatusCode::from_u16(status).expect("a status");
    (status, axum::Json(answer))
}

async fn jwks(State(served): State<Arc<Served>>) -> String {
    served.asked.fetch_add(1, Ordering::SeqCst);
    served.keys.lock().expect("no panic").to_string()
}

/// Trusts nobody: these issuers are on this machine.
pub fn client_config() -> ClientConfig {
    let provider = rustls::crypto::ring::default_provider().into();
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}
