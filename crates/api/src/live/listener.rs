//! One who listens: takes its part of what is read for all, and knows what it has been told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use common::store::attempts::live::{self, Count, Filter, Range, Row, Share};
use sqlx::PgPool;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, Interval, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::feed::Batch;
use super::position::Position;
use super::{BEAT, LIFETIME, told};
use crate::access::Caller;
use crate::seats::Seat;
use crate::store::api_keys;

/// How many rows of one batch are told to one listener; of more, evenly so many.
const LISTENER_ROWS: usize = 500;

/// How much of the record is looked through for who comes back, or fell behind.
const MISSED_ROWS: i64 = 20_000;

/// How long that may take.
const MISSED_LIMIT: Duration = Duration::from_secs(5);

/// What somebody wants to hear of, and may.
#[derive(Clone, Debug)]
pub struct Wants {
    /// Of this owner's subscriptions only; here and below `None` means of everybody's.
    pub owner: Option<String>,
    /// Of this subscription only.
    pub subscription_id: Option<Uuid>,
    /// The key by which it may; `None`: no key of the database.
    key: Option<Uuid>,
}

impl Wants {
    /// What that caller may hear of.
    pub fn of(caller: &Caller, subscription_id: Option<Uuid>) -> Self {
        Self {
            owner: caller.owner.clone(),
            subscription_id,
            key: caller.key,
        }
    }

    fn is_of(&self, subscription_id: Uuid, owner: Option<&str>) -> bool {
        self.subscription_id.is_none_or(|id| id == subscription_id)
            && (self.owner.is_none() || self.owner.as_deref() == owner)
    }

    fn filter(&self) -> Filter<'_> {
        Filter {
            owner: self.owner.as_deref(),
            subscription_id: self.subscription_id,
        }
    }
}

/// From where a listener hears.
#[derive(Debug)]
pub struct Source {
    pub db: PgPool,
    pub batches: broadcast::Receiver<Arc<Batch>>,
    pub ended: CancellationToken,
    /// Free again when this is gone.
    pub _seat: Seat,
}

/// One stream.
#[derive(Debug)]
pub struct Listener {
    source: Source,
    wants: Wants,
    /// After which all is yet to be told.
    told: Position,
    ready: VecDeque<Event>,
    ends_at: Instant,
    beats: Interval,
}

impl Listener {
    /// One that has heard all up to `after`.
    pub fn new(source: Source, wants: Wants, after: Position) -> Self {
        Self {
            source,
            wants,
            told: after,
            ready: VecDeque::new(),
            ends_at: Instant::now() + LIFETIME,
            // The first at once: whoever waits for an answer has one.
            beats: tokio::time::interval(BEAT),
        }
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if self.source.ended.is_cancelled() {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // Each arm only waits, or receives, which is cancel-safe. The first beat comes first.
            tokio::select! {
                biased;
                () = self.source.ended.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends_at) => return None,
                _ = self.beats.tick() => {
                    return if self.may_still().await { Some(told::beat(self.told)) } else { None };
                }
                batch = self.source.batches.recv() => match batch {
                    Ok(batch) => self.take(&batch).await,
                    // What was missed is found by where the next batch begins.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    /// Whether its key is in force. While the database does not say, it is.
    async fn may_still(&self) -> bool {
        let Some(key) = self.wants.key else {
            return true;
        };
        let asked = timeout(MISSED_LIMIT, api_keys::is_in_force(&self.source.db, key));
        asked.await.ok().and_then(Result::ok).unwrap_or(true)
    }

    async fn take(&mut self, batch: &Batch) {
        let after = self.told;
        if after < Position::before(batch.range.from) {
            self.catch_up(after, batch.range.from).await;
        }
        let rows = batch.rows.iter().filter(|row| self.is_new(row, after));
        let rows: Vec<Row> = rows.cloned().collect();
        self.tell(rows, self.left_out(batch));
        self.told = after.max(Position::before(batch.range.to));
    }

    fn is_new(&self, row: &Row, after: Position) -> bool {
        Position::from(row) > after && self.wants.is_of(row.subscription_id, row.owner.as_deref())
    }

    fn left_out(&self, batch: &Batch) -> Option<i64> {
        let left_out = batch.left_out.as_ref()?.iter();
        let is_mine = |count: &&Count| {
            self.wants
                .is_of(count.subscription_id, count.owner.as_deref())
        };
        Some(left_out.filter(is_mine).map(|count| count.count).sum())
    }

    /// Tells what was recorded after `after`, before the transaction `to`.
    async fn catch_up(&mut self, after: Position, to: i64) {
        let range = Range {
            from: after.recorded_in,
            to,
        };
        let missed = missed(&self.source.db, range, self.wants.filter());
        match timeout(MISSED_LIMIT, missed).await {
            Ok(Ok((mut rows, is_all))) => {
                rows.retain(|row| Position::from(row) > after);
                self.tell(rows, is_all.then_some(0));
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "what a listener missed is not read");
                self.tell(Vec::new(), None);
            }
            Err(_) => self.tell(Vec::new(), None),
        }
    }

    /// Tells of those rows, and that so many are left out besides; `None`: it is not known how many.
    fn tell(&mut self, rows: Vec<Row>, left_out: Option<i64>) {
        let every = rows.len().div_ceil(LISTENER_ROWS).max(1);
        let count = rows.len();
        let told = rows.into_iter().skip(every - 1).step_by(every);
        let before = self.ready.len();
        self.ready.extend(told.map(told::outcome));
        let told = self.ready.len() - before;
        let sampled = i64::try_from(count - told).unwrap_or(i64::MAX);
        let left_out = left_out.map(|left_out| left_out + sampled);
        if left_out != Some(0) {
            self.ready.push_back(told::left_out(left_out));
        }
    }
}

/// What a range has that matches, and whether that is all.
async fn missed(db: &PgPool, range: Range, filter: Filter<'_>) -> sqlx::Result<(Vec<Row>, bool)> {
    let share = Share {
        scan: MISSED_ROWS,
        every: 1,
    };
    let is_all = !live::exceeds(db, range, MISSED_ROWS).await?;
    Ok((live::rows(db, range, filter, share).await?, is_all))
}
