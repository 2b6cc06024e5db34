//! Receivers that answer as none should.

use std::time::Duration;

use e2e::receiver::{ELSEWHERE, Receiver};
use e2e::stage::{Stage, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const EVENTS: usize = 50;

/// The pause between two bytes of a response without end.
const DRIP: Duration = Duration::from_millis(20);

/// A receiver whose every response goes on for ever, byte by byte; its URL.
async fn dripping(server: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    server.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(drip(stream));
        }
    });
    url
}

/// Answers one request until the sender has had enough.
async fn drip(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let asked = stream.read(&mut request).await?;
    assert_ne!(asked, 0);
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(DRIP).await;
    }
}

#[tokio::test]
async fn a_response_without_end_is_a_delivery_and_holds_up_nobody_else() {
    let (stage, well) = (Stage::new().await, Receiver::new().await);
    let mut server = JoinSet::new();
    let url = dripping(&mut server).await;
    stage.subscribe("drips", &url).await;
    stage.subscribe("well", &format!("{}/a", well.url)).await;
    let _processor = stage.processor(&[("ATTEMPT_TIMEOUT", "500ms")]);
    stage.system(EVENTS, 1000).ended().await;
    until("the other gets all", async || well.distinct("a") == EVENTS).await;
    until("all are delivered once", async || {
        let delivered = stage.count("SELECT count(*) FROM attempts WHERE outcome = 'delivered'");
        usize::try_from(delivered.await).unwrap() == 2 * EVENTS
    })
    .await;
    let failed = stage.count("SELECT count(*) FROM attempts WHERE failure IS NOT NULL");
    assert_eq!(failed.await, 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed_but_tried_again() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    stage
        .subscribe("moved", &format!("{}/a", receiver.url))
        .await;
    receiver.answer(307);
    let settings = [
        ("RETRY_SCHEDULE", "1s,1s,1s,1s,1s,1s,1s,1s"),
        ("PENDING_POLL", "100ms"),
    ];
    let _processor = stage.processor(&settings);
    stage.system(1, 1000).ended().await;
    until("it was tried twice", async || {
        let redirected =
            "SELECT count(*) FROM attempts WHERE status = 307 AND failure = 'redirect'";
        stage.count(redirected).await >= 2
    })
    .await;
    receiver.answer(200);
    until("it arrives", async || receiver.distinct("a") == 1).await;
    assert_eq!(receiver.distinct(ELSEWHERE), 0);
}
