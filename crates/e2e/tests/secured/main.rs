//! What is secret stays so: connections to Kafka and Postgres are what the settings say, refused ones
//! say why, and nothing that a program says shows a secret.

#![allow(
    clippy::unwrap_used,
    reason = "a test panics where something is not as it should be"
)]

mod kafka;
mod postgres;
mod scrub;
