//! What is looked at every so often: of the processor by `/proc`, of the rest by asking Postgres.

use std::fmt;

use serde::Serialize;

use crate::load::Load;
use crate::processes;
use crate::stage::Stage;

/// Postgres counts these by itself; what it tells of them is a second old, or two.
const DEAD_TUPLES: &str = "SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables";
const LIVE_TUPLES: &str = "SELECT sum(n_live_tup)::bigint FROM pg_stat_user_tables";
const RECORDED: &str = "SELECT COALESCE(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables
    WHERE relid IN (SELECT relid FROM pg_partition_tree('attempts'))";

/// With indexes, and without the write-ahead log.
const TABLE_BYTES: &str =
    "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_stat_user_tables";
const DATABASE_BYTES: &str = "SELECT pg_database_size(current_database())";

const PENDING: &str = "SELECT count(*) FROM pending_deliveries";
const PASSED: &str = "SELECT COALESCE(sum(next_offset), 0)::bigint FROM progress
    WHERE topic <> 'operations'";

const MB: f64 = 1e6;

/// What was there at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// When, in seconds since the beginning.
    pub seconds: f64,
    /// What was resident in the processor, in bytes.
    pub memory_bytes: u64,
    /// Its open files, sockets among them, …
    pub open_files: u64,
    /// … and its threads.
    pub threads: u64,
    /// Rows that are dead and take room until they are vacuumed, over all tables, …
    pub dead_tuples: i64,
    /// … and those that are not.
    pub live_tuples: i64,
    /// What all tables take, with their indexes, …
    pub table_bytes: i64,
    /// … and what the database does.
    pub database_bytes: i64,
    /// Rows that were added to the record of attempts so far.
    pub recorded: i64,
    /// Deliveries that waited for their time.
    pub pending: i64,
    /// Events that the broker had and the processor had not settled.
    pub lag: i64,
    /// Different events that had arrived at healthy receivers.
    pub arrived: usize,
}

impl Sample {
    /// The line above those of samples.
    pub const HEAD: &str = "   after  memory MB  files  threads  dead tuples  live tuples  \
                            bytes/row  database MB  recorded  pending    lag   arrived";

    /// What a row of the record of attempts takes, and all else with it, in bytes.
    #[allow(clippy::cast_precision_loss, reason = "they are far below 2^53")]
    pub fn bytes_per_row(&self) -> f64 {
        self.table_bytes as f64 / self.recorded.max(1) as f64
    }
}

impl fmt::Display for Sample {
    #[allow(clippy::cast_precision_loss, reason = "they are far below 2^53")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6.0} s  {:>9.1}  {:>5}  {:>7}  {:>11}  {:>11}  {:>9.1}  {:>11.1}  {:>8}  {:>7}  {:>5}  {:>8}",
            self.seconds,
            self.memory_bytes as f64 / MB,
            self.open_files,
            self.threads,
            self.dead_tuples,
            self.live_tuples,
            self.bytes_per_row(),
            self.database_bytes as f64 / MB,
            self.recorded,
            self.pending,
            self.lag,
            self.arrived,
        )
    }
}

/// What it takes to look.
pub struct Look<'a> {
    /// The database.
    pub stage: &'a Stage,
    /// The events.
    pub load: &'a Load,
}

impl Look<'_> {
    /// What is there, after so many seconds, when so many events have arrived.
    ///
    /// # Errors
    /// That the processor is gone, or Postgres refuses.
    pub async fn now(&self, seconds: f64, pid: u32, arrived: usize) -> anyhow::Result<Sample> {
        let stage = self.stage;
        let passed = stage.count(PASSED).await?;
        Ok(Sample {
            seconds,
            memory_bytes: processes::resident_memory(pid)?,
            open_files: processes::open_files(pid)?,
            threads: processes::threads(pid)?,
            dead_tuples: stage.count(DEAD_TUPLES).await?,
            live_tuples: stage.count(LIVE_TUPLES).await?,
            table_bytes: stage.count(TABLE_BYTES).await?,
            database_bytes: stage.count(DATABASE_BYTES).await?,
            recorded: stage.count(RECORDED).await?,
            pending: stage.count(PENDING).await?,
            lag: i64::try_from(self.load.taken())? - passed,
            arrived,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_below_its_head() {
        let line = Sample::default().to_string();
        assert_eq!(line.chars().count(), Sample::HEAD.chars().count());
    }

    #[test]
    fn a_row_costs_what_all_tables_take() {
        let sample = Sample {
            table_bytes: 900,
            recorded: 3,
            ..Sample::default()
        };
        assert!((sample.bytes_per_row() - 300.0).abs() < 1e-9);
    }
}
