//! Why no connection was opened.

use std::io;

use rustls::pki_types::InvalidDnsNameError;

use crate::egress::{ProxyError, Refused};
use crate::identity;
use crate::verdict::Failure;

/// The step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules of this process forbid it.
    #[error("the connection is not allowed")]
    Blocked(#[from] Refused),
    /// The name has no address, or the resolver does not answer.
    #[error("the name could not be resolved")]
    NotResolved(#[source] io::Error),
    /// Neither a connection nor a refusal, in the time there is for it.
    #[error("no connection was opened in time")]
    TimedOut,
    /// No address could be connected to.
    #[error("no address could be connected to")]
    Connect(#[source] io::Error),
    /// The proxy opens no connection.
    #[error("the proxy opened no connection")]
    Proxy(#[source] ProxyError),
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
            Self::Blocked(_) => Failure::BlockedAddress,
            Self::NotResolved(_) => Failure::Dns,
            Self::TimedOut => Failure::ConnectTimeout,
            Self::Connect(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Failure::ConnectRefused,
                io::ErrorKind::TimedOut => Failure::ConnectTimeout,
                _ => Failure::Connect,
            },
            Self::Proxy(ProxyError::Unusable(_)) => Failure::Proxy,
            Self::Proxy(ProxyError::Refused(_)) => Failure::Connect,
            Self::Tls(error) if identity::is_refused(error) => Failure::ClientCertificate,
            Self::NoServerName(_) | Self::Tls(_) => Failure::Tls,
        }
    }
}
