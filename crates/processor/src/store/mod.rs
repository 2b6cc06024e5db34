//! The tables that only the processor writes: one table, one file, all its SQL.

#![allow(
    clippy::missing_errors_doc,
    reason = "each returns the database's error and no other"
)]

pub mod attempts;
pub mod operations;
pub mod progress;
pub mod settled_ahead;
pub mod statistics_deltas;
pub mod statistics_minutes;

/// The one shard there is, until a fan-out is split by subscription over replicas.
pub const SHARD: i16 = 0;
