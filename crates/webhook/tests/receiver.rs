//! The receiver over real HTTP: what it answers, what it counts, and each way to misbehave.

#![allow(clippy::unwrap_used, reason = "what is not as expected fails the test")]

mod client;
mod harness;
mod signatures;

use std::time::Duration;

use harness::{Running, event};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_post_to_any_path_is_received_and_counted_by_city() {
    let receiver = Running::start("").await;
    for (id, path, city) in [
        ("1", "/", "Tokyo"),
        ("2", "/hooks/a?b=c", "Oslo"),
        ("3", "/livez", "Tokyo"),
    ] {
        let status = receiver
            .post(path)
            .header("webhook-id", id)
            .json(&event(city))
            .send()
            .await;
        assert_eq!(status.unwrap().status(), StatusCode::NO_CONTENT, "{path}");
    }
    assert_eq!(
        receiver.received().await,
        json!({"total": 3, "distinct": 3, "duplicates": 0, "refused": 0,
               "by_city": {"Oslo": 1, "Tokyo": 2}})
    );
}

#[tokio::test]
async fn an_id_seen_before_is_a_duplicate_and_a_success() {
    let receiver = Running::start("").await;
    for _ in 0..3 {
        assert_eq!(receiver.deliver("same").await, StatusCode::NO_CONTENT);
    }
    assert_eq!(receiver.counts().await, [3, 1, 2, 0]);
}

#[tokio::test]
async fn no_more_ids_are_remembered_than_asked_for() {
    let receiver = Running::start("--remember 1").await;
    for id in ["a", "a", "b", "a"] {
        receiver.deliver(id).await;
    }
    assert_eq!(receiver.counts().await, [4, 3, 1, 0]);
}

#[tokio::test]
async fn a_delete_forgets_counts_and_ids() {
    let receiver = Running::start("").await;
    receiver.deliver("a").await;
    let reset = receiver
        .client
        .delete(receiver.url("/received"))
        .send()
        .await
        .unwrap();
    assert_eq!(reset.status(), StatusCode::NO_CONTENT);
    assert_eq!(receiver.counts().await, [0, 0, 0, 0]);
    receiver.deliver("a").await;
    assert_eq!(receiver.counts().await, [1, 1, 0, 0]);
}

#[tokio::test]
async fn a_body_that_is_no_event_is_received_under_no_city() {
    let receiver = Running::start("").await;
    for (id, body) in [("1", "not json"), ("2", "{}"), ("3", "")] {
        let sent = receiver
            .post("/")
            .header("webhook-id", id)
            .body(body)
            .send()
            .await;
        assert_eq!(sent.unwrap().status(), StatusCode::NO_CONTENT, "{body}");
    }
    assert_eq!(receiver.counts().await, [3, 3, 0, 0]);
    assert_eq!(receiver.received().await["by_city"], json!({}));
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused() {
    let receiver = Running::start("").await;
    for (length, status) in [
        (1 << 20, StatusCode::NO_CONTENT),
        ((1 << 20) + 1, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let post = receiver.post("/").header("webhook-id", length.to_string());
        let sent = post.body(vec![b'x'; length]).send().await.unwrap();
        assert_eq!(sent.status(), status);
    }
    assert_eq!(receiver.counts().await, [1, 1, 0, 1]);
}

#[tokio::test]
async fn a_post_without_an_id_is_told_what_is_missing() {
    let receiver = Running::start("").await;
    for post in [
        receiver.post("/"),
        receiver.post("/").header("webhook-id", ""),
    ] {
        let sent = post.json(&event("Tokyo")).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::BAD_REQUEST);
        assert!(sent.text().await.unwrap().contains("webhook-id is missing"));
    }
    assert_eq!(receiver.counts().await, [0, 0, 0, 2]);
}

#[tokio::test]
async fn only_the_bearer_of_the_token_is_received() {
    let receiver = Running::start("--token s3cret").await;
    for (authorization, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer s3creT"), StatusCode::UNAUTHORIZED),
        (Some("Bearer s3cret2"), StatusCode::UNAUTHORIZED),
        (Some("Basic s3cret"), StatusCode::UNAUTHORIZED),
        (Some("s3cret"), StatusCode::UNAUTHORIZED),
        (Some("Bearer s3cret"), StatusCode::NO_CONTENT),
        (Some("bearer s3cret"), StatusCode::NO_CONTENT),
    ] {
        let mut post = receiver.post("/").header("webhook-id", "1");
        if let Some(value) = authorization {
            post = post.header("authorization", value);
        }
        assert_eq!(
            post.send().await.unwrap().status(),
            status,
            "{authorization:?}"
        );
    }
    assert_eq!(receiver.counts().await, [2, 1, 1, 5]);
}

#[tokio::test]
async fn a_status_is_the_answer_to_everything() {
    let receiver = Running::start("--status 503 --token s3cret --fail-rate 1").await;
    let sent = receiver.post("/").send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(receiver.counts().await, [0, 0, 0, 1]);
}

#[tokio::test]
async fn a_status_that_is_a_success_is_received() {
    let receiver = Running::start("--status 202").await;
    assert_eq!(receiver.deliver("a").await, StatusCode::ACCEPTED);
    assert_eq!(
        receiver.post("/").send().await.unwrap().status(),
        StatusCode::BAD_REQUEST
    );
    assert_eq!(receiver.counts().await, [1, 1, 0, 1]);
}

#[tokio::test]
async fn a_share_of_the_requests_fails_and_is_received_when_sent_again() {
    let receiver = Running::start("--fail-rate 0.5 --seed 1").await;
    for number in 0..40 {
        while receiver.deliver(&number.to_string()).await == StatusCode::INTERNAL_SERVER_ERROR {}
    }
    let [total, distinct, duplicates, refused] = receiver.counts().await;
    assert_eq!([total, distinct, duplicates], [40, 40, 0]);
    assert!((15..=90).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_receiver_that_hangs_answers_nothing_until_it_is_stopped() {
    let mut receiver = Running::start("--hang").await;
    let post = receiver
        .post("/")
        .header("webhook-id", "a")
        .json(&event("Tokyo"));
    let impatient = post
        .try_clone()
        .unwrap()
        .timeout(Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    assert_eq!(receiver.counts().await, [0, 0, 0, 1]);

    let answer = receiver.stop_during(post.send(), 2).await;
    assert_eq!(answer, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_delay_goes_before_the_answer() {
    let receiver = Running::start("--delay 1h").await;
    let post = receiver
        .post("/")
        .header("webhook-id", "a")
        .json(&event("Tokyo"));
    let impatient = post
        .try_clone()
        .unwrap()
        .timeout(Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    assert_eq!(receiver.counts().await, [0, 0, 0, 0]);

    let slow = Running::start("--delay 30ms").await;
    let began = tokio::time::Instant::now();
    assert_eq!(slow.deliver("a").await, StatusCode::NO_CONTENT);
    assert!(began.elapsed() >= Duration::from_millis(30));
}

#[tokio::test]
async fn the_probes_answer_beside_the_deliveries() {
    let receiver = Running::start("").await;
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = receiver
            .client
            .get(receiver.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    for path in ["/", "/elsewhere"] {
        let answer = receiver
            .client
            .get(receiver.url(path))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.headers()["allow"], "POST", "{path}");
        assert!(answer.text().await.unwrap().contains("GET /received"));
    }
}
