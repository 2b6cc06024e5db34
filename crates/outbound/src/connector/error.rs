//! Why no connection was opened.

use std::io;

use rustls::pki_types::InvalidDnsNameError;

use crate::verdict::Failure;

/// The step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name has no address, or the resolver does not answer.
    #[error("the name could not be resolved")]
    NotResolved(#[source] io::Error),
    /// Neither a connection nor a refusal, in the time there is for it.
    #[error("no connection was opened in time")]
    TimedOut,
    /// No address could be connected to.
    #[error("no address could be connected to")]
    Connect(#[source] io::Error),
    /// The host's name can be in no certificate.
    #[error("the name can be in no certificate")]
    NoServerName(#[source] InvalidDnsNameError),
    /// The handshake failed: what answers has no good certificate, or speaks no TLS.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
}

impl Error {
    /// Its class.
    pub fn failure(&self) -> Failure {
        match self {
            Self::NotResolved(_) => Failure::Dns,
            Self::TimedOut => Failure::ConnectTimeout,
            Self::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Failure::ConnectRefused,
                io::ErrorKind::TimedOut => Failure::ConnectTimeout,
                _ => Failure::Connect,
            },
            Self::NoServerName(_) | Self::Tls(_) => Failure::Tls,
        }
    }
}
