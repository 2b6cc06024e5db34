//! Consumes temperature events from Kafka and delivers each to everyone who wants it.
//!
//! Here is the pure core of the engine: what an event is, who wants it, whose turn it is, what an
//! attempt means, when it is tried again, and how far a partition is settled. Nothing in it does
//! I/O, so that each rule is tested without a broker, a database or a clock.

#![allow(
    missing_docs,
    reason = "internal to one service: names say it, heads of files say why"
)]

pub mod budget;
pub mod config;
pub mod delivery;
pub mod event;
pub mod fan_out;
pub mod lanes;
pub mod observe;
pub mod recorder;
pub mod retry;
pub mod sender;
pub mod store;
pub mod subscription;
pub mod verdict;
pub mod watermark;
