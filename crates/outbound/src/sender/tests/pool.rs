//! Which connections are used again, and how many are kept.

use super::*;
use crate::verdict::Verdict;

/// Two attempts by one sender, one after the other.
async fn two(receiver: &Receiver) -> (Attempt, Attempt) {
    let (sender, to) = (sender(), receiver.target());
    (post(&sender, &to).await, post(&sender, &to).await)
}

/// Waits until the other end has closed, or reset.
async fn is_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await;
    drop(closed.expect("it is closed in time"));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let receiver = Receiver::new().await;
    let answer = async {
        let (mut stream, _) = receiver.answer(OK).await;
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    };
    let ((first, second), ()) = tokio::join!(two(&receiver), answer);
    assert_eq!((first.reused, second.reused), (false, true));
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let receiver = Receiver::new().await;
    for reset in [false, true] {
        let answer = async {
            let (mut stream, _) = receiver.answer(OK).await;
            // It takes the second request on the same connection, and ends without a word.
            request(&mut stream).await;
            if reset {
                stream.set_zero_linger().unwrap();
            }
            drop(stream);
            receiver.answer(OK).await;
        };
        let ((first, second), ()) = tokio::join!(two(&receiver), answer);
        assert_eq!(first.verdict, Verdict::Delivered);
        assert_eq!(second.verdict, Verdict::Delivered, "{:?}", second.failure);
        assert!(!second.reused);
    }
}

#[tokio::test]
async fn a_request_goes_out_again_once_at_most() {
    let receiver = Receiver::new().await;
    let answer = async {
        let (mut stream, _) = receiver.answer(OK).await;
        request(&mut stream).await;
        drop(stream);
        drop(receiver.accept().await);
        receiver.is_left_alone().await
    };
    let ((_, second), nobody_came) = tokio::join!(two(&receiver), answer);
    assert_eq!(second.failure, Some(Failure::Reset));
    assert!(nobody_came);
}

#[tokio::test]
async fn an_end_on_a_fresh_connection_is_the_receivers_word() {
    let receiver = Receiver::new().await;
    let answer = async {
        drop(receiver.accept().await);
        receiver.is_left_alone().await
    };
    let (attempt, nobody_came) = tokio::join!(attempt(&receiver.url, LONG), answer);
    assert_eq!(attempt.failure, Some(Failure::Reset));
    assert!(nobody_came && !attempt.reused);
}

#[tokio::test]
async fn an_answer_that_had_begun_is_not_asked_for_again() {
    let receiver = Receiver::new().await;
    let answer = async {
        let (mut stream, _) = receiver.answer(OK).await;
        request(&mut stream).await;
        stream.write_all(b"H").await.unwrap();
        drop(stream);
        receiver.is_left_alone().await
    };
    let ((_, second), nobody_came) = tokio::join!(two(&receiver), answer);
    assert_eq!(second.failure, Some(Failure::Reset));
    assert!(nobody_came && second.reused);
}

#[tokio::test]
async fn a_connection_with_more_to_come_is_not_used_again() {
    let receiver = Receiver::new().await;
    let endless = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{:x>9000}",
        ""
    );
    let answer = async {
        let (mut first, _) = receiver.answer(endless.as_bytes()).await;
        receiver.answer(OK).await;
        is_closed(&mut first).await;
    };
    let ((first, second), ()) = tokio::join!(two(&receiver), answer);
    assert_eq!(first.verdict, Verdict::Delivered);
    assert!(!second.reused);
}

#[tokio::test]
async fn a_body_where_none_may_be_answers_no_later_request() {
    let receiver = Receiver::new().await;
    let smuggled = b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
    let answer = async {
        let first = receiver.answer(smuggled).await;
        (first, receiver.answer(OK).await)
    };
    let ((first, second), _held) = tokio::join!(two(&receiver), answer);
    assert_eq!(first.status, Some(204));
    assert_eq!(second.status, Some(200));
}

#[tokio::test]
async fn a_receiver_that_closes_after_its_answer_is_connected_to_again() {
    let receiver = Receiver::new().await;
    for answer in [
        &b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    ] {
        let answering = async {
            let first = receiver.answer(answer).await;
            (first, receiver.answer(OK).await)
        };
        let ((_, second), _held) = tokio::join!(two(&receiver), answering);
        assert_eq!((second.status, second.reused), (Some(200), false));
    }
}

#[tokio::test]
async fn a_connection_that_idled_too_long_is_closed_and_not_used_again() {
    let receiver = Receiver::new().await;
    let (sender, to) = (sender(), receiver.target());
    let (_, (mut idle, _)) = tokio::join!(post(&sender, &to), receiver.answer(OK));
    // Only this passes by the paused clock: sockets keep their own time.
    tokio::time::pause();
    tokio::time::advance(IDLE_TIMEOUT + SHORT).await;
    tokio::time::resume();
    let (second, _held) = tokio::join!(post(&sender, &to), receiver.answer(OK));
    assert!(!second.reused);
    is_closed(&mut idle).await;
}

#[tokio::test]
async fn however_many_hosts_there_are_few_connections_are_kept() {
    const HOSTS: usize = 200;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = Settings {
        kept: 10,
        ..SETTINGS
    };
    let sender = Sender::with(Connector::new(
        &settings,
        &egress(""),
        tls(RootCertStore::empty()),
    ));
    let answer = async {
        let mut streams = Vec::new();
        for _ in 0..HOSTS {
            let (mut stream, _) = listener.accept().await.unwrap();
            request(&mut stream).await;
            stream.write_all(OK).await.unwrap();
            streams.push(stream);
        }
        streams
    };
    let posts = async {
        for host in 1..=HOSTS {
            let to = target(&format!("http://127.0.0.{host}:{port}/"), LONG);
            assert_eq!(post(&sender, &to).await.verdict, Verdict::Delivered);
        }
    };
    let ((), mut streams) = tokio::join!(posts, answer);
    for stream in streams.iter_mut().skip(settings.kept) {
        is_closed(stream).await;
    }
    for stream in streams.iter_mut().take(settings.kept) {
        let nothing = stream.try_read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }
}
