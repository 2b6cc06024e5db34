//! Each claim against a receiver that is a bare socket, so that it may misbehave.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::budget::Budget;
use crate::subscription::tests::subscription;

const SHORT: Duration = Duration::from_millis(300);

fn event() -> Event {
    Event {
        id: Uuid::now_v7().to_string(),
        payload: Bytes::from_static(b"{}"),
        content_type: None,
        traceparent: Some("00-1-2-01".into()),
        key: None,
        published_at: None,
        hold: Budget::new(1).hold(0),
    }
}

/// A receiver that answers each connection's first request by `answer`; what it was asked comes
/// out of the set, a connection each.
struct Receiver {
    url: String,
    listener: TcpListener,
}

impl Receiver {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        Self { url, listener }
    }

    /// Takes a connection and reads its request.
    async fn accept(&self) -> (TcpStream, String) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let request = request(&mut stream).await;
        (stream, request)
    }
}

/// Reads to the end of the body `{}`.
async fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    String::from_utf8(request).unwrap().to_lowercase()
}

async fn attempt(url: &str, timeout: Duration) -> Attempt {
    drop(rustls::crypto::ring::default_provider().install_default());
    let sender = Sender::new(timeout).unwrap();
    sender.attempt(&subscription(url), &event(), 3).await
}

/// One attempt at a receiver that answers with those bytes and closes.
async fn answered(bytes: &'static [u8]) -> (Attempt, String) {
    let receiver = Receiver::new().await;
    let answer = async {
        let (mut stream, request) = receiver.accept().await;
        stream.write_all(bytes).await.unwrap();
        request
    };
    tokio::join!(attempt(&receiver.url, 10 * SHORT), answer)
}

#[tokio::test]
async fn every_post_carries_its_headers_and_the_event_as_it_is() {
    let (attempt, request) = answered(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert_eq!((attempt.status, attempt.failure), (Some(204), None));
    for part in [
        "post /hook http/1.1",
        "webhook-id: ",
        "webhook-timestamp: ",
        "webhook-attempt: 3",
        "content-type: application/json",
        "traceparent: 00-1-2-01",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[tokio::test]
async fn a_failure_keeps_its_status_and_the_beginning_of_its_response() {
    let (attempt, _) =
        answered(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nno\0t\xff")
            .await;
    let after = Some(Duration::from_secs(7));
    assert_eq!(attempt.verdict, Verdict::Retry { after });
    assert_eq!(attempt.failure, Some(Failure::Http5xx));
    assert_eq!(attempt.response.as_deref(), Some("no\u{fffd}t\u{fffd}"));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::new().await;
    let answer = async {
        let (mut stream, _) = receiver.accept().await;
        let there = format!(
            "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
            receiver.url
        );
        stream.write_all(there.as_bytes()).await.unwrap();
        tokio::time::timeout(SHORT, receiver.listener.accept())
            .await
            .is_err()
    };
    let (attempt, nobody_came) = tokio::join!(attempt(&receiver.url, 10 * SHORT), answer);
    assert_eq!(attempt.failure, Some(Failure::Redirect));
    assert!(nobody_came);
}

#[tokio::test]
async fn a_body_without_end_is_cut_and_a_2xx_stays_one() {
    let receiver = Receiver::new().await;
    let answer = async {
        let (mut stream, _) = receiver.accept().await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let (attempt, ()) = tokio::join!(attempt(&receiver.url, 10 * SHORT), answer);
    assert_eq!(attempt.verdict, Verdict::Delivered);
}

#[tokio::test]
async fn a_receiver_that_hangs_ends_with_the_deadline() {
    let receiver = Receiver::new().await;
    let (attempt, _held) = tokio::join!(attempt(&receiver.url, SHORT), receiver.accept());
    assert_eq!(attempt.failure, Some(Failure::Timeout));
    assert!(attempt.latency >= SHORT);
}

#[tokio::test]
async fn a_2xx_whose_body_hangs_is_delivered() {
    let receiver = Receiver::new().await;
    let answer = async {
        let (mut stream, _) = receiver.accept().await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")
            .await
            .unwrap();
        stream
    };
    let (attempt, _held) = tokio::join!(attempt(&receiver.url, SHORT), answer);
    assert_eq!(attempt.verdict, Verdict::Delivered);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let receiver = Receiver::new().await;
    drop(rustls::crypto::ring::default_provider().install_default());
    let sender = Sender::new(10 * SHORT).unwrap();
    let (to, event) = (subscription(&receiver.url), event());
    let answer = async {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let (mut stream, _) = receiver.accept().await;
        stream.write_all(ok).await.unwrap();
        // It takes the second request on the same connection, and closes without a word.
        request(&mut stream).await;
        drop(stream);
        let (mut stream, _) = receiver.accept().await;
        stream.write_all(ok).await.unwrap();
    };
    let both = async {
        let first = sender.attempt(&to, &event, 1).await.verdict;
        (first, sender.attempt(&to, &event, 2).await.verdict)
    };
    let (verdicts, ()) = tokio::join!(both, answer);
    assert_eq!(verdicts, (Verdict::Delivered, Verdict::Delivered));
}

#[tokio::test]
async fn what_is_no_http_has_a_class_of_its_own() {
    let (attempt, _) = answered(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
    assert_eq!(attempt.failure, Some(Failure::Protocol));
}

#[tokio::test]
async fn a_receiver_that_only_closes_was_reset() {
    let receiver = Receiver::new().await;
    let mut closing = JoinSet::new();
    let url = receiver.url.clone();
    closing.spawn(async move {
        loop {
            drop(receiver.accept().await);
        }
    });
    assert_eq!(
        attempt(&url, 10 * SHORT).await.failure,
        Some(Failure::Reset)
    );
}

#[tokio::test]
async fn where_nobody_is_the_class_says_why() {
    let receiver = Receiver::new().await;
    let (refused, not_tls) = (
        receiver.url.clone(),
        receiver.url.replace("http:", "https:"),
    );
    let answer = async {
        let (mut stream, _) = receiver.listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let (tls, _held) = tokio::join!(attempt(&not_tls, 10 * SHORT), answer);
    assert_eq!(tls.failure, Some(Failure::Tls));
    drop(receiver);
    assert_eq!(
        attempt(&refused, 10 * SHORT).await.failure,
        Some(Failure::ConnectRefused)
    );
    let nowhere = attempt("http://nowhere.invalid/", 50 * SHORT).await;
    assert_eq!(nowhere.failure, Some(Failure::Dns));
}
