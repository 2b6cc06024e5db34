//! The API over a real Postgres, through its router: what each route does when it works, when
//! it is asked twice, and when it is asked for nonsense.

mod access;
mod client_certificates;
mod dead_letters;
mod document;
mod egress;
mod headers;
mod outage;
mod pages;
mod policies;
mod refusals;
mod replays;
mod secrets;
mod subscriptions;
mod support;
mod test_delivery;
mod topic;
mod verification;
mod webhook_keys;
