//! The API over a real Postgres, through its router: what each route does when it works, when
//! it is asked twice, and when it is asked for nonsense.

mod access;
mod client_certificates;
mod connections;
mod console;
mod dead_letters;
mod deliveries;
mod document;
mod door;
mod egress;
mod events;
mod headers;
mod instances;
mod live;
mod oauth2;
mod oidc;
mod outage;
mod pages;
mod policies;
mod recorded;
mod refusals;
mod replays;
mod secrets;
mod sessions;
mod statistics;
mod subscriptions;
mod support;
mod test_delivery;
mod timeline;
mod tls;
mod topic;
mod verification;
mod webhook_keys;
