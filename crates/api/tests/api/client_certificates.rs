//! Deliveries that show a certificate, at a real TLS receiver that asks for one.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::{Client, id_of};

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn certificate(&self, name: &str, years: (i32, i32)) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let signed = params.signed_by(&key, &self.0);
        (signed.expect("a certificate"), key)
    }

    /// As a client gives it.
    fn identity(&self, name: &str, years: (i32, i32)) -> Value {
        let (certificate, key) = self.certificate(name, years);
        json!({"certificate": certificate.pem(), "private_key": key.serialize_pem()})
    }

    /// A file for `EGRESS_CA_FILE`.
    fn file(&self) -> PathBuf {
        let file = std::env::temp_dir().join(format!("{}.pem", uuid::Uuid::now_v7()));
        std::fs::write(&file, self.0.pem()).expect("a file");
        file
    }

    /// A receiver that takes deliveries from those whom this authority knows; its URL.
    async fn receiver(&self, serving: &mut JoinSet<()>) -> String {
        let (certificate, key) = self.certificate("localhost", (2000, 2099));
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let provider = Arc::new(default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients.expect("a verifier"))
            .with_single_cert(vec![certificate.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate")));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        serving.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(tcp).await {
                    let mut request = Vec::new();
                    while !request.ends_with(b"}") {
                        stream.read_buf(&mut request).await.expect("a request");
                    }
                    let answer = b"HTTP/1.1 204 No Content\r\n\r\n";
                    stream.write_all(answer).await.expect("it is read");
                }
            }
        });
        format!("https://localhost:{port}/")
    }
}

const GOOD: (i32, i32) = (2000, 2099);

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_that_asks_gets_the_certificate_and_a_patch_brings_another(db: PgPool) {
    let authority = Authority::new();
    let file = authority.file();
    let client = Client::trusting(db, &file);
    std::fs::remove_file(file).expect("it is there");
    let mut serving = JoinSet::new();
    let url = authority.receiver(&mut serving).await;
    let made = client
        .post("/subscriptions", &json!({"name": "a", "url": url}))
        .await;
    let path = format!("/subscriptions/{}", id_of(&made.json()));
    let failure = async || {
        let answer = client.call(Method::POST, &format!("{path}/test")).await;
        answer.json()["failure"].clone()
    };
    assert_eq!(failure().await, "client_certificate");
    for (identity, expected) in [
        (authority.identity("hooks", GOOD), Value::Null),
        (
            Authority::new().identity("hooks", GOOD),
            json!("client_certificate"),
        ),
        (authority.identity("others", GOOD), Value::Null),
        (json!(null), json!("client_certificate")),
    ] {
        let patch = json!({"client_certificate": identity});
        let patched = client.patch(&path, &patch).await;
        assert_eq!(patched.status, StatusCode::OK, "{}", patched.text());
        assert_eq!(failure().await, expected, "{}", patched.text());
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn it_is_read_back_by_what_it_says_and_its_key_never(db: PgPool) {
    let client = Client::new(db.clone());
    let authority = Authority::new();
    let identity = authority.identity("hooks", GOOD);
    let new = json!({"name": "a", "url": "https://a", "client_certificate": identity});
    let made = client.post("/subscriptions", &new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    let shown = &made.json()["client_certificate"];
    assert_eq!(shown["subject"], "CN=hooks");
    assert_eq!(shown["not_after"], "2099-01-01T00:00:00Z");
    assert_eq!(shown["fingerprint_sha256"].as_str().map(str::len), Some(64));
    assert!(
        shown["serial"]
            .as_str()
            .is_some_and(|serial| !serial.is_empty())
    );
    let path = format!("/subscriptions/{}", id_of(&made.json()));
    let renamed = client.patch(&path, &json!({"name": "b"})).await;
    assert_eq!(&renamed.json()["client_certificate"], shown);
    let audit = client.get("/audit").await;
    assert_eq!(
        audit.json()["items"][1]["changes"]["client_certificate"],
        "set"
    );
    let key = identity["private_key"].as_str().expect("a key");
    let line = key.lines().nth(1).expect("a line of base64");
    let stored: String = sqlx::query_scalar(
        "SELECT s::text || c::text FROM subscriptions AS s, client_certificates AS c",
    )
    .fetch_one(&db)
    .await
    .expect("rows");
    for text in [made.text(), renamed.text(), audit.text(), &stored] {
        assert!(!text.contains(line) && !text.contains("PRIVATE"), "{text}");
    }
    // Without TLS nobody would see it.
    let plain = client.patch(&path, &json!({"url": "http://a"})).await;
    assert_eq!(plain.json()["pointer"], "/client_certificate");
    let removed = client
        .patch(&path, &json!({"client_certificate": null}))
        .await;
    assert_eq!(removed.json()["client_certificate"], Value::Null);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_of_no_use_is_refused_when_it_is_written(db: PgPool) {
    let client = Client::new(db);
    let authority = Authority::new();
    let (one, other) = (authority.identity("a", GOOD), authority.identity("b", GOOD));
    let with =
        |certificate: &Value, key: &Value| json!({"certificate": certificate, "private_key": key});
    let mixed = with(&one["certificate"], &other["private_key"]);
    let swapped = with(&one["private_key"], &one["certificate"]);
    let none = with(&json!("none"), &one["private_key"]);
    let text = |field: &str| one[field].as_str().expect("PEM");
    let both = json!(format!("{}{}", text("certificate"), text("private_key")));
    let both = with(&both, &one["private_key"]);
    let long = with(&json!("x".repeat(32 * 1024 + 1)), &one["private_key"]);
    let part = json!({"certificate": one["certificate"]});
    let extra = json!({"certificate": "", "private_key": "", "password": "x"});
    for (identity, pointer, why) in [
        (mixed, "/client_certificate", "not that of the first"),
        (swapped, "/client_certificate", "in `private_key` alone"),
        (both, "/client_certificate", "in `private_key` alone"),
        (none, "/client_certificate", "no certificate in PEM"),
        (long, "/client_certificate", "at most 32768 bytes"),
        (
            authority.identity("a", (2000, 2020)),
            "/client_certificate",
            "not now",
        ),
        (
            authority.identity("a", (2090, 2099)),
            "/client_certificate",
            "not now",
        ),
        (part, "/client_certificate/private_key", "missing field"),
        (extra, "/client_certificate/password", "unknown field"),
        (json!("x"), "/client_certificate", "invalid type"),
    ] {
        let new = json!({"name": "a", "url": "https://a", "client_certificate": identity});
        let refused = client.post("/subscriptions", &new).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{why}");
        assert_eq!(refused.json()["pointer"], pointer, "{}", refused.text());
        assert!(refused.text().contains(why), "{}", refused.text());
        assert!(!refused.text().contains("PRIVATE"), "{}", refused.text());
    }
    // It would be shown to nobody.
    let plain = json!({"name": "a", "url": "http://a", "client_certificate": one});
    let refused = client.post("/subscriptions", &plain).await;
    assert_eq!(refused.json()["pointer"], "/client_certificate");
}
