//! The tables that only the processor writes: one table, one file, all its SQL; and what it counts of
//! all of them.

#![allow(
    clippy::missing_errors_doc,
    reason = "each returns the database's error and no other"
)]

pub mod operations;
pub mod progress;
pub mod settled_ahead;
pub mod statistics_deltas;
pub mod statistics_minutes;
pub mod totals;

/// The one shard there is, until a fan-out is split by subscription over replicas.
pub const SHARD: i16 = 0;
