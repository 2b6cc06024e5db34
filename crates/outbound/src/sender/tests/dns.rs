//! A DNS server that changes its mind, and names that lead elsewhere each time they are looked up.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::*;
use crate::permission::{NotPermitted, Permission};
use crate::verdict::Verdict;

const TYPE_A: u8 = 1;

/// Answers any name; ends when it is dropped.
struct Dns {
    server: SocketAddr,
    /// How many look-ups there were.
    asked: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Dns {
    /// The first look-up gets the first of the answers, and so on; from then on the last.
    async fn new(answers: &'static [&'static [IpAddr]]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(socket, answers, asked.clone()));
        Self {
            server,
            asked,
            _serving: serving,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// A sender that asks it, and opens a connection for each attempt.
    fn sender(&self, allowed: &str) -> Sender {
        let flags = format!("--egress-allow={allowed} --egress-dns={}", self.server);
        Sender::with(Connector::new(&SETTINGS, &egress(&flags), no_roots())).unpooled()
    }
}

async fn serve(socket: UdpSocket, answers: &[&[IpAddr]], asked: Arc<AtomicUsize>) {
    let mut query = [0; 512];
    loop {
        let (length, client) = socket.recv_from(&mut query).await.unwrap();
        let question = question(&query[..length]);
        let addresses = if question[question.len() - 3] == TYPE_A {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            answers[number.min(answers.len() - 1)]
        } else {
            &[]
        };
        let answer = answer(&query[..2], question, addresses);
        socket.send_to(&answer, client).await.unwrap();
    }
}

/// The name, the type and the class (RFC 1035, section 4.1.2).
fn question(query: &[u8]) -> &[u8] {
    let mut end = 12;
    while query[end] != 0 {
        end += 1 + usize::from(query[end]);
    }
    &query[12..end + 5]
}

/// With a time to live of 0 s (RFC 1035, section 4.1).
fn answer(id: &[u8], question: &[u8], addresses: &[IpAddr]) -> Vec<u8> {
    let count = u8::try_from(addresses.len()).unwrap();
    let mut answer = [id, &[0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0], question].concat();
    for address in addresses {
        let IpAddr::V4(address) = address else {
            unreachable!("only A is answered");
        };
        answer.extend([0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}

const fn ip(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// This machine by another name: where receivers are, if it alone is allowed.
const GOOD: IpAddr = ip(127, 0, 0, 2);
const VICTIM: IpAddr = ip(127, 0, 0, 1);

/// A receiver at the good address, and on the same port a victim that must be left alone.
async fn receiver_and_victim() -> (Receiver, Receiver) {
    let receiver = Receiver::at(SocketAddr::from((GOOD, 0)), "rebinding.example").await;
    let port = receiver.listener.local_addr().unwrap().port();
    let victim = Receiver::at(SocketAddr::from((VICTIM, port)), "rebinding.example").await;
    (receiver, victim)
}

#[tokio::test]
async fn a_name_that_means_something_else_the_next_time_does_not_lead_there() {
    let dns = Dns::new(&[&[GOOD], &[VICTIM]]).await;
    let (receiver, victim) = receiver_and_victim().await;
    let (sender, to) = (dns.sender("127.0.0.2"), receiver.target());
    let (first, _) = tokio::join!(post(&sender, &to), receiver.answer(OK));
    assert_eq!(first.verdict, Verdict::Delivered, "{first:?}");
    for _ in 0..3 {
        let (next, left_alone) = tokio::join!(post(&sender, &to), victim.is_left_alone());
        assert_eq!(next.failure, Some(Failure::BlockedAddress));
        assert_eq!(next.verdict, Verdict::Retry { after: None });
        assert!(left_alone);
    }
}

#[tokio::test]
async fn nor_does_a_handshake() {
    let dns = Dns::new(&[&[GOOD], &[VICTIM]]).await;
    let (receiver, victim) = receiver_and_victim().await;
    let (sender, to) = (dns.sender("127.0.0.2"), receiver.target());
    let answering = async {
        let (stream, _) = receiver.listener.accept().await.unwrap();
        asked(stream, PERMITTED).await
    };
    let (first, asked) = tokio::join!(sender.ask(&to, None), answering);
    assert_eq!(first, Ok(Permission { rate: None }));
    assert!(asked.starts_with("options /hook "), "{asked}");
    let (next, left_alone) = tokio::join!(sender.ask(&to, None), victim.is_left_alone());
    assert_eq!(next, Err(NotPermitted::Failed(Failure::BlockedAddress)));
    assert!(left_alone);
}

#[tokio::test]
async fn a_name_is_looked_up_once_a_connection_so_that_nothing_changes_after_the_check() {
    let dns = Dns::new(&[&[GOOD], &[VICTIM], &[GOOD], &[VICTIM]]).await;
    let (receiver, victim) = receiver_and_victim().await;
    let (sender, to) = (dns.sender("127.0.0.2"), receiver.target());
    for number in 1..=4 {
        let answering = async {
            if number % 2 == 1 {
                receiver.answer(OK).await;
            }
        };
        let (attempt, ()) = tokio::join!(post(&sender, &to), answering);
        assert_eq!(attempt.verdict == Verdict::Delivered, number % 2 == 1);
        assert_eq!(dns.asked(), number);
    }
    assert!(victim.is_left_alone().await);
}

#[tokio::test]
async fn of_several_addresses_only_those_that_are_allowed_are_tried() {
    const MIXED: &[IpAddr] = &[VICTIM, ip(10, 0, 0, 1), GOOD, ip(169, 254, 169, 254)];
    let dns = Dns::new(&[MIXED]).await;
    let (receiver, victim) = receiver_and_victim().await;
    let (sender, to) = (dns.sender("127.0.0.2"), receiver.target());
    let (attempt, _) = tokio::join!(post(&sender, &to), receiver.answer(OK));
    assert_eq!(attempt.verdict, Verdict::Delivered, "{attempt:?}");
    assert_eq!(attempt.connection.unwrap().remote_addr.ip(), GOOD);
    assert!(victim.is_left_alone().await);
}

#[tokio::test]
async fn a_name_with_no_address_or_without_an_answer_is_a_failure_of_dns() {
    let dns = Dns::new(&[&[]]).await;
    let to = target("http://nowhere.example/", LONG);
    let attempt = post(&dns.sender(""), &to).await;
    assert_eq!(attempt.failure, Some(Failure::Dns));
}
