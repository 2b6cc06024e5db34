//! Claims pending deliveries that are due, for the partitions this replica owns.
//!
//! First it asks which subscriptions have something due, then the engine how many of each it
//! takes, and claims no more: a million rows of one dead subscription delay nobody else.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use common::probes::Component;
use common::store::pending_deliveries;
use sqlx::{Connection, PgPool};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::delivery::Lease;
use crate::engine::{Pending, Room};

/// How many rows are claimed at once at most.
const CLAIM_LIMIT: usize = 1000;

/// The least pause after something was claimed: more of it may be due.
const AFTER_CLAIM: Duration = Duration::from_millis(20);

/// The pause after a look that found nothing is at least that many times as long, so that looking
/// costs little.
const PAUSE_PER_LOOK: u32 = 10;

/// How it claims.
#[derive(Clone, Debug)]
pub struct Settings {
    pub topic: String,
    pub poll: Duration,
    pub lease: Duration,
}

/// The one claimer of this process.
#[derive(Debug)]
pub struct Claimer {
    pub db: PgPool,
    pub settings: Settings,
    pub owned: watch::Receiver<Vec<i32>>,
    pub engine: mpsc::Sender<Pending>,
    pub postgres: Component,
}

impl Claimer {
    /// Claims until stopped. Postgres away is told once, and waited out; where nothing happens that
    /// the recorder would write, nobody else notices.
    pub async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let began = Instant::now();
            let looked = stop.run_until_cancelled(self.look()).await;
            let took = began.elapsed();
            let pause = match looked {
                None => return,
                Some(Ok(claimed)) => {
                    if failing {
                        self.postgres.up();
                    }
                    failing = false;
                    self.pause(claimed, took)
                }
                Some(Err(error)) => {
                    if failing {
                        tracing::debug!(%error, "still failing");
                    } else {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "pending deliveries cannot be claimed"
                        );
                    }
                    failing = true;
                    let why = format!("pending deliveries cannot be claimed: {error:#}");
                    self.postgres.down(why);
                    // Waiting in vain took long, and says nothing of what a look costs.
                    self.settings.poll
                }
            };
            if stop
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// How long to wait after a look that took so long.
    fn pause(&self, claimed: bool, took: Duration) -> Duration {
        if claimed {
            AFTER_CLAIM.max(took)
        } else {
            self.settings.poll.max(took * PAUSE_PER_LOOK)
        }
    }

    /// Claims what there is room for; whether there was anything.
    async fn look(&self) -> anyhow::Result<bool> {
        let mut claimed = false;
        let owned = self.owned.borrow().clone();
        if owned.is_empty() {
            // Whether Postgres is there is to be known of an idle replica too.
            let mut db = self
                .db
                .acquire()
                .await
                .context("asking whether it answers")?;
            db.ping().await.context("asking whether it answers")?;
        }
        for partition in owned {
            let due = pending_deliveries::due(&self.db, &self.settings.topic, partition)
                .await
                .context("looking for what is due")?;
            if !due.is_empty() {
                claimed |= self.claim(partition, due).await?;
            }
        }
        Ok(claimed)
    }

    /// Claims until each has what it takes of that partition, or nothing is due. The engine is
    /// asked again before every claim, for the one before may have spent the budget.
    async fn claim(&self, partition: i32, due: Vec<Uuid>) -> anyhow::Result<bool> {
        let mut due = VecDeque::from(due);
        let mut claims = false;
        while !due.is_empty() {
            let next: Vec<Uuid> = due.iter().take(CLAIM_LIMIT).copied().collect();
            let rooms = self.rooms(next).await?;
            let count = within(CLAIM_LIMIT, &rooms).max(1);
            let asked = due.drain(..count).zip(rooms);
            let wanted: Vec<(Uuid, Room)> = asked.filter(|(_, room)| room.rows > 0).collect();
            if !wanted.is_empty() {
                claims |= self.claim_chunk(partition, &wanted).await?;
            }
        }
        Ok(claims)
    }

    /// Whether there was anything.
    async fn claim_chunk(&self, partition: i32, chunk: &[(Uuid, Room)]) -> anyhow::Result<bool> {
        let ids: Vec<Uuid> = chunk.iter().map(|(id, _)| *id).collect();
        let rows: Vec<i64> = chunk.iter().map(|(_, room)| room.rows).collect();
        let ordered: Vec<bool> = chunk.iter().map(|(_, room)| room.ordered).collect();
        let Settings { topic, lease, .. } = &self.settings;
        // Before the claim, so that ours is over before the row's.
        let held = Lease {
            id: Uuid::now_v7(),
            ends_at: Instant::now() + *lease,
        };
        let seconds = lease.as_secs_f64();
        let rows = pending_deliveries::claim(
            &self.db,
            (topic, partition),
            (&ids, &rows, &ordered),
            held.id,
            seconds,
        )
        .await
        .context("claiming what is due")?;
        let claimed = !rows.is_empty();
        self.tell(Pending::Claimed { lease: held, rows }).await?;
        Ok(claimed)
    }

    async fn rooms(&self, subscription_ids: Vec<Uuid>) -> anyhow::Result<Vec<Room>> {
        let (reply, rooms) = oneshot::channel();
        self.tell(Pending::Rooms {
            subscription_ids,
            reply,
        })
        .await?;
        rooms.await.context("the engine is gone")
    }

    async fn tell(&self, pending: Pending) -> anyhow::Result<()> {
        let told = self.engine.send(pending).await;
        told.ok().context("the engine is gone")
    }
}

/// How many of the rooms, from the first, take no more than `limit` rows together.
fn within(limit: usize, rooms: &[Room]) -> usize {
    let mut rows = 0;
    let fitting = rooms.iter().take_while(|room| {
        rows += usize::try_from(room.rows).unwrap_or_default();
        rows <= limit
    });
    fitting.count()
}
