//! An authorization server that others wrote: the npm package oidc-provider, as a process. What it
//! needs is installed by `scripts/test`, which says where in `TEST_OIDC`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How long it may take to answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Which client asks about tokens here, and revokes them.
const RECEIVER: (&str, &str) = ("receiver", "knows");

/// A running server, killed when it is dropped; it remembers no token then.
pub struct AuthorizationServer {
    /// Where it is.
    pub issuer: String,
    http: Client,
    _process: Child,
}

/// A key pair of a client: the private key in PEM, and the public one as a JWK.
pub struct KeyPair {
    pub private_key: String,
    pub jwk: Value,
}

impl KeyPair {
    /// A new one, for `ES256` or `RS256`.
    pub async fn new(algorithm: &str) -> Self {
        let node = Command::new("node")
            .arg(installed("key.mjs"))
            .arg(algorithm)
            .output();
        let made: Value = serde_json::from_slice(&node.await.unwrap().stdout).unwrap();
        Self {
            private_key: made["private_key"].as_str().unwrap().to_owned(),
            jwk: made["jwk"].clone(),
        }
    }
}

impl AuthorizationServer {
    /// One that listens on that port (0: any), and gives those clients tokens that live so long.
    pub async fn start(port: u16, life: Duration, clients: &[Value]) -> Self {
        let (id, secret) = RECEIVER;
        let receiver = json!({"client_id": id, "client_secret": secret});
        let clients: Vec<&Value> = clients.iter().chain([&receiver]).collect();
        let mut process = Command::new("node")
            .arg(installed("provider.mjs"))
            .args([port.to_string(), life.as_secs().to_string()])
            .arg(json!(clients).to_string())
            .stdout(Stdio::piped())
            // It warns of what is for tests only.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = tokio::time::timeout(TIMEOUT, said.next_line()).await;
        Self {
            issuer: issuer.unwrap().unwrap().expect("it says where it is"),
            http: Client::builder().timeout(TIMEOUT).build().unwrap(),
            _process: process,
        }
    }

    /// Where it gives tokens.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// So that another can take its place.
    pub fn port(&self) -> u16 {
        self.issuer.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// How many tokens it was asked for.
    pub async fn requests(&self) -> usize {
        let answer = self.http.get(format!("{}/requests", self.issuer)).send();
        answer.await.unwrap().text().await.unwrap().parse().unwrap()
    }

    /// Whether it says that a token is good (RFC 7662).
    pub async fn is_active(&self, token: &str) -> bool {
        let told: Value = self
            .ask("token/introspection", token)
            .await
            .json()
            .await
            .unwrap();
        told["active"] == json!(true)
    }

    /// Lets a token be no good any more (RFC 7009).
    pub async fn revoke(&self, token: &str) {
        self.ask("token/revocation", token).await;
    }

    async fn ask(&self, path: &str, token: &str) -> reqwest::Response {
        let (id, secret) = RECEIVER;
        let request = self.http.post(format!("{}/{path}", self.issuer));
        let body = format!("token={token}");
        let request = request
            .basic_auth(id, Some(secret))
            .body(body)
            .header("content-type", "application/x-www-form-urlencoded");
        request.send().await.unwrap().error_for_status().unwrap()
    }
}

fn installed(file: &str) -> PathBuf {
    let installed = std::env::var("TEST_OIDC").expect("TEST_OIDC is not set: run scripts/test");
    PathBuf::from(installed).join(file)
}
