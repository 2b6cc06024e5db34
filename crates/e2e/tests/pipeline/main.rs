//! The promises of the pipeline, each as a test with the real programs.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

mod compaction;
mod faults;
mod identity;
mod memory;
mod misbehaviour;
mod offsets;
mod rebalance;
mod record;
mod signatures;
mod statistics;
mod system;
mod transaction;
mod unusual;
