//! Deliveries that are signed.

use chrono::DateTime;
use signature::{Signer, SigningKey, Verifier, VerifyingKey};

use super::*;
use crate::verdict::Verdict;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn signer(ends_at: Option<chrono::DateTime<chrono::Utc>>) -> Signer {
    let key: SigningKey = SECRET.parse().unwrap();
    Signer::new([(key, ends_at)])
}

/// The headers of a request, by the name that they have there.
fn headers(request: &str) -> http::HeaderMap {
    let lines = request
        .lines()
        .skip(1)
        .map_while(|line| line.split_once(": "));
    let parse = |(name, value): (&str, &str)| {
        (
            name.parse::<http::HeaderName>().unwrap(),
            value.parse().unwrap(),
        )
    };
    lines.map(parse).collect()
}

#[tokio::test]
async fn every_post_is_signed_over_its_own_timestamp() {
    let receiver = Receiver::new().await;
    let mut to = receiver.target();
    to.sign_with(signer(None));
    let sender = sender();
    let answering = async {
        let (mut stream, _) = receiver.listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n{}") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
        }
        stream.write_all(OK).await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let (attempt, request) = tokio::join!(post(&sender, &to), answering);
    assert_eq!(attempt.verdict, Verdict::Delivered);
    let key: VerifyingKey = SECRET.parse().unwrap();
    let verifier = Verifier::new([key], LONG);
    let verdict = verifier.verify(&headers(&request), b"{}", chrono::Utc::now());
    assert_eq!(verdict, Ok(()), "{request}");
}

#[tokio::test]
async fn what_is_to_be_signed_and_cannot_be_is_not_sent() {
    let receiver = Receiver::new().await;
    let mut to = receiver.target();
    to.sign_with(signer(Some(DateTime::UNIX_EPOCH)));
    let attempt = post(&sender(), &to).await;
    assert_eq!(attempt.failure, Some(Failure::InvalidRequest));
    assert!(receiver.is_left_alone().await);
}

#[tokio::test]
async fn headers_of_a_target_are_sent_and_those_of_the_delivery_go_before_them() {
    let receiver = Receiver::new().await;
    let mut to = receiver.target();
    to.add_header("X-Team", "weather").unwrap();
    to.add_header("webhook-id", "forged").unwrap();
    to.add_header("x y", "a").unwrap_err();
    to.add_header("x-y", "a\r\nz: b").unwrap_err();
    assert!(!format!("{to:?}").contains("weather"));
    let sender = sender();
    let (_, (_held, request)) = tokio::join!(post(&sender, &to), receiver.answer(OK));
    assert!(request.contains("x-team: weather\r\n"), "{request}");
    assert!(request.contains("webhook-id: event-1\r\n"), "{request}");
    assert!(!request.contains("forged"), "{request}");
}
