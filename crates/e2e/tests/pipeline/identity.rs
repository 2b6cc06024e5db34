//! A receiver that takes deliveries only from those whom it knows by their certificate.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::serve::Listener;
use e2e::stage::{Stage, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const EVENTS: usize = 10;

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// One for a client: as the API takes it, and as a receiver sees it.
    fn identity(&self) -> (Value, Vec<u8>) {
        let (certificate, key) = self.certificate("hooks.example");
        let pem = json!({"certificate": certificate.pem(), "private_key": key.serialize_pem()});
        (pem, certificate.der().to_vec())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let (certificate, key) = self.certificate("localhost");
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.unwrap())
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap()).into()
    }
}

/// What a receiver saw.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    /// The certificates of those it let in.
    certificates: HashSet<Vec<u8>>,
    /// The ids of events.
    events: HashSet<String>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn events(&self) -> usize {
        self.lock().events.len()
    }

    fn knows(&self, certificate: &[u8]) -> bool {
        self.lock().certificates.contains(certificate)
    }
}

/// Lets in those who have a certificate.
struct Door {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    seen: Seen,
}

impl Listener for Door {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (tcp, address) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.acceptor.accept(tcp).await {
                let certificates = stream.get_ref().1.peer_certificates().unwrap();
                self.seen
                    .lock()
                    .certificates
                    .insert(certificates[0].to_vec());
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn receive(State(seen): State<Seen>, headers: HeaderMap) {
    let id = headers["webhook-id"].to_str().unwrap().to_owned();
    seen.lock().events.insert(id);
}

#[tokio::test]
async fn whom_a_receiver_does_not_know_waits_until_it_shows_another_certificate() {
    let authority = Authority::new();
    let file = std::env::temp_dir().join(format!("{}.pem", uuid::Uuid::new_v4()));
    std::fs::write(&file, authority.0.pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/",
        listener.local_addr().unwrap().port()
    );
    let seen = Seen::default();
    let door = Door {
        listener,
        acceptor: authority.acceptor(),
        seen: seen.clone(),
    };
    let mut serving = JoinSet::new();
    let routes = Router::new()
        .route("/", post(receive))
        .with_state(seen.clone());
    serving.spawn(async move { axum::serve(door, routes).await.unwrap() });

    let stage = Stage::new().await;
    let (first, as_first) = authority.identity();
    let new = json!({"name": "a", "url": url, "client_certificate": first});
    let made = stage.post("/subscriptions", &new).await;
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    let retries = ("RETRY_SCHEDULE", "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s");
    let trusted = ("EGRESS_CA_FILE", file.to_str().unwrap());
    let _processor = stage.processor(&[retries, trusted]);
    stage.system(EVENTS, 100).ended().await;
    until("the first is known", async || seen.events() == EVENTS).await;
    assert!(seen.knows(&as_first));

    let show = async |identity: &Value| {
        let patched = stage
            .patch(&path, &json!({"client_certificate": identity}))
            .await;
        assert!(patched["client_certificate"]["subject"].is_string());
    };
    let (strangers, as_stranger) = Authority::new().identity();
    show(&strangers).await;
    stage.system(EVENTS, 100).ended().await;
    until("a stranger is refused", async || {
        let shown = stage.get(&path).await;
        shown["circuit"]["last_failure"] == json!("client_certificate")
    })
    .await;
    let (second, as_second) = authority.identity();
    show(&second).await;
    until("the second is known", async || seen.knows(&as_second)).await;
    until("nothing is lost", async || seen.events() == 2 * EVENTS).await;
    assert!(!seen.knows(&as_stranger));
    std::fs::remove_file(file).unwrap();
}
