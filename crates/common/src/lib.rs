//! What two or more of the services need, and nothing else: the event and its headers, the
//! tables they share, Kafka and Postgres connections, and how a service reads its settings, starts,
//! reports and stops.
//!
//! It imports no service.

pub mod attempt_log;
pub mod event;
pub mod filter;
pub mod human;
pub mod instance;
pub mod kafka;
pub mod lifecycle;
pub mod oauth2;
pub mod probes;
pub mod secrets;
pub mod settings;
pub mod statistics;
pub mod store;
pub mod telemetry;
pub mod topic;
