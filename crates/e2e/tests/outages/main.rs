//! The promises of the pipeline while its servers are stopped and killed. What is done to them
//! is felt by everybody, so this is a program of its own, which Cargo runs after the others, and
//! its tests take turns.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

mod kafka;
mod postgres;
mod servers;
