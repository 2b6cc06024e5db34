//! By way of a proxy, which is a bare socket like the receivers.

use super::tls::Authority;
use super::*;
use crate::verdict::Verdict;

/// A sender that goes through the proxy at that address, and allows this machine.
fn through(proxy: &Receiver, flags: &str, roots: RootCertStore) -> Sender {
    let address = proxy.listener.local_addr().unwrap();
    let egress = egress(&format!("--egress-proxy=http://{address} {flags}"));
    Sender::with(Connector::new(&SETTINGS, &egress, tls(roots)))
}

/// Takes a connection at the proxy, reads what it asks for, and answers with those bytes.
async fn connect(proxy: &Receiver, answer: &[u8]) -> (TcpStream, String) {
    let (mut stream, _) = proxy.listener.accept().await.unwrap();
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
    }
    stream.write_all(answer).await.unwrap();
    (stream, String::from_utf8(asked).unwrap())
}

const OPEN: &[u8] = b"HTTP/1.1 200 Connection established\r\nvia: 1.1 proxy\r\n\r\n";

#[tokio::test]
async fn plain_http_goes_through_the_proxy_by_connect_to_the_address_that_was_checked() {
    let proxy = Receiver::new().await;
    let sender = through(&proxy, "", RootCertStore::empty());
    let relay = async {
        let (mut stream, asked) = connect(&proxy, OPEN).await;
        let posted = request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        (asked, posted, stream)
    };
    let to = target("http://localhost:9/hook", LONG);
    let (attempt, (asked, posted, _held)) = tokio::join!(post(&sender, &to), relay);
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    assert!(
        ["127.0.0.1:9", "[::1]:9"]
            .iter()
            .any(|to| asked == format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")),
        "{asked}"
    );
    assert!(posted.starts_with("post /hook http/1.1\r\n"), "{posted}");
    assert!(posted.contains("host: localhost:9\r\n"), "{posted}");
}

#[tokio::test]
async fn https_goes_through_the_proxy_and_is_verified_by_the_name() {
    let authority = Authority::new();
    let acceptor = authority.receiver("localhost", 2099);
    let proxy = Receiver::new().await;
    let sender = through(&proxy, "", authority.roots());
    let relay = async {
        let (stream, _) = connect(&proxy, OPEN).await;
        let mut stream = acceptor.accept(stream).await.unwrap();
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        stream
    };
    let to = target("https://localhost:9/", LONG);
    let (attempt, _held) = tokio::join!(post(&sender, &to), relay);
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
}

#[tokio::test]
async fn what_may_not_be_connected_to_is_not_asked_of_the_proxy_either() {
    let proxy = Receiver::new().await;
    let sender = through(&proxy, "--egress-allow=127.0.0.2", RootCertStore::empty());
    for url in [
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://localhost/",
    ] {
        let failure = post(&sender, &target(url, LONG)).await.failure;
        assert_eq!(failure, Some(Failure::BlockedAddress), "{url}");
    }
    assert!(proxy.is_left_alone().await);
}

#[tokio::test]
async fn a_proxy_that_does_not_open_the_connection_has_its_class() {
    let endless = [b'x'; 10_000];
    for (answer, failure) in [
        (&b"HTTP/1.1 403 Forbidden\r\n\r\n"[..], Failure::Connect),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Failure::Connect),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Failure::Proxy),
        (b"HTTP/1.1 200 OK\r\n", Failure::Proxy),
        (&endless, Failure::Proxy),
    ] {
        let proxy = Receiver::new().await;
        let sender = through(&proxy, "", RootCertStore::empty());
        let to = target("http://127.0.0.1:9/", LONG);
        let (attempt, ()) = tokio::join!(post(&sender, &to), async {
            drop(connect(&proxy, answer).await);
        });
        assert_eq!(attempt.failure, Some(failure), "{answer:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_hangs_ends_the_attempt() {
    let proxy = Receiver::new().await;
    let sender = through(&proxy, "", RootCertStore::empty());
    let to = target("http://127.0.0.1:9/", SHORT);
    let (attempt, _held) = tokio::join!(post(&sender, &to), proxy.listener.accept());
    assert_eq!(attempt.failure, Some(Failure::ConnectTimeout));
    drop(proxy);
    let attempt = post(&sender, &target("http://127.0.0.1:9/", LONG)).await;
    assert_eq!(attempt.failure, Some(Failure::Proxy));
}
