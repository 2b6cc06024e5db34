//! A receiver that takes deliveries only from those whom it knows by their certificate.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::serve::Listener;
use chrono::{DateTime, Utc};
use e2e::program::Program;
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

/// How long a certificate lives that is to expire: longer than it takes to subscribe.
const LIFE: Duration = Duration::from_secs(10);

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certificate(&self, name: &str, life: Duration) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = (SystemTime::now() + life).into();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// One for a client: as the API takes it, and as a receiver sees it.
    fn identity(&self) -> (Value, Vec<u8>) {
        self.identity_for(Duration::from_hours(1))
    }

    /// The same, that is valid so long.
    fn identity_for(&self, life: Duration) -> (Value, Vec<u8>) {
        let (certificate, key) = self.certificate("hooks.example", life);
        let pem = json!({"certificate": certificate.pem(), "private_key": key.serialize_pem()});
        (pem, certificate.der().to_vec())
    }

    fn acceptor(&self) -> TlsAcceptor {
        let (certificate, key) = self.certificate("localhost", Duration::from_hours(1));
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

/// An authority whom processors trust by that file, and a receiver that knows whom it certified.
struct Known {
    authority: Authority,
    file: PathBuf,
    url: String,
    seen: Seen,
    _serving: JoinSet<()>,
}

impl Known {
    async fn new() -> Self {
        let authority = Authority::new();
        let file = std::env::temp_dir().join(format!("{}.pem", uuid::Uuid::new_v4()));
        std::fs::write(&file, authority.0.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Seen::default();
        let door = Door {
            listener,
            acceptor: authority.acceptor(),
            seen: seen.clone(),
        };
        let routes = Router::new().route("/", post(receive));
        let routes = routes.with_state(seen.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(door, routes).await.unwrap() });
        Self {
            authority,
            file,
            url: format!("https://localhost:{port}/"),
            seen,
            _serving: serving,
        }
    }

    /// Subscribes, showing that; the subscription's path.
    async fn subscribe(&self, stage: &Stage, identity: &Value) -> String {
        let new = json!({"name": "a", "url": self.url, "client_certificate": identity});
        let made = stage.post("/subscriptions", &new).await;
        format!("/subscriptions/{}", made["id"].as_str().unwrap())
    }

    fn processor(&self, stage: &Stage, retries: &str) -> Program {
        let trusted = ("EGRESS_CA_FILE", self.file.to_str().unwrap());
        stage.processor(&[("RETRY_SCHEDULE", retries), trusted])
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.file));
    }
}

async fn show(stage: &Stage, path: &str, identity: &Value) {
    let change = json!({"client_certificate": identity});
    let patched = stage.patch(path, &change).await;
    assert!(patched["client_certificate"]["subject"].is_string());
}

async fn until_refused(stage: &Stage, path: &str) {
    until("its certificate is of no use", async || {
        let circuit = stage.get(path).await["circuit"].clone();
        circuit["state"] == "open" && circuit["last_failure"] == "client_certificate"
    })
    .await;
}

#[tokio::test]
async fn whom_a_receiver_does_not_know_waits_until_it_shows_another_certificate() {
    let (known, stage) = (Known::new().await, Stage::new().await);
    let (first, as_first) = known.authority.identity();
    let path = known.subscribe(&stage, &first).await;
    let _processor = known.processor(&stage, "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s");
    let seen = &known.seen;
    stage.system(EVENTS, 100).ended().await;
    until("the first is known", async || seen.events() == EVENTS).await;
    assert!(seen.knows(&as_first));

    let (strangers, as_stranger) = Authority::new().identity();
    show(&stage, &path, &strangers).await;
    stage.system(EVENTS, 100).ended().await;
    until_refused(&stage, &path).await;
    let (second, as_second) = known.authority.identity();
    show(&stage, &path, &second).await;
    until("the second is known", async || seen.knows(&as_second)).await;
    until("nothing is lost", async || seen.events() == 2 * EVENTS).await;
    assert!(!seen.knows(&as_stranger));
}

#[tokio::test]
async fn one_that_has_expired_uses_up_no_attempt() {
    let (known, stage) = (Known::new().await, Stage::new().await);
    let (old, as_old) = known.authority.identity_for(LIFE);
    let path = known.subscribe(&stage, &old).await;
    until("it has expired", async || {
        let shown = stage.get(&path).await["client_certificate"]["not_after"].clone();
        shown.as_str().unwrap().parse::<DateTime<Utc>>().unwrap() < Utc::now()
    })
    .await;
    // One retry only: what was attempted in vain twice would be dead.
    let _processor = known.processor(&stage, "1s");
    stage.system(EVENTS, 100).ended().await;
    until_refused(&stage, &path).await;
    let (new, as_new) = known.authority.identity();
    show(&stage, &path, &new).await;
    until("all arrived", async || known.seen.events() == EVENTS).await;
    assert!(known.seen.knows(&as_new) && !known.seen.knows(&as_old));
    assert!(stage.dead_letters().await.is_empty());
    let failed = "SELECT count(*) FROM attempts WHERE number > 1 OR failure IS NOT NULL";
    assert_eq!(stage.count(failed).await, 0);
}
