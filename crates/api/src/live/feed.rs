//! Reads the record once for all who listen, while somebody does.

use std::sync::Arc;
use std::time::Duration;

use common::store::attempts::live::{self, Count, Filter, Range, Row, Share};
use sqlx::PgPool;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Live;

/// How many rows of one look are told; of more, evenly so many.
const BATCH_ROWS: usize = 2_000;

/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// What one look found.
#[derive(Debug, Default)]
pub struct Batch {
    /// The part of the record that it covers.
    pub range: Range,
    /// In the order of the record.
    pub rows: Vec<Row>,
    /// How many there are besides, by subscription; `None`: it is not known.
    pub left_out: Option<Vec<Count>>,
}

impl Live {
    /// Reads while somebody listens, until `stop`; all streams end then.
    ///
    /// # Errors
    /// None; it is a task of the service.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let _ended = self.0.ended.clone().drop_guard();
        loop {
            let wanted = self.0.wanted.notified();
            if stop.run_until_cancelled(wanted).await.is_none() {
                return Ok(());
            }
            if stop.run_until_cancelled(self.read()).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Reads until nobody listens any more.
    async fn read(&self) {
        let shared = &self.0;
        let mut from = None;
        while shared.batches.receiver_count() > 0 {
            match timeout(LOOK_LIMIT, look(&shared.db, from)).await {
                Ok(Ok(batch)) => {
                    from = Some(batch.range.to);
                    // Nobody is there any more, if it fails.
                    drop(shared.batches.send(Arc::new(batch)));
                }
                Ok(Err(error)) => tracing::warn!(%error, "the record is not read for listeners"),
                Err(_) => {
                    tracing::warn!("too much was recorded to tell listeners; going on after it");
                    from = self.skip(from).await;
                }
            }
            tokio::time::sleep(shared.settings.poll).await;
        }
    }

    /// Goes on after what there is; where to.
    async fn skip(&self, from: Option<i64>) -> Option<i64> {
        let to = live::edge(&self.0.db).await.ok()?;
        let range = Range {
            from: from.unwrap_or(to),
            to,
        };
        let batch = Batch {
            range,
            ..Batch::default()
        };
        drop(self.0.batches.send(Arc::new(batch)));
        Some(to)
    }
}

/// What was recorded since; where it begins, nothing.
async fn look(db: &PgPool, from: Option<i64>) -> sqlx::Result<Batch> {
    let to = live::edge(db).await?;
    let range = Range {
        // It falls only where the database is another, restored one.
        from: from.unwrap_or(to).min(to),
        to,
    };
    let (rows, left_out) = if range.from < range.to {
        rows(db, range).await?
    } else {
        Default::default()
    };
    Ok(Batch {
        range,
        rows,
        left_out: Some(left_out),
    })
}

async fn rows(db: &PgPool, range: Range) -> sqlx::Result<(Vec<Row>, Vec<Count>)> {
    let most = i64::try_from(BATCH_ROWS).unwrap_or(i64::MAX);
    let all = Share {
        scan: most + 1,
        every: 1,
    };
    let rows = live::rows(db, range, Filter::default(), all).await?;
    if rows.len() <= BATCH_ROWS {
        return Ok((rows, Vec::new()));
    }
    let mut counts = live::counts(db, range).await?;
    let total: i64 = counts.iter().map(|count| count.count).sum();
    let share = Share {
        scan: total,
        every: (total + most - 1) / most,
    };
    let rows = live::rows(db, range, Filter::default(), share).await?;
    for count in &mut counts {
        let told = rows
            .iter()
            .filter(|row| row.subscription_id == count.subscription_id);
        count.count -= i64::try_from(told.count()).unwrap_or(i64::MAX);
    }
    counts.retain(|count| count.count > 0);
    Ok((rows, counts))
}
