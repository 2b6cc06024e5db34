//! Which class of failure an error of the HTTP client is. What caused it is one step away, and is
//! either the connector's own error or hyper's.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;

use crate::connector;
use crate::identity;
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
    } else if source.source().is_some_and(is_about_us) {
        Failure::ClientCertificate
    } else {
        Failure::Reset
    }
}

/// Since TLS 1.3 a receiver looks at our certificate when the handshake is over for us already.
fn is_about_us(error: &(dyn Error + 'static)) -> bool {
    let broken: Option<&io::Error> = error.downcast_ref();
    broken.is_some_and(identity::is_refused)
}
