//! Consumes temperature events from Kafka and delivers each to everyone who wants it.
//!
//! The pure core says what an event is, who wants it, whose turn it is, when it is tried again, and
//! how far a partition is settled: `event`, `fan_out`, `lanes`, `retry`, `watermark`. Around it the
//! consumer reads the topic, the engine decides, the sender of the crate `outbound` attempts, the
//! recorder makes durable, and the claimer brings back what is due.

#![allow(
    missing_docs,
    reason = "internal to one service: names say it, heads of files say why"
)]

pub mod blocked;
pub mod breaker;
pub mod bucket;
pub mod budget;
pub mod config;
pub mod consumer;
pub mod delivery;
pub mod engine;
pub mod event;
pub mod fan_out;
pub mod filtered;
pub mod follower;
pub mod lanes;
pub mod maintenance;
pub mod meters;
pub mod observe;
pub mod open_files;
pub mod operations;
pub mod pace;
pub mod pending;
pub mod pipeline;
pub mod policy;
pub mod prober;
pub mod reader;
pub mod recorder;
pub mod retention;
pub mod retry;
pub mod service;
mod spans;
pub mod statistics;
pub mod store;
pub mod stretches;
pub mod subscription;
pub mod watermark;
