//! What an attempt carries, and what it makes of a receiver that behaves.

use super::*;
use crate::control::Control;
use crate::verdict::Verdict;

#[tokio::test]
async fn every_post_carries_its_headers_and_the_event_as_it_is() {
    let receiver = Receiver::new().await;
    let mut target = receiver.target();
    target.authorize("Secret").unwrap();
    let outgoing = Outgoing {
        id: "event-1",
        payload: &Bytes::from_static(b"{}"),
        content_type: Some("application/cloudevents+json"),
        traceparent: Some("00-1-2-01"),
        replay: Some(uuid::Uuid::max()),
        number: 3,
    };
    let sender = sender();
    let attempting = sender.attempt(&target, &outgoing);
    let no_content = b"HTTP/1.1 204 No Content\r\n\r\n";
    let (attempt, (_held, request)) = tokio::join!(attempting, receiver.answer(no_content));
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert_eq!((attempt.status, attempt.failure), (Some(204), None));
    let host = format!("host: {}", receiver.listener.local_addr().unwrap());
    for part in [
        "post /hook http/1.1",
        &host,
        concat!(
            "user-agent: temperature-webhooks/",
            env!("CARGO_PKG_VERSION")
        ),
        "authorization: bearer secret",
        "webhook-id: event-1",
        "webhook-timestamp: 1",
        "webhook-attempt: 3",
        "webhook-replay: ffffffff-ffff-ffff-ffff-ffffffffffff",
        "content-type: application/cloudevents+json",
        "content-length: 2",
        "traceparent: 00-1-2-01",
    ] {
        assert_eq!(request.matches(part).count(), 1, "{part} in {request}");
    }
}

#[tokio::test]
async fn what_nothing_is_said_about_is_json_and_no_replay() {
    let (_, request) = answered(OK).await;
    assert!(request.contains("content-type: application/json\r\n"));
    assert!(!request.contains("webhook-replay"));
}

#[tokio::test]
async fn no_value_ends_its_header_and_begins_another() {
    let receiver = Receiver::new().await;
    let (sender, to, payload) = (sender(), receiver.target(), Bytes::from_static(b"{}"));
    let evil = "a\r\nx-admin: yes";
    let good = Outgoing {
        id: "a",
        payload: &payload,
        content_type: None,
        traceparent: None,
        replay: None,
        number: 1,
    };
    for outgoing in [
        Outgoing {
            id: evil,
            ..good.clone()
        },
        Outgoing {
            content_type: Some(evil),
            ..good.clone()
        },
        Outgoing {
            traceparent: Some(evil),
            ..good.clone()
        },
    ] {
        let failure = sender.attempt(&to, &outgoing).await.failure;
        assert_eq!(failure, Some(Failure::InvalidRequest));
    }
    assert!(receiver.is_left_alone().await);
}

#[tokio::test]
async fn a_failure_keeps_its_status_and_the_beginning_of_its_response() {
    let busy = b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 5\r\n\r\nno\0t\xff";
    let (attempt, _) = answered(busy).await;
    let after = Some(Duration::from_secs(7));
    assert_eq!(attempt.verdict, Verdict::Retry { after });
    assert_eq!(attempt.retry_after, after);
    assert_eq!(attempt.failure, Some(Failure::Http5xx));
    assert_eq!(attempt.response(), Some("no\u{fffd}t\u{fffd}"));
}

#[tokio::test]
async fn a_response_is_kept_no_further_than_it_is_read_and_a_success_not_at_all() {
    let long = |status| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-length: 9000\r\n\r\n{:x>9000}",
            ""
        )
    };
    let kept = async |status| answered(long(status).as_bytes()).await.0.content;
    let response = kept(500).await.unwrap().response.unwrap();
    assert_eq!(response.len(), RESPONSE_LIMIT);
    assert_eq!(kept(200).await, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let receiver = Receiver::new().await;
    let there = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        receiver.url
    );
    let answer = async {
        receiver.answer(there.as_bytes()).await;
        receiver.is_left_alone().await
    };
    let (attempt, nobody_came) = tokio::join!(attempt(&receiver.url, LONG), answer);
    assert_eq!(attempt.failure, Some(Failure::Redirect));
    assert!(nobody_came);
}

