//! Deliveries with tokens (RFC 6749, section 4.4), held against an authorization server that others
//! wrote: the sender by itself, and the whole system.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

mod outage;
mod protected;
mod sender;
