//! Which class of failure an error of the HTTP client is. What caused it is one step away, and is
//! either the connector's own error or hyper's.

use std::error::Error;

use hyper_util::client::legacy;

use crate::connector;
use crate::verdict::Failure;

/// The class of an error.
pub fn of(error: &legacy::Error) -> Failure {
    let Some(source) = error.source() else {
        return Failure::InvalidRequest;
    };
    if let Some(connecting) = source.downcast_ref::<connector::Error>() {
        connecting.failure()
    } else if source.downcast_ref().is_some_and(hyper::Error::is_parse) {
        Failure::Protocol
    } else {
        Failure::Reset
    }
}
