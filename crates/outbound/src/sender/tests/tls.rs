//! Receivers that speak TLS, well or badly.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;
use crate::verdict::Verdict;

/// Who signs the receivers' certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signed = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        Self(signed.unwrap())
    }

    pub(super) fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.0
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    pub(super) fn sender(&self) -> Sender {
        trusting(self.roots())
    }

    /// A receiver with a certificate for that name, valid until that year.
    pub(super) fn receiver(&self, name: &str, until: i32) -> TlsAcceptor {
        let (certificate, key) = self.certificate(name, until);
        acceptor(&certificate, &key, WebPkiClientVerifier::no_client_auth())
    }

    /// A receiver that asks for a certificate.
    pub(super) fn asking(&self, name: &str, clients: Arc<dyn ClientCertVerifier>) -> TlsAcceptor {
        let (certificate, key) = self.certificate(name, 2099);
        acceptor(&certificate, &key, clients)
    }

    fn certificate(&self, name: &str, until: i32) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 2, 3);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

fn acceptor(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    clients: Arc<dyn ClientCertVerifier>,
) -> TlsAcceptor {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config).into()
}

/// Answers one request by TLS, if it comes to that.
pub(super) async fn answer(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
) -> Option<TlsStream<TcpStream>> {
    let (tcp, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(tcp).await.ok()?;
    request(&mut stream).await;
    stream.write_all(OK).await.unwrap();
    Some(stream)
}

/// One attempt at that host name of a receiver.
async fn attempt(
    sender: &Sender,
    acceptor: &TlsAcceptor,
    host: &str,
) -> (Attempt, Option<TlsStream<TcpStream>>) {
    let receiver = Receiver::new().await;
    let port = receiver.listener.local_addr().unwrap().port();
    let to = target(&format!("https://{host}:{port}/"), LONG);
    tokio::join!(post(sender, &to), answer(&receiver.listener, acceptor))
}

#[tokio::test]
async fn a_good_certificate_is_all_that_is_asked_for() {
    let authority = Authority::new();
    let acceptor = authority.receiver("localhost", 2099);
    let (attempt, stream) = attempt(&authority.sender(), &acceptor, "localhost").await;
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    let stream = stream.unwrap();
    let session: &ServerConnection = stream.get_ref().1;
    assert_eq!(session.server_name(), Some("localhost"));
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    let phases = attempt.phases();
    assert!(phases.dns.is_some() && phases.connect.is_some() && phases.tls.is_some());
    let connection = attempt.connection.unwrap();
    let tls = connection.tls.as_ref().unwrap();
    assert_eq!(tls.version, Some(ProtocolVersion::TLSv1_3));
    assert_eq!(
        tls.not_after.unwrap().to_rfc3339(),
        "2099-02-03T00:00:00+00:00"
    );
}

#[tokio::test]
async fn a_certificate_may_be_for_an_address() {
    let authority = Authority::new();
    let acceptor = authority.receiver("127.0.0.1", 2099);
    let (attempt, stream) = attempt(&authority.sender(), &acceptor, "127.0.0.1").await;
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    assert_eq!(stream.unwrap().get_ref().1.server_name(), None);
}

#[tokio::test]
async fn a_bad_certificate_is_a_failure_of_tls() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    for (what, acceptor) in [
        (
            "self-signed",
            acceptor(
                &params.self_signed(&key).unwrap(),
                &key,
                WebPkiClientVerifier::no_client_auth(),
            ),
        ),
        ("another's", Authority::new().receiver("localhost", 2099)),
        ("expired", authority.receiver("localhost", 2001)),
        ("wrong name", authority.receiver("example.com", 2099)),
    ] {
        let (attempt, _) = attempt(&authority.sender(), &acceptor, "localhost").await;
        assert_eq!(attempt.failure, Some(Failure::Tls), "{what}");
    }
}

#[tokio::test]
async fn a_receiver_without_tls_is_a_failure_of_tls() {
    let sender = sender();
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let receiver = Receiver::new().await;
        let to = target(&receiver.url.replace("http:", "https:"), LONG);
        let answer = async {
            let (mut stream, _) = receiver.listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::new()).await.unwrap();
            stream.write_all(bytes).await.unwrap();
        };
        let (attempt, ()) = tokio::join!(post(&sender, &to), answer);
        assert_eq!(attempt.failure, Some(Failure::Tls));
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_ends_with_the_deadline() {
    let receiver = Receiver::new().await;
    let to = target(&receiver.url.replace("http:", "https:"), SHORT);
    let sender = sender();
    let (attempt, _held) = tokio::join!(post(&sender, &to), receiver.listener.accept());
    assert_eq!(attempt.failure, Some(Failure::ConnectTimeout));
}

#[tokio::test]
async fn an_idle_connection_that_tls_does_not_close_in_its_way_costs_no_attempt() {
    let authority = Authority::new();
    let (sender, acceptor) = (authority.sender(), authority.receiver("localhost", 2099));
    let receiver = Receiver::new().await;
    let port = receiver.listener.local_addr().unwrap().port();
    let to = target(&format!("https://localhost:{port}/"), LONG);
    let answering = async {
        let mut stream = answer(&receiver.listener, &acceptor).await.unwrap();
        request(&mut stream).await;
        // Without a `close_notify`.
        drop(stream);
        answer(&receiver.listener, &acceptor).await
    };
    let both = async { (post(&sender, &to).await, post(&sender, &to).await) };
    let ((_, second), _held) = tokio::join!(both, answering);
    assert_eq!(second.verdict, Verdict::Delivered, "{second:?}");
}
