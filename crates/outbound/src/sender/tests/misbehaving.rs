//! What an attempt makes of a receiver that does not behave: an end by the deadline, and a class.

use super::*;
use crate::verdict::Verdict;

/// Writes over and over, until nobody reads.
async fn for_ever(receiver: &Receiver, head: &[u8], bytes: &[u8], pause: Duration) {
    let (mut stream, _) = receiver.answer(head).await;
    while stream.write_all(bytes).await.is_ok() {
        tokio::time::sleep(pause).await;
    }
}

/// One attempt at a receiver that writes for ever.
async fn flooded(timeout: Duration, head: &[u8], bytes: &[u8], pause: Duration) -> Attempt {
    let receiver = Receiver::new().await;
    let flood = for_ever(&receiver, head, bytes, pause);
    // Ends because the attempt hangs up.
    tokio::join!(attempt(&receiver.url, timeout), flood).0
}

const DRIP: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_body_without_end_is_cut_and_a_2xx_stays_one() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    let attempt = flooded(LONG, head, &[b'x'; 4096], Duration::ZERO).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert!(attempt.latency < LONG / 2);
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_deadline_and_a_2xx_stays_one() {
    let attempt = flooded(SHORT, b"HTTP/1.1 200 OK\r\n\r\n", b"x", DRIP).await;
    assert_eq!(attempt.verdict, Verdict::Delivered);
    assert!((SHORT..2 * SHORT).contains(&attempt.latency));
}

#[tokio::test]
async fn a_head_that_drips_ends_with_the_deadline() {
    let attempt = flooded(SHORT, b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", DRIP).await;
    assert_eq!(attempt.failure, Some(Failure::Timeout));
    assert!((SHORT..2 * SHORT).contains(&attempt.latency));
}

#[tokio::test]
async fn interim_answers_without_end_end_with_the_deadline() {
    let attempt = flooded(SHORT, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", DRIP).await;
    assert_eq!(attempt.failure, Some(Failure::Timeout));
}

#[tokio::test]
async fn huge_headers_are_not_read_to_their_end() {
    let (head, large) = (b"HTTP/1.1 200 OK\r\n", format!("a: {:x>4096}\r\n", ""));
    let attempt = flooded(LONG, head, large.as_bytes(), Duration::ZERO).await;
    assert_eq!(attempt.failure, Some(Failure::Protocol));
}

#[tokio::test]
async fn a_chunked_body_with_trailers_is_read_and_one_with_broken_chunks_is_let_be() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for body in ["3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n", "zz\r\nabc\r\n"] {
        let (attempt, _) = answered(format!("{head}{body}").as_bytes()).await;
        assert_eq!(attempt.verdict, Verdict::Delivered, "{body:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_ends_with_the_deadline() {
    let receiver = Receiver::new().await;
    let (attempt, _held) = tokio::join!(attempt(&receiver.url, SHORT), receiver.accept());
    assert_eq!(attempt.failure, Some(Failure::Timeout));
    assert!((SHORT..2 * SHORT).contains(&attempt.latency));
}

#[tokio::test]
async fn what_is_no_http_has_a_class_of_its_own() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.6\r\n\r\n"[..],
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na\0b: c\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        let failure = answered(bytes).await.0.failure;
        assert_eq!(failure, Some(Failure::Protocol), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_speaks_first_is_no_success() {
    let receiver = Receiver::new().await;
    let greet = async {
        let (mut stream, _) = receiver.listener.accept().await.unwrap();
        // It may be gone already.
        drop(stream.write_all(b"220 mail.example ESMTP\r\n").await);
        stream
    };
    let (attempt, _held) = tokio::join!(attempt(&receiver.url, LONG), greet);
    assert!(matches!(
        attempt.failure,
        Some(Failure::Protocol | Failure::Reset)
    ));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_success() {
    for bytes in [&b""[..], b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\na: b\r\n"] {
        let failure = answered(bytes).await.0.failure;
        assert_eq!(failure, Some(Failure::Reset), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_resets_was_reset() {
    let receiver = Receiver::new().await;
    let reset = async {
        let (stream, _) = receiver.accept().await;
        stream.set_zero_linger().unwrap();
    };
    let (attempt, ()) = tokio::join!(attempt(&receiver.url, LONG), reset);
    assert_eq!(attempt.failure, Some(Failure::Reset));
}

#[tokio::test]
async fn where_nobody_is_the_class_says_why() {
    let refused = Receiver::new().await.url;
    let failure = attempt(&refused, LONG).await.failure;
    assert_eq!(failure, Some(Failure::ConnectRefused));
    let failure = attempt("http://nowhere.invalid/", LONG).await.failure;
    assert_eq!(failure, Some(Failure::Dns));
}

#[tokio::test]
async fn where_nobody_accepts_the_deadline_ends_the_waiting() {
    let (address, _held) = black_hole().await;
    let attempt = attempt(&format!("http://{address}/"), SHORT).await;
    assert_eq!(attempt.failure, Some(Failure::ConnectTimeout));
    assert!((SHORT..2 * SHORT).contains(&attempt.latency));
}

#[tokio::test]
async fn opening_a_connection_has_a_bound_of_its_own() {
    let (address, _held) = black_hole().await;
    let settings = Settings {
        timeout: SHORT,
        ..SETTINGS
    };
    let sender = Sender::with(Connector::new(
        &settings,
        &egress(""),
        tls(RootCertStore::empty()),
    ));
    let attempt = post(&sender, &target(&format!("http://{address}/"), LONG)).await;
    assert_eq!(attempt.failure, Some(Failure::ConnectTimeout));
    assert!((SHORT..2 * SHORT).contains(&attempt.latency));
}