#[tokio::test]
async fn a_receiver_is_heard_about_its_deliveries_whatever_its_status() {
    let pause = Some(Control::Pause(Duration::from_mins(1)));
    for (status, wish, control) in [
        (200, "pause=60", pause),
        (503, "pause=60", pause),
        (404, "disable", Some(Control::Disable)),
        (200, "\u{fc}", None),
    ] {
        let response =
            format!("HTTP/1.1 {status} X\r\nWebhook-Delivery: {wish}\r\ncontent-length: 0\r\n\r\n");
        let (attempt, _) = answered(response.as_bytes()).await;
        assert_eq!(attempt.control, control, "{status} {wish}");
    }
}

#[tokio::test]
async fn what_comes_before_the_final_answer_is_passed_over() {
    let (attempt, _) = answered(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
          HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(attempt.status, Some(202));
}

#[tokio::test]
async fn an_old_receiver_is_understood() {
    let (attempt, _) = answered(b"HTTP/1.0 200 OK\r\n\r\nthanks").await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
}

#[tokio::test]
async fn the_time_goes_to_the_steps_that_were_taken() {
    let receiver = Receiver::new().await;
    let port = receiver.listener.local_addr().unwrap().port();
    let (sender, named) = (sender(), target(&format!("http://localhost:{port}/"), LONG));
    let answer = async {
        let (mut stream, _) = receiver.accept().await;
        tokio::time::sleep(SHORT).await;
        stream.write_all(OK).await.unwrap();
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        stream
    };
    let both = async { (post(&sender, &named).await, post(&sender, &named).await) };
    let ((first, second), _held) = tokio::join!(both, answer);
    let phases = first.phases();
    assert!(phases.dns.is_some() && phases.connect.is_some() && phases.tls.is_none());
    assert!(phases.first_byte.unwrap() >= SHORT && phases.total >= phases.first_byte.unwrap());
    let phases = second.phases();
    assert!(second.reused && phases.first_byte.is_some());
    assert_eq!((phases.dns, phases.connect, phases.tls), (None, None, None));
    let address = receiver.listener.local_addr().unwrap();
    assert_eq!(second.connection.unwrap().remote_addr, address);
}

#[tokio::test]
async fn of_a_failure_the_headers_of_both_are_kept_without_secrets() {
    let receiver = Receiver::new().await;
    let mut to = receiver.target();
    to.authorize("hunter2").unwrap();
    to.add_header("x-api-key", "hunter2").unwrap();
    let sender = sender();
    let busy =
        b"HTTP/1.1 500 X\r\nx-why: disk\r\nset-cookie: a=hunter2\r\ncontent-length: 0\r\n\r\n";
    let (attempt, _) = tokio::join!(post(&sender, &to), receiver.answer(busy));
    let content = attempt.content.unwrap();
    let of = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
    let (request, response) = (
        of(&content.request_headers),
        of(content.response_headers.as_deref().unwrap()),
    );
    assert_eq!(request["webhook-id"], "event-1");
    assert_eq!(request["webhook-attempt"], "3");
    assert_eq!(response["x-why"], "disk");
    for (headers, name) in [
        (&request, "authorization"),
        (&request, "x-api-key"),
        (&response, "set-cookie"),
    ] {
        assert_eq!(headers[name], "[redacted]", "{name}");
    }
    assert!(!format!("{content:?}").contains("hunter2"));
    assert_eq!(content.response, None);
}

#[tokio::test]
async fn of_what_was_not_sent_nothing_is_kept() {
    let nobody = attempt("http://127.0.0.1:1/", LONG).await;
    assert_eq!(nobody.failure, Some(Failure::ConnectRefused));
    assert_eq!(nobody.content, None);
}
