//! A relay between a program and Postgres, whose connections can fall silent: open, and without an answer, as
//! when a firewall drops their packets.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A connection, as it is now.
#[derive(Debug, Default)]
struct Line {
    /// What the program said last, …
    said: Vec<u8>,
    /// … and whether something was answered since.
    is_answered: bool,
    is_silent: bool,
}

impl Line {
    fn hear(&mut self, said: &[u8]) {
        self.said = said.to_vec();
        self.is_answered = false;
    }
}

/// Those that there ever were.
type Lines = Arc<Mutex<Vec<Arc<Mutex<Line>>>>>;

/// Relays until it is dropped.
pub struct Relay {
    /// The database, by way of this.
    pub url: String,
    lines: Lines,
    // Ended with the relay.
    _relaying: JoinSet<()>,
}

impl Relay {
    /// A relay to the server of that URL.
    pub async fn to(database_url: &str) -> Self {
        let (rest, place) = database_url.split_once('@').unwrap();
        let (server, name) = place.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // In the clear, for what is said is read along.
        let url = format!("{rest}@{address}/{name}?sslmode=disable");
        let lines = Lines::default();
        let mut relaying = JoinSet::new();
        relaying.spawn(relay(listener, server.to_owned(), Arc::clone(&lines)));
        Self {
            url,
            lines,
            _relaying: relaying,
        }
    }

    /// Silences each connection on which the last that the program said ended with `last` and has been answered.
    /// How many there were.
    pub fn silence(&self, last: &[u8]) -> usize {
        let lines = self.lines.lock().unwrap();
        let mut silenced = 0;
        for line in &*lines {
            let mut line = line.lock().unwrap();
            if !line.is_silent && line.is_answered && line.said.ends_with(last) {
                line.is_silent = true;
                silenced += 1;
            }
        }
        silenced
    }
}

async fn relay(listener: TcpListener, server: String, lines: Lines) {
    let mut open = JoinSet::new();
    loop {
        let (program, _) = listener.accept().await.unwrap();
        let postgres = TcpStream::connect(&server).await.unwrap();
        let line = Arc::<Mutex<Line>>::default();
        lines.lock().unwrap().push(Arc::clone(&line));
        open.spawn(pass(program, postgres, line));
    }
}

/// Passes on what both say, until one ends or the line is silent and the program gives it up.
async fn pass(mut program: TcpStream, mut postgres: TcpStream, line: Arc<Mutex<Line>>) {
    let (mut said, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let (from_program, read) = tokio::select! {
            read = program.read(&mut said) => (true, read),
            read = postgres.read(&mut answered) => (false, read),
        };
        let Ok(length @ 1..) = read else { return };
        if line.lock().unwrap().is_silent {
            continue;
        }
        let passed = if from_program {
            line.lock().unwrap().hear(&said[..length]);
            postgres.write_all(&said[..length]).await
        } else {
            let passed = program.write_all(&answered[..length]).await;
            line.lock().unwrap().is_answered = true;
            passed
        };
        if passed.is_err() {
            return;
        }
    }
}
