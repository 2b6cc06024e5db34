//! Receivers that want to know who we are.

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::tls::{Authority, answer};
use super::*;
use crate::identity::{ClientIdentity, InvalidIdentity};
use crate::permission::{NotPermitted, Permission};
use crate::verdict::Verdict;

/// A certificate by that authority that is valid until that year, and its key, in PEM.
fn pem(authority: &Authority, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["webhooks.example".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let certificate = params.signed_by(&key, authority.issuer()).unwrap();
    (certificate.pem(), key.serialize_pem())
}

pub(super) fn identity(authority: &Authority, until: i32) -> ClientIdentity {
    let (certificate, key) = pem(authority, until);
    ClientIdentity::from_pem(&certificate, &key).unwrap()
}

/// Who takes only those whom that authority knows.
fn clients(authority: &Authority) -> Arc<dyn ClientCertVerifier> {
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(authority.roots().into(), provider);
    clients.build().unwrap()
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_certificate_takes_a_good_one_and_nothing_else() {
    let authority = Authority::new();
    let acceptor = authority.asking("localhost", clients(&authority));
    let sender = authority.sender();
    for (what, identity, failure) in [
        ("none", None, Some(Failure::ClientCertificate)),
        ("good", Some(identity(&authority, 2099)), None),
        (
            "another authority's",
            Some(identity(&Authority::new(), 2099)),
            Some(Failure::ClientCertificate),
        ),
    ] {
        let receiver = Receiver::new().await;
        let port = receiver.listener.local_addr().unwrap().port();
        let mut to = target(&format!("https://localhost:{port}/"), LONG);
        if let Some(identity) = identity {
            to.identify(identity);
        }
        let answering = answer(&receiver.listener, &acceptor);
        let (attempt, _held) = tokio::join!(post(&sender, &to), answering);
        assert_eq!(attempt.failure, failure, "{what}: {attempt:?}");
    }
}

#[tokio::test]
async fn one_that_has_expired_is_shown_to_nobody() {
    let receiver = Receiver::new().await;
    let mut to = receiver.target();
    to.identify(identity(&Authority::new(), 2020));
    let attempt = post(&sender(), &to).await;
    assert_eq!(attempt.failure, Some(Failure::ClientCertificate));
    // It waits for another, however few attempts it has.
    let after = Duration::from_secs(10);
    assert_eq!(attempt.verdict, Verdict::Postponed { after });
    let asked = sender().ask(&to, None).await;
    let failed = NotPermitted::Failed(Failure::ClientCertificate);
    assert_eq!(asked, Err(failed));
    assert!(receiver.is_left_alone().await);
}

#[tokio::test]
async fn a_handshake_shows_it_as_well() {
    let authority = Authority::new();
    let acceptor = authority.asking("localhost", clients(&authority));
    let sender = authority.sender();
    let receiver = Receiver::new().await;
    let port = receiver.listener.local_addr().unwrap().port();
    let mut to = target(&format!("https://localhost:{port}/"), LONG);
    let answering = async || {
        let (tcp, _) = receiver.listener.accept().await.unwrap();
        let stream = acceptor.accept(tcp).await.ok()?;
        Some(asked(stream, PERMITTED).await)
    };
    let (refused, asked) = tokio::join!(sender.ask(&to, None), answering());
    let failed = NotPermitted::Failed(Failure::ClientCertificate);
    assert_eq!((refused, asked), (Err(failed), None));
    to.identify(identity(&authority, 2099));
    let (permitted, asked) = tokio::join!(sender.ask(&to, None), answering());
    assert_eq!(permitted, Ok(Permission { rate: None }));
    assert!(asked.unwrap().starts_with("options / "));
}

#[tokio::test]
async fn who_keeps_no_connection_keeps_no_identity_either() {
    let (sender, receiver) = (sender(), Receiver::new().await);
    let mut to = receiver.target();
    to.identify(identity(&Authority::new(), 2099));
    for (sender, kept) in [(&sender.unpooled(), 0), (&sender, 1)] {
        let (attempt, _) = tokio::join!(post(sender, &to), receiver.answer(OK));
        assert_eq!(attempt.verdict, Verdict::Delivered);
        assert_eq!(sender.identified.count(), kept);
    }
}

#[tokio::test]
async fn no_connection_is_shared_between_identities_and_each_keeps_its_own() {
    let authority = Authority::new();
    let acceptor = authority.asking("localhost", clients(&authority));
    let sender = authority.sender();
    let receiver = Receiver::new().await;
    let port = receiver.listener.local_addr().unwrap().port();
    let known_as = |identity: &ClientIdentity| {
        let mut to = target(&format!("https://localhost:{port}/"), LONG);
        to.identify(identity.clone());
        to
    };
    let ((certificate, key), other) = (pem(&authority, 2099), identity(&authority, 2099));
    let read = || ClientIdentity::from_pem(&certificate, &key).unwrap();
    let posts = async {
        let first = post(&sender, &known_as(&read())).await;
        let other = post(&sender, &known_as(&other)).await;
        // Read anew, as a subscription is now and then.
        let again = post(&sender, &known_as(&read())).await;
        [first, other, again].map(|attempt| {
            assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
            attempt.reused
        })
    };
    let answers = async {
        let mut first = answer(&receiver.listener, &acceptor).await.unwrap();
        let second = answer(&receiver.listener, &acceptor).await.unwrap();
        request(&mut first).await;
        first.write_all(OK).await.unwrap();
        let who = |stream: &tokio_rustls::server::TlsStream<TcpStream>| {
            stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
        };
        assert_ne!(who(&first), who(&second));
        (first, second)
    };
    let (reused, _held) = tokio::join!(posts, answers);
    assert_eq!(reused, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_most_that_are_kept_the_one_idle_for_longest_is_forgotten() {
    let authority = Authority::new();
    let [one, two, three] = [(); 3].map(|()| identity(&authority, 2099));
    let (kept, mut made) = (Identified::keeping(2), 0);
    for (identity, expected) in [
        (&one, 1),
        (&two, 2),
        (&one, 2),
        (&three, 3),
        (&one, 3),
        (&two, 4),
    ] {
        kept.get(identity, || {
            made += 1;
            sender()
        });
        assert_eq!(made, expected);
        assert!(kept.count() <= 2);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[test]
fn what_is_no_identity_is_told_why_and_shows_nothing() {
    let authority = Authority::new();
    let ((certificate, key), (_, other)) = (pem(&authority, 2099), pem(&authority, 2099));
    let long = certificate.repeat(11);
    let broken = certificate.replace("MII", "AII");
    for (certificate, key, why) in [
        ("", &*key, InvalidIdentity::Certificate),
        (&broken, &key, InvalidIdentity::Certificate),
        (&key, &key, InvalidIdentity::Certificate),
        (&long, &key, InvalidIdentity::TooLong),
        (&certificate, "secret", InvalidIdentity::Key),
        (&certificate, &certificate, InvalidIdentity::Key),
        (&certificate, &other, InvalidIdentity::Mismatch),
    ] {
        let error = ClientIdentity::from_pem(certificate, key).unwrap_err();
        assert_eq!(error, why);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let whole = ClientIdentity::from_pem(&certificate, &key).unwrap();
    assert!(!format!("{whole:?}").contains("PRIVATE"));
    let repeated = ClientIdentity::from_pem(&certificate.repeat(10), &key);
    repeated.unwrap();
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
