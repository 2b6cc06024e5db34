//! Connections, as raw sockets see them: what is too large, too slow, or too many.

use std::net::SocketAddr;
use std::time::Duration;

use api::{DoorArgs, Log, Server, ServerArgs, tls::Tls};
use clap::{Args, FromArgMatches};
use common::probes;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{LONG, api_behind, kafka};

/// How long what is limited in these tests may take.
const SHORT: Duration = Duration::from_millis(300);

/// A server that runs. Dropping it ends it.
pub struct Running {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub tasks: JoinSet<anyhow::Result<()>>,
}

/// Settings as where nothing is set, but for those flags.
pub fn settings(flags: &[&str]) -> ServerArgs {
    let command = ServerArgs::augment_args(clap::Command::new("server"));
    let flags = std::iter::once(&"server").chain(flags);
    let matches = command.get_matches_from(flags);
    ServerArgs::from_arg_matches(&matches).expect("settings")
}

/// A database that nobody asks.
fn unused() -> PgPool {
    let options = PgPoolOptions::new();
    let url = "postgres://nobody@localhost/none";
    options.connect_lazy(url).expect("a URL")
}

/// Serves the API over a socket.
pub async fn serve(args: &ServerArgs, door: &DoorArgs, tls: Option<Tls>) -> Running {
    let log = Log::new(&kafka("updates"));
    let routes = api_behind(unused(), log, api::Access::Off, door).router;
    let listener = probes::bind(([127, 0, 0, 1], 0).into())
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(Server::new(listener, routes, args, tls).run(stop.clone()));
    Running {
        address,
        stop,
        tasks,
    }
}

async fn with(flags: &[&str]) -> Running {
    serve(&settings(flags), &DoorArgs::default(), None).await
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// What is answered to that, until the server has nothing more to say.
    async fn answer(&self, request: &str) -> String {
        let mut socket = self.connect().await;
        // It may end the connection before it has read all.
        socket.write_all(request.as_bytes()).await.ok();
        read(&mut socket).await
    }
}

async fn read(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(LONG, socket.read_to_end(&mut answer)).await;
    read.expect("it ends").ok();
    String::from_utf8(answer).expect("text")
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n")
}

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or_default()
}

#[tokio::test]
async fn a_head_has_a_size_and_a_number_of_headers_and_a_line_of_its_own_size() {
    let server = with(&["--max-head-bytes=4096", "--max-headers=20"]).await;
    let many = |count: usize| get("/livez", &"A: b\r\n".repeat(count));
    assert_eq!(status(&server.answer(&many(18)).await), "200");
    assert_eq!(status(&server.answer(&many(19)).await), "431");
    let large = |size: usize| get("/livez", &format!("A: {}\r\n", "b".repeat(size)));
    assert_eq!(status(&server.answer(&large(3_900)).await), "200");
    assert_eq!(status(&server.answer(&large(4_100)).await), "431");
    assert_eq!(status(&server.answer(&large(5_000_000)).await), "431");
    let line = |length: usize| get(&format!("/livez?{}", "a".repeat(length)), "");
    assert_eq!(status(&server.answer(&line(5_000)).await), "431");
    let server = with(&["--max-head-bytes=100000"]).await;
    assert_eq!(status(&server.answer(&line(8_185)).await), "200");
    assert_eq!(status(&server.answer(&line(8_187)).await), "414");
    assert_eq!(status(&server.answer(&line(70_000)).await), "414");
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_does_no_harm() {
    let server = with(&[]).await;
    for (request, expected) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nA b\r\n\r\n", "400"),
        ("GET / HTTP/9.9\r\n\r\n", "400"),
        // Two lengths, or a length and chunks, are how requests are smuggled (RFC 9112, section 6.3).
        (
            "POST /dlqs HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            "400",
        ),
        (
            "POST /dlqs HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "400",
        ),
        (
            "POST /dlqs HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n",
            "400",
        ),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n", "400"),
    ] {
        assert_eq!(status(&server.answer(request).await), expected, "{request}");
    }
    assert_eq!(status(&server.answer(&get("/livez", "")).await), "200");
}

