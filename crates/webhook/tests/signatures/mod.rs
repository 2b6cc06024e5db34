//! Signatures: what the receiver takes, and what it answers to all else.

use chrono::Utc;
use clap::Parser;
use reqwest::StatusCode;
use signature::{Signer, SigningKey};
use webhook::config::Config;

use crate::harness::{Running, event};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const PRIVATE: &str = "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=";
const PUBLIC: &str = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

/// What a request is, before something is changed.
struct Signed {
    id: &'static str,
    age: i64,
    timestamp: Option<String>,
    signature: Option<String>,
    body: String,
}

impl Signed {
    fn with(keys: &[&str], age: i64) -> Self {
        let body = event("Tokyo").to_string();
        let timestamp = Utc::now().timestamp() - age;
        let keys = keys
            .iter()
            .map(|text| (text.parse::<SigningKey>().unwrap(), None));
        let signature = Signer::new(keys).sign("event-1", timestamp, body.as_bytes());
        Self {
            id: "event-1",
            age,
            timestamp: Some(timestamp.to_string()),
            signature: signature.map(|value| value.to_str().unwrap().to_owned()),
            body,
        }
    }

    async fn post(self, receiver: &Running) -> (StatusCode, String) {
        let mut post = receiver
            .post("/")
            .header("webhook-id", self.id)
            .body(self.body);
        for (name, value) in [
            ("webhook-timestamp", self.timestamp),
            ("webhook-signature", self.signature),
        ] {
            if let Some(value) = value {
                post = post.header(name, value);
            }
        }
        let answer = post.send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn what_any_of_the_keys_verifies_is_received() {
    let receiver = Running::start(&format!("--secret {SECRET},{PUBLIC}")).await;
    for keys in [
        &[SECRET][..],
        &[PRIVATE],
        &[OTHER, SECRET],
        &[PRIVATE, OTHER],
    ] {
        let (status, why) = Signed::with(keys, 0).post(&receiver).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{why}");
    }
    assert_eq!(receiver.counts().await, [4, 1, 3, 0]);
}

#[tokio::test]
async fn all_else_is_told_what_is_wrong_and_nothing_of_a_key() {
    let receiver = Running::start(&format!("--secret {SECRET}")).await;
    let good = || Signed::with(&[SECRET], 0);
    for (request, why) in [
        (
            Signed {
                id: "event-2",
                ..good()
            },
            "is right",
        ),
        (
            Signed {
                body: good().body.replace("23", "24"),
                ..good()
            },
            "is right",
        ),
        (
            Signed {
                timestamp: Some("1".into()),
                ..good()
            },
            "too long ago",
        ),
        (
            Signed {
                timestamp: Some("soon".into()),
                ..good()
            },
            "number of seconds",
        ),
        (
            Signed {
                timestamp: None,
                ..good()
            },
            "webhook-timestamp is missing",
        ),
        (
            Signed {
                signature: None,
                ..good()
            },
            "webhook-signature is missing",
        ),
        (
            Signed {
                signature: Some("v1,".into()),
                ..good()
            },
            "is right",
        ),
        (Signed { id: "", ..good() }, "webhook-id is missing"),
        (Signed::with(&[OTHER], 0), "is right"),
        (Signed::with(&[PRIVATE], 0), "is right"),
        (Signed::with(&[SECRET], 301), "too long ago"),
        (Signed::with(&[SECRET], -330), "in the future"),
    ] {
        let age = request.age;
        let (status, text) = request.post(&receiver).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{why} ({age})");
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("v1,") && !text.contains("whsec_"), "{text}");
    }
    assert_eq!(receiver.counts().await, [0, 0, 0, 12]);
}

#[tokio::test]
async fn the_tolerance_can_be_set_and_without_a_secret_nothing_is_verified() {
    let receiver = Running::start(&format!("--secret {SECRET} --tolerance 1h")).await;
    let (status, _) = Signed::with(&[SECRET], 3500).post(&receiver).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let receiver = Running::start("").await;
    let (status, _) = Signed::with(&[OTHER], 9999).post(&receiver).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
}

#[test]
fn a_key_that_is_none_is_named_by_its_number_and_not_shown() {
    let config = Config::parse_from(["webhook", "--secret", &format!("{SECRET},hunter2")]);
    let error = format!("{:#}", config.verifier().unwrap_err());
    assert!(error.contains("key 2 of WEBHOOK_SECRET"), "{error}");
    assert!(
        error.contains("whsec_ or whpk_") && !error.contains("hunter2"),
        "{error}"
    );
}
