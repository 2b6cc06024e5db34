//! Places, of which there are so many in all, and so many for one owner that no owner takes all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The places there are.
#[derive(Debug)]
pub struct Seats {
    limit: usize,
    per_owner: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_owner: HashMap<String, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    owner: Option<String>,
}

impl Seats {
    /// So many, all free.
    pub fn new(limit: usize, per_owner: usize) -> Self {
        Self {
            limit,
            per_owner,
            taken: Mutex::default(),
        }
    }

    /// Takes a place, if there is one; admins have no owner, and are bounded all together.
    pub fn take(seats: &Arc<Self>, owner: Option<String>) -> Option<Seat> {
        let mut taken = seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= seats.limit {
            return None;
        }
        if let Some(owner) = &owner {
            if taken
                .by_owner
                .get(owner)
                .is_some_and(|count| *count >= seats.per_owner)
            {
                return None;
            }
            *taken.by_owner.entry(owner.clone()).or_default() += 1;
        }
        taken.all += 1;
        drop(taken);
        Some(Seat {
            seats: Arc::clone(seats),
            owner,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self
            .seats
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(owner) = &self.owner
            && let Some(count) = taken.by_owner.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                taken.by_owner.remove(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_more_than_there_are_and_no_owner_takes_all() {
        let seats = Arc::new(Seats::new(3, 1));
        let take = |owner: Option<&str>| Seats::take(&seats, owner.map(str::to_owned));
        let acme = take(Some("acme"));
        assert!(acme.is_some() && take(Some("acme")).is_none());
        let (other, admin) = (take(Some("other")), take(None));
        assert!(other.is_some() && admin.is_some());
        assert!(take(None).is_none());
        drop(acme);
        assert!(take(Some("acme")).is_some());
        drop((other, admin));
        let taken = seats.taken.lock().expect("nobody panicked");
        assert!(taken.all == 0 && taken.by_owner.is_empty());
    }
}
