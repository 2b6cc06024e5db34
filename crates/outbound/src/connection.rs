//! What is known of a connection, shared by all the attempts that use it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::ProtocolVersion;
use tokio::time::Instant;

/// A connection to a receiver, and how long each step to it took.
#[derive(Debug)]
pub struct Connection {
    /// The address it leads to.
    pub remote_addr: SocketAddr,
    /// Resolving the host's name; `None` for a host that is an address.
    pub dns: Option<Duration>,
    /// Connecting by TCP, addresses that failed before this one included.
    pub connect: Duration,
    /// `None` for plain HTTP.
    pub tls: Option<Tls>,
    opened_at: Instant,
    taken: AtomicBool,
    answering: AtomicBool,
}

/// What a TLS handshake agreed on.
#[derive(Debug)]
pub struct Tls {
    /// How long it took.
    pub handshake: Duration,
    /// As `TLSv1_3`.
    pub version: Option<ProtocolVersion>,
    /// When the receiver's certificate ends to be valid.
    pub not_after: Option<DateTime<Utc>>,
}

impl Tls {
    /// As `TLS 1.3`.
    pub fn version_name(&self) -> Option<&'static str> {
        match self.version? {
            ProtocolVersion::TLSv1_2 => Some("TLS 1.2"),
            ProtocolVersion::TLSv1_3 => Some("TLS 1.3"),
            other => other.as_str(),
        }
    }

    /// For how many days more the certificate is valid; fewer than none: it is not any more.
    pub fn certificate_days(&self, now: DateTime<Utc>) -> Option<i64> {
        Some((self.not_after? - now).num_days())
    }
}

impl Connection {
    /// One that is open from now on.
    pub(crate) fn new(
        remote_addr: SocketAddr,
        dns: Option<Duration>,
        connect: Duration,
        tls: Option<Tls>,
    ) -> Self {
        Self {
            remote_addr,
            dns,
            connect,
            tls,
            opened_at: Instant::now(),
            taken: AtomicBool::new(false),
            answering: AtomicBool::new(false),
        }
    }

    /// Takes it for an attempt that began at `started_at`. Whether it was there before: used, or
    /// opened for another and then not needed.
    pub(crate) fn take(&self, started_at: Instant) -> bool {
        self.taken.swap(true, Ordering::Relaxed) || self.opened_at < started_at
    }

    /// How long it has been open.
    pub(crate) fn age(&self) -> Duration {
        self.opened_at.elapsed()
    }

    /// Bytes are being written, or cannot be any more: what is read from now on is the answer.
    pub(crate) fn writing(&self) {
        self.answering.store(false, Ordering::Relaxed);
    }

    /// Bytes were read.
    pub(crate) fn heard(&self) {
        self.answering.store(true, Ordering::Relaxed);
    }

    /// Whether a byte of the answer to what was last written has come.
    pub(crate) fn answering(&self) -> bool {
        self.answering.load(Ordering::Relaxed)
    }
}
