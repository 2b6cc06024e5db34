//! The recorder's connection to Postgres: it is kept from flush to flush, and nothing that it does is waited
//! for without end.

use std::time::Duration;

use anyhow::Context;
use common::probes::Pulse;
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use tokio::time::{Instant, timeout};

use super::transaction::Flush;

/// How long a connection may take to begin; one that does not answer by then is taken to be dead.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// To find out that one is dead, to have another of the pool, and to begin there.
const BEGINNING: Duration = Duration::from_secs(9);

/// How long one transaction may take after that.
const TIMEOUT: Duration = Duration::from_secs(30);

/// After how long it is given back and not used again, so that the pool can close it and open others: elsewhere,
/// if a name has come to mean another server.
const KEPT_FOR: Duration = Duration::from_mins(5);

/// The pool asks whether a connection lives when it lends it, and again when it has it back: that would be
/// two of the seven round trips that a flush takes. Here beginning is what asks.
#[derive(Debug)]
pub struct Connection {
    pool: PgPool,
    /// And since when.
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
        self.pulse.step_within("beginning to write", BEGINNING);
        let kept = self.kept.take();
        if let Some((mut connection, since)) = kept.filter(|(_, since)| since.elapsed() < KEPT_FOR)
        {
            match self.try_on(&mut connection, flush).await {
                Ok(committed) => return self.end(connection, since, committed),
                // Nothing of the flush was sent: as if it had not been kept.
                Err(error) => tracing::info!(
                    error = format!("{error:#}"),
                    "the connection for outcomes is gone; taking another"
                ),
            }
            connection.close_on_drop();
        }
        let mut connection = self.pool.acquire().await?;
        let tried = self.try_on(&mut connection, flush).await;
        self.end(connection, Instant::now(), tried.flatten())
    }

    /// Whether it was committed after all.
    ///
    /// # Errors
    /// That Postgres fails or takes too long.
    pub async fn was_committed(&self, flush: &Flush<'_>) -> anyhow::Result<bool> {
        self.pulse.step_within("asking what was written", TIMEOUT);
        Ok(timeout(TIMEOUT, flush.was_committed(&self.pool)).await??)
    }

    /// What came of it, if it could begin.
    async fn try_on(
        &self,
        connection: &mut PgConnection,
        flush: &Flush<'_>,
    ) -> anyhow::Result<anyhow::Result<Vec<i32>>> {
        let beginning = timeout(ANSWER_TIMEOUT, connection.begin()).await;
        let transaction = beginning
            .context("there is no answer")
            .and_then(|begun| Ok(begun?))
            .context("beginning")?;
        self.pulse.step_within("writing", TIMEOUT);
        let committed = timeout(TIMEOUT, flush.commit(transaction)).await;
        Ok(committed
            .context("writing takes too long")
            .and_then(|written| Ok(written?)))
    }

    /// Keeps the connection, if all went well. One that failed is not the pool's to lend: it may not answer, and
    /// what was begun there may be under way.
    fn end(
        &mut self,
        mut connection: PoolConnection<Postgres>,
        since: Instant,
        committed: anyhow::Result<Vec<i32>>,
    ) -> anyhow::Result<Vec<i32>> {
        if committed.is_err() {
            connection.close_on_drop();
        } else {
            self.kept = Some((connection, since));
        }
        committed
    }
}
