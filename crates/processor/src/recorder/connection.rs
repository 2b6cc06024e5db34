//! The recorder's connection to Postgres: it is kept from flush to flush, and no query of it is waited
//! for without end.

use std::time::Duration;

use common::probes::Pulse;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio::time::{Instant, timeout};

use super::transaction::Flush;

/// How long one transaction may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that was in use within so long is taken to live.
const FRESH: Duration = Duration::from_secs(1);

/// The pool asks whether a connection lives when it lends it, and again when it has it back: that would be
/// two of the seven round trips that a flush takes.
#[derive(Debug)]
pub struct Connection {
    pool: PgPool,
    kept: Option<(PoolConnection<Postgres>, Instant)>,
    pulse: Pulse,
}

impl Connection {
    /// One of the pool's, once it is needed.
    pub fn of(pool: PgPool, pulse: Pulse) -> Self {
        Self {
            pool,
            kept: None,
            pulse,
        }
    }

    /// Commits it: the partitions that have a new owner, where nothing was written.
    ///
    /// # Errors
    /// That Postgres fails or takes too long; whether it was committed then is not known.
    pub async fn commit(&mut self, flush: &Flush<'_>) -> anyhow::Result<Vec<i32>> {
        self.pulse.step_within("writing", TIMEOUT);
        Ok(timeout(TIMEOUT, self.write(flush)).await??)
    }

    /// Whether it was committed after all.
    ///
    /// # Errors
    /// That Postgres fails or takes too long.
    pub async fn was_committed(&self, flush: &Flush<'_>) -> anyhow::Result<bool> {
        self.pulse.step_within("writing", TIMEOUT);
        Ok(timeout(TIMEOUT, flush.was_committed(&self.pool)).await??)
    }

    async fn write(&mut self, flush: &Flush<'_>) -> sqlx::Result<Vec<i32>> {
        let mut connection = match self.kept.take() {
            Some((connection, used_at)) if used_at.elapsed() < FRESH => connection,
            _ => self.pool.acquire().await?,
        };
        let fenced = flush.commit(&mut connection).await?;
        self.kept = Some((connection, Instant::now()));
        Ok(fenced)
    }
}
