//! Targets that need a token, with token endpoints that misbehave. That it works with a real one is
//! shown in `tests/oauth2.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::oauth2::{ClientAuth, ClientCredentials};
use tokio::task::JoinSet;

use super::identity::identity;
use super::tls::Authority;
use super::*;
use crate::oauth2::Client;
use crate::permission::Permission;
use crate::verdict::Verdict;

const UNAUTHORIZED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

/// A token endpoint that answers each request with what a function makes of its number.
struct TokenEndpoint {
    url: String,
    requests: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl TokenEndpoint {
    async fn new(answer: impl Fn(usize) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, mut serving) = (requests.clone(), JoinSet::new());
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"&scope=read") {
                    assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
                }
                let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
                let answer = answer(number);
                // Who has read enough may have hung up.
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self {
            url,
            requests,
            _serving: serving,
        }
    }

    /// One that gives the tokens `token-1`, `token-2` and so on.
    async fn giving() -> Self {
        Self::new(|number| ok(&granted(&format!("token-{number}")))).await
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn granted(token: &str) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":600}}"#)
}

fn ok(body: &str) -> String {
    answer("200 OK", body)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// The receiver, for which tokens come from there.
fn authorized(receiver: &Receiver, token_url: &str, timeout: Duration) -> Target {
    let credentials = ClientCredentials {
        token_url: token_url.into(),
        client_id: "sensor".into(),
        client_auth: ClientAuth::ClientSecretBasic {
            client_secret: "hunter2".into(),
        },
        scope: Some("read".into()),
        audience: None,
        extra: std::collections::BTreeMap::new(),
    };
    let mut target = target(&receiver.url, timeout);
    target.authorize_by(Client::new(&credentials).unwrap());
    assert!(!format!("{target:?}").contains("hunter2"));
    target
}

/// An attempt, with what the receiver was sent for each of those answers.
async fn posted(
    sender: &Sender,
    to: &Target,
    receiver: &Receiver,
    answers: &[&[u8]],
) -> (Attempt, Vec<String>) {
    let answering = async {
        let mut requests = Vec::new();
        for bytes in answers {
            requests.push(receiver.answer(bytes).await.1);
        }
        requests
    };
    tokio::join!(post(sender, to), answering)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_carried_by_each_post() {
    let (receiver, endpoint) = (Receiver::new().await, TokenEndpoint::giving().await);
    let (sender, to) = (sender(), authorized(&receiver, &endpoint.url, LONG));
    for _ in 0..3 {
        let (attempt, requests) = posted(&sender, &to, &receiver, &[OK]).await;
        assert_eq!(attempt.verdict, Verdict::Delivered);
        assert!(requests[0].contains("authorization: bearer token-1\r\n"));
    }
    assert_eq!(endpoint.requests(), 1);
}

#[tokio::test]
async fn a_token_that_a_receiver_repeats_is_not_recorded() {
    let (receiver, endpoint) = (Receiver::new().await, TokenEndpoint::giving().await);
    let (sender, to) = (sender(), authorized(&receiver, &endpoint.url, LONG));
    let said = answer("500 No", "not with bearer token-1");
    let (attempt, _) = posted(&sender, &to, &receiver, &[said.as_bytes()]).await;
    let content = attempt.content.unwrap();
    assert_eq!(
        content.response.as_deref(),
        Some("not with bearer [redacted]")
    );
}

#[tokio::test]
async fn a_token_is_the_same_whatever_is_shown_and_whichever_connection_is_used() {
    let (receiver, endpoint) = (Receiver::new().await, TokenEndpoint::giving().await);
    let (sender, to) = (sender(), authorized(&receiver, &endpoint.url, LONG));
    let mut known = to.clone();
    known.identify(identity(&Authority::new(), 2099));
    for (sender, to) in [
        (&sender, &to),
        (&sender, &known),
        (&sender.unpooled(), &known),
    ] {
        let (attempt, requests) = posted(sender, to, &receiver, &[OK]).await;
        assert_eq!(attempt.verdict, Verdict::Delivered);
        assert!(requests[0].contains("authorization: bearer token-1\r\n"));
    }
    assert_eq!(endpoint.requests(), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once_and_the_post_is_made_once_more() {
    let (receiver, endpoint) = (Receiver::new().await, TokenEndpoint::giving().await);
    let (sender, to) = (sender(), authorized(&receiver, &endpoint.url, LONG));
    let (attempt, requests) = posted(&sender, &to, &receiver, &[UNAUTHORIZED, OK]).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert!(requests[0].contains("bearer token-1\r\n"));
    assert!(requests[1].contains("bearer token-2\r\n"));
    // A receiver that refuses every token costs no more of them.
    for _ in 0..3 {
        let (attempt, _) = posted(&sender, &to, &receiver, &[UNAUTHORIZED]).await;
        assert_eq!(attempt.failure, Some(Failure::Http4xx));
        assert_eq!(attempt.verdict, Verdict::Retry { after: None });
    }
    assert_eq!(endpoint.requests(), 2);
}

#[tokio::test]
async fn so_it_is_where_the_receiver_is_asked_for_a_permission() {
    let (receiver, endpoint) = (Receiver::new().await, TokenEndpoint::giving().await);
    let (sender, to) = (sender(), authorized(&receiver, &endpoint.url, LONG));
    let answering = async {
        let mut tokens = Vec::new();
        for answer in [UNAUTHORIZED, PERMITTED] {
            let (stream, _) = receiver.listener.accept().await.unwrap();
            let asked = asked(stream, answer).await;
            let header = asked.lines().find(|line| line.starts_with("authorization"));
            tokens.push(header.unwrap().to_owned());
        }
        tokens
    };
    let (permitted, tokens) = tokio::join!(sender.ask(&to, None), answering);
    assert_eq!(permitted, Ok(Permission { rate: None }));
    let expected = [
        "authorization: bearer token-1",
        "authorization: bearer token-2",
    ];
    assert_eq!(tokens, expected);
    assert_eq!(endpoint.requests(), 2);
}

#[tokio::test]
async fn without_a_token_the_receiver_is_left_alone_and_no_attempt_was_made() {
    let huge = granted(&"x".repeat(100_000));
    for (response, failure) in [
        (answer("503 Busy", "hunter3"), "oauth2_unavailable"),
        (answer("302 Found\r\nlocation: /", ""), "oauth2_unavailable"),
        (
            answer("401 No", r#"{"error":"invalid_client"}"#),
            "oauth2_invalid_client",
        ),
        (
            answer("400 No", r#"{"error":"hunter3"}"#),
            "oauth2_unavailable",
        ),
        (ok("hunter3"), "oauth2_bad_response"),
        (ok(&huge), "oauth2_bad_response"),
        (ok(&granted("hunter3\\r\\nx: y")), "oauth2_bad_response"),
        ("nonsense\r\n\r\n".into(), "oauth2_unavailable"),
    ] {
        let (receiver, endpoint) = (
            Receiver::new().await,
            TokenEndpoint::new(move |_| response.clone()).await,
        );
        let (sender, to) = (sender(), authorized(&receiver, &endpoint.url, LONG));
        // The second does not ask again so soon.
        for _ in 0..2 {
            let attempt = post(&sender, &to).await;
            let Verdict::Postponed { after } = attempt.verdict else {
                panic!("{attempt:?}");
            };
            assert!(after <= Duration::from_secs(1), "{after:?}");
            assert_eq!(attempt.failure.map(Failure::label), Some(failure));
            assert!(!format!("{attempt:?}").contains("hunter"));
        }
        assert_eq!(endpoint.requests(), 1, "{failure}");
        assert!(receiver.is_left_alone().await);
    }
}

#[tokio::test]
async fn a_token_endpoint_is_waited_for_no_longer_than_the_attempt_may_take() {
    let (receiver, silent) = (
        Receiver::new().await,
        TcpListener::bind("127.0.0.1:0").await,
    );
    let silent = silent.unwrap();
    let url = format!("http://{}/token", silent.local_addr().unwrap());
    let (sender, to) = (sender(), authorized(&receiver, &url, SHORT));
    let attempt = post(&sender, &to).await;
    assert!(matches!(attempt.verdict, Verdict::Postponed { .. }));
    // What comes of the request after all is there for the next.
    let (mut stream, _) = silent.accept().await.unwrap();
    let body = granted("late");
    stream.write_all(ok(&body).as_bytes()).await.unwrap();
    let to = authorized(&receiver, &url, LONG);
    let (attempt, requests) = posted(&sender, &to, &receiver, &[OK]).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert!(requests[0].contains("bearer late\r\n"));
}

#[tokio::test]
async fn token_endpoints_are_under_the_rules_of_egress() {
    let receiver = Receiver::new().await;
    let forbidden = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let url = format!("http://{}/token", forbidden.local_addr().unwrap());
    let sender = Sender::with(Connector::new(
        &SETTINGS,
        &egress("--egress-allow 127.0.0.1/32"),
        no_roots(),
    ));
    let attempt = post(&sender, &authorized(&receiver, &url, LONG)).await;
    assert_eq!(
        attempt.failure.map(Failure::label),
        Some("oauth2_blocked_address")
    );
    let connects = tokio::time::timeout(SHORT, forbidden.accept()).await;
    assert!(connects.is_err());
    assert!(receiver.is_left_alone().await);
}
