//! How old a connection may grow.

use super::*;

/// Lets only the paused clock pass: sockets keep their own time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn no_request_goes_out_on_a_connection_that_is_older_than_its_lifetime() {
    let receiver = Receiver::new().await;
    let egress = egress("--egress-connection-lifetime=10s");
    let sender = Sender::with(Connector::new(&SETTINGS, &egress, no_roots()));
    let to = receiver.target();
    let answering = async {
        let mut streams = Vec::new();
        for requests in [4, 1] {
            let (mut stream, _) = receiver.answer(OK).await;
            for _ in 1..requests {
                request(&mut stream).await;
                stream.write_all(OK).await.unwrap();
            }
            streams.push(stream);
        }
        streams
    };
    let posts = async {
        let mut reused = Vec::new();
        for _ in 0..5 {
            reused.push(post(&sender, &to).await.reused);
            pass(Duration::from_millis(2900)).await;
        }
        reused
    };
    // At 0 s, 2.9 s, 5.8 s and 8.7 s, after which it could be older than 10 s when it is needed.
    let (reused, _held) = tokio::join!(posts, answering);
    assert_eq!(reused, [false, true, true, true, false]);
}

#[tokio::test]
async fn a_lifetime_of_nothing_gives_each_request_a_connection_of_its_own() {
    let receiver = Receiver::new().await;
    let egress = egress("--egress-connection-lifetime=0s");
    let sender = Sender::with(Connector::new(&SETTINGS, &egress, no_roots()));
    let to = receiver.target();
    let posts = async { (post(&sender, &to).await, post(&sender, &to).await) };
    let answering = async { (receiver.answer(OK).await, receiver.answer(OK).await) };
    let ((first, second), _held) = tokio::join!(posts, answering);
    assert!(!first.reused && !second.reused);
}
