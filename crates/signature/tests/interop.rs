//! What we sign is verified by code that others wrote: the official libraries of Standard Webhooks
//! for Python and JavaScript, as processes.
//!
//! Neither library knows Ed25519: there each language's cryptography verifies, over the content that
//! the specification names. `scripts/test` installs them and says where, in `TEST_INTEROP`.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use signature::{Algorithm, Signer, SigningKey};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const BODY: &str = r#"{"city":"São Paulo","reading":23.0,"unit":"C"}"#;
const DEADLINE: Duration = Duration::from_secs(30);

/// A process that verifies.
struct Library {
    name: &'static str,
    asked: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Library {
    /// That of each language.
    fn all() -> [Self; 2] {
        let installed = std::env::var("TEST_INTEROP").expect("scripts/test sets it");
        let installed = PathBuf::from(installed);
        let script = |name: &str| installed.join(name);
        let python = installed.join("venv/bin/python");
        [
            Self::start("Python", &python, &script("verify.py")),
            Self::start("JavaScript", Path::new("node"), &script("verify.mjs")),
        ]
    }

    fn start(name: &'static str, program: &Path, script: &Path) -> Self {
        let mut process = Command::new(program)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            name,
            asked: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()).lines(),
            _process: process,
        }
    }

    async fn verdict(&mut self, request: &Value) -> String {
        let line = format!("{request}\n");
        self.asked.write_all(line.as_bytes()).await.unwrap();
        let answer = tokio::time::timeout(DEADLINE, self.answers.next_line()).await;
        answer.expect("it answers").unwrap().expect("it runs")
    }
}

/// A new key, and as what a receiver has it.
fn keys(algorithm: Algorithm) -> (SigningKey, String) {
    let text = SigningKey::generate(algorithm);
    let key: SigningKey = text.expose_secret().parse().unwrap();
    let receivers = key.public_key().map(|public| public.to_string());
    (
        key,
        receivers.unwrap_or_else(|| text.expose_secret().to_owned()),
    )
}

fn request(key: &str, signer: &Signer, signed_at: DateTime<Utc>) -> Value {
    let timestamp = signed_at.timestamp();
    let signature = signer.sign("event-1", timestamp, BODY.as_bytes()).unwrap();
    json!({"key": key, "body": BODY, "headers": {
        "webhook-id": "event-1",
        "webhook-timestamp": timestamp.to_string(),
        "webhook-signature": signature.to_str().unwrap(),
    }})
}

/// Asks both libraries, which have to agree.
async fn agree(libraries: &mut [Library; 2], request: &Value, is_right: bool) {
    for library in libraries {
        let verdict = library.verdict(request).await;
        assert_eq!(
            verdict == "ok",
            is_right,
            "{}: {verdict} {request}",
            library.name
        );
    }
}

#[tokio::test]
async fn both_kinds_are_verified_by_others_and_what_was_changed_is_not() {
    let mut libraries = Library::all();
    for algorithm in [Algorithm::HmacSha256, Algorithm::Ed25519] {
        let (key, receivers) = keys(algorithm);
        let signer = Signer::new([(key, None)]);
        let right = request(&receivers, &signer, Utc::now());
        agree(&mut libraries, &right, true).await;
        for (pointer, wrong) in [
            ("/body", json!(BODY.replace("23", "24"))),
            ("/headers/webhook-id", json!("event-2")),
            (
                "/headers/webhook-timestamp",
                json!((Utc::now().timestamp() - 9).to_string()),
            ),
            ("/key", json!(keys(algorithm).1)),
        ] {
            let mut changed = right.clone();
            *changed.pointer_mut(pointer).unwrap() = wrong;
            agree(&mut libraries, &changed, false).await;
        }
    }
}

#[tokio::test]
async fn while_keys_are_exchanged_both_are_good_and_afterwards_the_new_one_alone() {
    let mut libraries = Library::all();
    let kinds = [Algorithm::HmacSha256, Algorithm::Ed25519];
    for (old_kind, new_kind) in kinds
        .into_iter()
        .flat_map(|old| kinds.map(|new| (old, new)))
    {
        let ((old, with_old), (new, with_new)) = (keys(old_kind), keys(new_kind));
        let end = Utc::now();
        let signer = Signer::new([(new, None), (old, Some(end))]);
        let during = end - TimeDelta::seconds(2);
        agree(&mut libraries, &request(&with_old, &signer, during), true).await;
        agree(&mut libraries, &request(&with_new, &signer, during), true).await;
        agree(&mut libraries, &request(&with_old, &signer, end), false).await;
        agree(&mut libraries, &request(&with_new, &signer, end), true).await;
    }
}

#[tokio::test]
async fn the_libraries_refuse_what_was_signed_too_long_ago() {
    let mut libraries = Library::all();
    let (key, secret) = keys(Algorithm::HmacSha256);
    let signer = Signer::new([(key, None)]);
    for (age, is_right) in [(290, true), (310, false), (-310, false)] {
        let signed_at = Utc::now() - TimeDelta::seconds(age);
        agree(
            &mut libraries,
            &request(&secret, &signer, signed_at),
            is_right,
        )
        .await;
    }
}
