//! Tests of the whole system: the real programs against the real Kafka and Postgres, killed while
//! load runs. Here is what they stand on; the claims are in `tests/`: `pipeline` leaves the servers
//! alone, `outages` stops and kills them, one test at a time.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    missing_docs,
    reason = "all of it is for tests, which panic where something is not as it should be"
)]

pub mod authorization_server;
pub mod broker;
pub mod collector;
pub mod held;
pub mod load;
pub mod log;
pub mod program;
pub mod receiver;
pub mod relay;
pub mod stage;
