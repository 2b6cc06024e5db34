//! Which class of failure an error of the HTTP client is.
//!
//! The client tells little itself, so the chain of its sources is searched for what does.

use std::error::Error;
use std::io;

use super::resolver::NotResolved;
use crate::verdict::Failure;

/// The class of an error.
pub fn of(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        Failure::InvalidRequest
    } else if error.is_connect() {
        of_connecting(error)
    } else if let Some(hyper) = found::<hyper::Error>(error) {
        of_exchanging(hyper)
    } else {
        Failure::Reset
    }
}

/// Whether the receiver closed the connection instead of answering: what an idle connection does
/// that it had closed before.
pub fn ended_before_the_response(error: &reqwest::Error) -> bool {
    !error.is_connect()
        && found::<hyper::Error>(error)
            .is_some_and(|hyper| hyper.is_incomplete_message() || hyper.is_canceled())
}

fn of_connecting(error: &reqwest::Error) -> Failure {
    let kind = found::<io::Error>(error).map(io::Error::kind);
    if found::<NotResolved>(error).is_some() {
        Failure::Dns
    } else if found::<rustls::Error>(error).is_some() {
        Failure::Tls
    } else if error.is_timeout() || kind == Some(io::ErrorKind::TimedOut) {
        Failure::ConnectTimeout
    } else if kind == Some(io::ErrorKind::ConnectionRefused) {
        Failure::ConnectRefused
    } else {
        Failure::Connect
    }
}

fn of_exchanging(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::Protocol
    } else {
        Failure::Reset
    }
}

/// The first of that type among the sources. What an I/O error wraps is one of them, though
/// `source` steps over it.
fn found<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        source = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}