#[tokio::test]
async fn who_sends_a_head_too_slowly_is_hung_up_on() {
    let server = with(&["--head-timeout=300ms"]).await;
    let mut silent = server.connect().await;
    assert_eq!(read(&mut silent).await, "");
    // One header after the other never makes a whole head.
    let mut slow = server.connect().await;
    slow.write_all(b"GET /livez HTTP/1.1\r\n")
        .await
        .expect("it listens");
    let (mut from, mut to) = slow.split();
    let dripping = async {
        while to.write_all(b"A: b\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let mut nothing = Vec::new();
    let ended = async {
        tokio::select! {
            read = from.read_to_end(&mut nothing) => drop(read),
            () = dripping => {}
        }
    };
    timeout(LONG, ended).await.expect("it is hung up");
    // Nor does a connection stay that has been used once.
    let mut used = server.connect().await;
    let request = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    used.write_all(request.as_bytes()).await.expect("sent");
    assert_eq!(status(&read(&mut used).await), "200");
}

#[tokio::test]
async fn who_sends_a_body_too_slowly_is_told_so() {
    let door = DoorArgs {
        body_timeout: SHORT,
        ..DoorArgs::default()
    };
    let server = serve(&settings(&[]), &door, None).await;
    let head = "POST /dlqs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    let answer = server.answer(head).await;
    assert_eq!(status(&answer), "408");
    assert!(answer.contains("slow_body"), "{answer}");
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_read_to_its_end() {
    let server = with(&[]).await;
    let mut socket = server.connect().await;
    let head = "POST /dlqs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    socket.write_all(head.as_bytes()).await.expect("sent");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let (mut from, mut to) = socket.split();
    let sending = async {
        let mut sent = 0;
        while sent < 200 && to.write_all(chunk.as_bytes()).await.is_ok() {
            sent += 1;
        }
        sent
    };
    let mut answer = [0; 12];
    let (sent, read) = tokio::join!(sending, from.read_exact(&mut answer));
    assert!(sent < 200, "more than 12 MiB were taken");
    read.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn who_does_not_read_its_answers_is_hung_up_on() {
    let server = with(&["--write-timeout=300ms"]).await;
    let mut socket = server.connect().await;
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n";
    // Enough of them fill every buffer between here and there, and then nothing is taken.
    let asking = async { while socket.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(LONG, asking).await.expect("it is hung up");
}

#[tokio::test]
async fn beyond_the_number_of_connections_the_next_waits_for_its_turn() {
    let server = with(&["--max-connections=2"]).await;
    let mut held = vec![server.connect().await, server.connect().await];
    for socket in &mut held {
        let request = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
        socket.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    let request = get("/livez", "");
    let waiting = server.answer(&request);
    tokio::pin!(waiting);
    // It has been sent by then, and nothing comes of it.
    assert!(timeout(SHORT, &mut waiting).await.is_err());
    drop(held.pop());
    let answer = timeout(LONG, waiting).await.expect("its turn came");
    assert_eq!(status(&answer), "200");
}

#[tokio::test]
async fn a_stop_lets_a_request_end_and_hangs_up_on_who_waits() {
    let mut server = with(&[]).await;
    let mut idle = server.connect().await;
    let request = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    idle.write_all(request.as_bytes()).await.expect("sent");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("an answer");
    let mut busy = server.connect().await;
    let head = "POST /dlqs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    busy.write_all(head.as_bytes()).await.expect("sent");
    // It is asked for the body, so it is under way.
    let mut asked = [0; 25];
    busy.read_exact(&mut asked).await.expect("100 Continue");

    server.stop.cancel();
    read(&mut idle).await;
    busy.write_all(b"{}").await.expect("it still listens");
    assert_eq!(status(&read(&mut busy).await), "422");
    let ended = timeout(LONG, server.tasks.join_next()).await;
    let ended = ended.expect("it ends").expect("a task");
    ended.expect("no panic").expect("no error");
    assert!(TcpStream::connect(server.address).await.is_err());
}
