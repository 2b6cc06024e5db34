//! One POST to somebody's endpoint, and what it means.
//!
//! A [`Target`] says where and with which headers, an [`Outgoing`] what; [`Sender::attempt`] makes
//! of them an [`Attempt`], within one deadline and whatever the receiver does. A receiver's failure
//! is a [`Verdict`], never an error. Where it may go is ruled by [`Egress`]. Retries, rates and breakers are the business of the callers.

mod attempt;
mod carried;
mod certificate;
mod connection;
mod connector;
mod control;
mod egress;
mod identity;
pub mod oauth2;
mod outgoing;
mod payload;
mod permission;
mod redaction;
mod resolver;
mod sender;
mod shown;
mod subscribed;
mod target;
mod trust;
pub mod verdict;

pub use attempt::{Attempt, Content, Phases};
pub use certificate::Certificate;
pub use connection::{Connection, Tls};
pub use control::{Control, MAX_PAUSE, WEBHOOK_DELIVERY};
pub use egress::{Egress, EgressArgs, Networks, Ports, Refused};
pub use identity::{ClientIdentity, InvalidIdentity};
pub use outgoing::{Outgoing, WEBHOOK_REPLAY};
pub use permission::{Lack, NotPermitted, Permission};
pub use sender::{RESPONSE_LIMIT, Sender};
pub use shown::HEADERS_LIMIT;
pub use target::{InvalidTarget, Target, WEBHOOK_REQUEST_ORIGIN, WEBHOOK_TEST};
pub use verdict::{Failure, Verdict};
