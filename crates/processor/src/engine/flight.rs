//! What is in flight: attempts as tasks, each with its delivery, fast or slow.
//!
//! A request that does not answer becomes slow and gives its place to others. The slow pool is
//! bounded by what a process may have open: when it is full, the oldest is aborted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use outbound::{Attempt, Failure};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use uuid::Uuid;

use crate::delivery::{Delivery, Source};
use crate::subscription::Subscription;

/// One attempt that has not ended.
#[derive(Debug)]
pub struct Flying {
    pub delivery: Delivery,
    pub subscription: Arc<Subscription>,
    pub started_at: Instant,
    pub is_slow: bool,
    abort: tokio::task::AbortHandle,
}

/// One that has ended, and how.
pub type Landed = (Flying, Attempt);

/// All of them.
#[derive(Debug)]
pub struct Flight {
    tasks: JoinSet<Attempt>,
    by_task: HashMap<Id, Flying>,
    slow: usize,
    /// How many may be slow.
    limit: usize,
}

impl Flight {
    pub fn new(limit: usize) -> Self {
        Self {
            tasks: JoinSet::new(),
            by_task: HashMap::new(),
            slow: 0,
            limit,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Partitions and offsets of what is in flight from the log for a subscription.
    pub fn of_the_log(&self, subscription_id: Uuid) -> Vec<(i32, i64)> {
        let of = |delivery: &&Delivery| {
            delivery.subscription_id == subscription_id && matches!(delivery.source, Source::Log)
        };
        let deliveries = self.by_task.values().map(|flying| &flying.delivery);
        deliveries
            .filter(of)
            .map(|delivery| (delivery.ticket.partition, delivery.ticket.offset))
            .collect()
    }

    /// How many are slow.
    pub fn slow(&self) -> usize {
        self.slow
    }

    pub fn begin(
        &mut self,
        delivery: Delivery,
        subscription: Arc<Subscription>,
        attempting: impl Future<Output = Attempt> + Send + 'static,
    ) {
        let abort = self.tasks.spawn(attempting);
        let flying = Flying {
            delivery,
            subscription,
            started_at: Instant::now(),
            is_slow: false,
            abort: abort.clone(),
        };
        self.by_task.insert(abort.id(), flying);
    }

    /// Waits for the next to end; `None` for one that was aborted. Cancel-safe.
    ///
    /// # Errors
    /// That an attempt panicked.
    pub async fn next(&mut self) -> anyhow::Result<Option<Landed>> {
        match self.tasks.join_next_with_id().await {
            None => Ok(None),
            Some(ended) => self.landed(ended),
        }
    }

    /// The next that has ended by now; `None` where none has.
    ///
    /// # Errors
    /// That an attempt panicked.
    pub fn try_next(&mut self) -> anyhow::Result<Option<Landed>> {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            if let Some(landed) = self.landed(ended)? {
                return Ok(Some(landed));
            }
        }
        Ok(None)
    }

    fn landed(
        &mut self,
        ended: Result<(Id, Attempt), JoinError>,
    ) -> anyhow::Result<Option<Landed>> {
        match ended {
            Ok((id, attempt)) => Ok(self.land(id).map(|flying| (flying, attempt))),
            Err(error) if error.is_cancelled() => Ok(None),
            Err(error) => Err(error).context("an attempt ended badly"),
        }
    }

    /// Those that have taken longer than their lane thinks usual, since they are slow from now on.
    pub fn slow_down(
        &mut self,
        now: Instant,
        mut slow_after: impl FnMut(&Delivery) -> Duration,
    ) -> Vec<&Delivery> {
        let mut slowed = Vec::new();
        for flying in self.by_task.values_mut().filter(|flying| !flying.is_slow) {
            if now - flying.started_at >= slow_after(&flying.delivery) {
                flying.is_slow = true;
                self.slow += 1;
                slowed.push(&flying.delivery);
            }
        }
        slowed
    }

    /// Aborts the oldest while more are slow than may be.
    pub fn abort_oldest(&mut self, now: Instant) -> Vec<(Flying, Attempt)> {
        let mut aborted = Vec::new();
        while self.slow > self.limit {
            let slow = self.by_task.iter().filter(|(_, flying)| flying.is_slow);
            let Some((id, _)) = slow.min_by_key(|(_, flying)| flying.started_at) else {
                break;
            };
            let id = *id;
            aborted.extend(self.land(id).map(|flying| {
                flying.abort.abort();
                // It may have arrived.
                let latency = now - flying.started_at;
                let attempt = Attempt::failed(Failure::Aborted, flying.started_at, latency);
                (flying, attempt)
            }));
        }
        aborted
    }

    fn land(&mut self, id: Id) -> Option<Flying> {
        let flying = self.by_task.remove(&id)?;
        self.slow -= usize::from(flying.is_slow);
        Some(flying)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::delivery;
    use crate::subscription::tests::subscription;

    const SLOW: Duration = Duration::from_secs(1);

    /// Begins an attempt that never ends.
    fn begin(flight: &mut Flight, offset: i64) {
        let to = Arc::new(subscription("http://localhost:9099"));
        let delivery = delivery(to.id, offset, Source::Log, None);
        flight.begin(delivery, to, std::future::pending());
    }

    #[tokio::test(start_paused = true)]
    async fn when_too_many_are_slow_the_oldest_is_aborted_and_counts_as_failed() {
        let mut flight = Flight::new(1);
        begin(&mut flight, 0);
        tokio::time::advance(SLOW).await;
        begin(&mut flight, 1);
        assert_eq!(flight.slow_down(Instant::now(), |_| SLOW).len(), 1);
        assert!(flight.abort_oldest(Instant::now()).is_empty());
        tokio::time::advance(SLOW).await;
        assert_eq!(flight.slow_down(Instant::now(), |_| SLOW).len(), 1);
        let aborted = flight.abort_oldest(Instant::now());
        let (oldest, attempt) = &aborted[0];
        assert_eq!((aborted.len(), oldest.delivery.ticket.offset), (1, 0));
        assert_eq!(attempt.failure, Some(Failure::Aborted));
        // Its task ends, and says nothing more.
        assert!(flight.next().await.unwrap().is_none());
        assert_eq!(flight.slow(), 1);
    }
}
