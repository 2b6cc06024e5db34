//! The byte budget: what events in memory, lane queues and in-flight requests may hold together.
//!
//! Whoever keeps bytes keeps a [`Hold`]; dropping it gives them back. Over the budget the consumer
//! pauses its partitions; under half of it they resume (so that pausing, which throws prefetched
//! records away, is rare).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A handle on the one budget of this process.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    held: AtomicUsize,
    freed: Notify,
}

/// Bytes taken from the budget until this is dropped.
#[derive(Debug)]
pub struct Hold {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            held: AtomicUsize::new(0),
            freed: Notify::new(),
        }))
    }

    /// Takes bytes. It never fails: whoever takes asks first whether the budget is spent.
    pub fn hold(&self, bytes: usize) -> Hold {
        self.0.held.fetch_add(bytes, Ordering::Relaxed);
        Hold {
            budget: self.clone(),
            bytes,
        }
    }

    /// Whether no more should be taken.
    pub fn spent(&self) -> bool {
        self.held() >= self.0.limit
    }

    /// Whether enough is free again to go on after it was spent.
    pub fn relaxed(&self) -> bool {
        self.held() <= self.0.limit / 2
    }

    /// How many bytes may be held.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Waits until less than the limit is held. Cancel-safe.
    pub async fn room(&self) {
        let freed = self.0.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        if self.spent() {
            freed.await;
        }
    }
}

impl Hold {
    /// Takes more.
    pub fn grow(&mut self, bytes: usize) {
        self.budget.0.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let shared = &self.budget.0;
        let before = shared.held.fetch_sub(self.bytes, Ordering::Relaxed);
        if before >= shared.limit && before - self.bytes < shared.limit {
            shared.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_spent_at_the_limit_and_relaxed_at_half() {
        let budget = Budget::new(100);
        let first = budget.hold(50);
        assert!(!budget.spent() && budget.relaxed());
        let mut second = budget.hold(20);
        second.grow(30);
        assert!(budget.spent() && !budget.relaxed());
        drop(first);
        assert!(!budget.spent() && budget.relaxed());
        drop(second);
        assert_eq!(budget.held(), 0);
    }

    #[tokio::test]
    async fn a_waiter_goes_on_when_bytes_are_given_back() {
        let budget = Budget::new(10);
        let hold = budget.hold(10);
        let waiting = budget.room();
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            () = &mut waiting => panic!("the budget is spent"),
            () = tokio::task::yield_now() => {}
        }
        drop(hold);
        waiting.await;
    }
}
