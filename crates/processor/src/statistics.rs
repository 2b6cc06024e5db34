//! Counts what becomes of deliveries, for the statistics that `api` shows.
//!
//! ```text
//! recorder ──▶ tally (memory) ──▶ statistics_deltas ──▶ minutes ──▶ hours, days
//!                       flush, with outcomes      fold         roll up
//! ```
//! The recorder counts what it has committed, and every `STATISTICS_INTERVAL` writes what it has
//! counted as one row, in the transaction of the outcomes that come then. So the statistics miss
//! what was counted since, when a replica is killed, and nothing else; the record of attempts does
//! not. `folder` adds the rows to the minutes and removes them, in one transaction, and minutes to
//! hours and days likewise: each is counted once, whoever folds, and however often one is killed.
//!
//! A delivery is counted in the minute in which its count was written, by the database's clock, up to
//! `STATISTICS_INTERVAL` after it was settled. `tally`, `packed` and `merge` are pure.

pub mod folder;
pub mod merge;
pub mod packed;
pub mod tally;

pub use folder::{Folder, Settings};
pub use tally::Tally;

/// The longest name of a city that is counted by itself, in bytes.
pub const MAX_CITY_BYTES: usize = 200;
