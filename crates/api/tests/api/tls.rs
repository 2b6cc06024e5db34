//! TLS, as a client sees it: whose certificate, which versions, and what becomes of it when the files
//! change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::{DoorArgs, tls};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::connections::{Running, serve, settings};
use crate::support::LONG;

/// An authority, and the files that a server reads.
struct Files {
    directory: PathBuf,
    authority: Issuer<'static, KeyPair>,
    roots: Arc<RootCertStore>,
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.directory).ok();
    }
}

impl Files {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(uuid::Uuid::now_v7().to_string());
        std::fs::create_dir(&directory).expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a root");
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).expect("a root");
        Self {
            directory,
            authority: Issuer::new(params, key),
            roots: roots.into(),
        }
    }

    fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// A new pair; the key is given, so that it can be written later or never.
    fn write_certificate(&self, name: &str) -> String {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.authority).expect("signed");
        std::fs::write(self.certificate(), certificate.pem()).expect("written");
        key.serialize_pem()
    }

    fn write(&self, name: &str) {
        let key = self.write_certificate(name);
        std::fs::write(self.key(), key).expect("written");
    }

    /// A server, and what looks at the files.
    async fn serve(&self, flags: &[&str]) -> (Running, tls::Watch) {
        let (certificate, key) = (self.certificate(), self.key());
        let (certificate, key) = (certificate.display(), key.display());
        let (certificate, key) = (
            format!("--tls-cert={certificate}"),
            format!("--tls-key={key}"),
        );
        let ours = [&*certificate, &*key, "--tls-reload-interval=50ms"];
        let args = settings(&[&ours, flags].concat());
        let (tls, watch) = tls::load(&args).await.expect("files").expect("TLS");
        let running = serve(&args, &DoorArgs::default(), Some(tls)).await;
        (running, watch)
    }

    async fn connect(
        &self,
        server: &Running,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let tcp = TcpStream::connect(server.address).await?;
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
    }

    /// Whether the server shows a certificate of that name.
    async fn is_shown(&self, server: &Running, name: &str) -> bool {
        self.connect(server, name, &[&rustls::version::TLS13])
            .await
            .is_ok()
    }

    async fn until_shown(&self, server: &Running, name: &str) {
        let looking = async {
            while !self.is_shown(server, name).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, looking).await.expect("it is shown");
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_over_tls() {
    let files = Files::new();
    files.write("one.example");
    let (server, _) = files.serve(&[]).await;
    for (version, expected) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let stream = files.connect(&server, "one.example", &[version]).await;
        let mut stream = stream.expect("a handshake");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let request = "GET / HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let strict = "strict-transport-security: max-age=31536000";
        assert!(answer.contains(strict), "{answer}");
    }
    assert!(!files.is_shown(&server, "two.example").await);
    let stranger = Files::new();
    assert!(!stranger.is_shown(&server, "one.example").await);
}

#[tokio::test]
async fn a_new_pair_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let files = Files::new();
    files.write("one.example");
    let (mut server, mut watch) = files.serve(&[]).await;
    let before = files
        .connect(&server, "one.example", &[&rustls::version::TLS13])
        .await;
    let mut before = before.expect("a handshake");

    // Half of a pair, then nonsense, then nothing at all: what was good stays.
    files.write_certificate("two.example");
    watch.look().await;
    assert!(files.is_shown(&server, "one.example").await);
    std::fs::write(files.certificate(), "nonsense").expect("written");
    watch.look().await;
    assert!(files.is_shown(&server, "one.example").await);
    std::fs::remove_file(files.key()).expect("removed");
    watch.look().await;
    assert!(files.is_shown(&server, "one.example").await);

    files.write("two.example");
    watch.look().await;
    assert!(files.is_shown(&server, "two.example").await);
    assert!(!files.is_shown(&server, "one.example").await);
    // By itself it looks again and again.
    server.tasks.spawn(watch.run(server.stop.clone()));
    files.write("three.example");
    files.until_shown(&server, "three.example").await;
    // Who was there before goes on.
    let request = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    before.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    before.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_hung_up_on() {
    let files = Files::new();
    files.write("one.example");
    let (server, _) = files.serve(&["--tls-handshake-timeout=300ms"]).await;
    for said in [
        &b""[..],
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut socket = TcpStream::connect(server.address)
            .await
            .expect("it listens");
        socket.write_all(said).await.expect("sent");
        let mut answer = Vec::new();
        let read = timeout(LONG, socket.read_to_end(&mut answer)).await;
        read.expect("it is hung up").ok();
        assert!(!answer.starts_with(b"HTTP"), "{said:?}");
    }
    assert!(files.is_shown(&server, "one.example").await);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_an_error_at_start_that_tells_no_key() {
    let files = Files::new();
    files.write("one.example");
    let (certificate, key) = (files.certificate(), files.key());
    let args = || {
        settings(&[
            &format!("--tls-cert={}", certificate.display()),
            &format!("--tls-key={}", key.display()),
        ])
    };
    let secret = std::fs::read_to_string(&key).expect("a key");
    let other = files.write_certificate("two.example");
    for (wrong, said) in [
        (secret.as_str(), "pairing the certificate and the key"),
        ("nonsense", "reading the private key"),
        ("", "reading the private key"),
    ] {
        std::fs::write(&key, wrong).expect("written");
        let error = tls::load(&args()).await.expect_err(said);
        let error = format!("{error:#}");
        assert!(error.contains(said), "{error}");
        assert!(!error.contains(&secret[40..60]), "{error}");
    }
    std::fs::write(&key, other).expect("written");
    assert!(tls::load(&args()).await.is_ok());
    std::fs::remove_file(&key).expect("removed");
    let error = tls::load(&args()).await.expect_err("no file");
    assert!(
        format!("{error:#}").starts_with("reading TLS_KEY"),
        "{error:#}"
    );
    assert!(tls::load(&settings(&[])).await.expect("none").is_none());
}
