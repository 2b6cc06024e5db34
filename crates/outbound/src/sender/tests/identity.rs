//! Receivers that want to know who we are.

use rcgen::{CertificateParams, KeyPair};
use rustls::server::WebPkiClientVerifier;

use super::tls::{Authority, answer};
use super::*;
use crate::identity::ClientIdentity;
use crate::verdict::Verdict;

/// A certificate by that authority, and its key, in PEM.
fn identity(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["webhooks.example".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority.issuer()).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_gets_that_of_the_target() {
    let authority = Authority::new();
    let clients = WebPkiClientVerifier::builder_with_provider(
        authority.roots().into(),
        Arc::new(ring::default_provider()),
    );
    let acceptor = authority.asking("localhost", clients.build().unwrap());
    let sender = authority.sender();
    let (certificate, key) = identity(&authority);
    let known = ClientIdentity::from_pem(&certificate, &key).unwrap();
    let known = sender.with_identity(&known).unwrap();
    for (own, delivered) in [(None, false), (Some(known), true)] {
        let receiver = Receiver::new().await;
        let port = receiver.listener.local_addr().unwrap().port();
        let mut to = target(&format!("https://localhost:{port}/"), LONG);
        if let Some(own) = own {
            to.send_by(own);
        }
        let answering = answer(&receiver.listener, &acceptor);
        let (attempt, _held) = tokio::join!(post(&sender, &to), answering);
        assert_eq!(
            attempt.verdict == Verdict::Delivered,
            delivered,
            "{attempt:?}"
        );
    }
}

#[test]
fn a_key_of_another_certificate_is_refused_and_so_is_what_is_no_pem() {
    let authority = Authority::new();
    let ((certificate, key), (_, other)) = (identity(&authority), identity(&authority));
    let mixed = ClientIdentity::from_pem(&certificate, &other).unwrap();
    sender().with_identity(&mixed).unwrap_err();
    for (certificate, key, why) in [
        ("", &*key, "certificate"),
        (&certificate, "secret", "private key"),
    ] {
        let error = ClientIdentity::from_pem(certificate, key)
            .unwrap_err()
            .to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
    let whole = ClientIdentity::from_pem(&certificate, &key).unwrap();
    assert_eq!(format!("{whole:?}"), "ClientIdentity");
}

#[tokio::test]
async fn a_file_of_certificates_is_trusted_besides_the_systems() {
    let authority = Authority::new();
    let acceptor = authority.receiver("localhost", 2099);
    let file = std::env::temp_dir().join(format!("{}.pem", uuid::Uuid::now_v7()));
    std::fs::write(&file, authority.issuer().pem()).unwrap();
    let trusting = Sender::new(&egress(&format!("--egress-ca-file={}", file.display()))).unwrap();
    std::fs::remove_file(&file).unwrap();
    for (sender, delivered) in [(Sender::new(&egress("")).unwrap(), false), (trusting, true)] {
        let receiver = Receiver::new().await;
        let port = receiver.listener.local_addr().unwrap().port();
        let to = target(&format!("https://localhost:{port}/"), LONG);
        let answering = answer(&receiver.listener, &acceptor);
        let (attempt, _held) = tokio::join!(post(&sender, &to), answering);
        assert_eq!(
            attempt.verdict == Verdict::Delivered,
            delivered,
            "{attempt:?}"
        );
    }
}
