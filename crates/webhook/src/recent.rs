//! The ids that were seen lately, in bounded memory: the oldest is forgotten for a new one.
//!
//! Of each id only a 128-bit digest is kept, so that long ids cost no more than short ones.

use std::collections::{HashSet, VecDeque};

use uuid::Uuid;

/// The digest by which an id is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(Uuid);

impl Digest {
    /// The digest of an id.
    pub fn of(id: &[u8]) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, id))
    }
}

/// The last ids, up to a limit.
#[derive(Debug)]
pub struct Recent {
    limit: usize,
    known: HashSet<Digest>,
    by_age: VecDeque<Digest>,
}

impl Recent {
    /// Remembers up to `limit` ids.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            known: HashSet::new(),
            by_age: VecDeque::new(),
        }
    }

    /// Remembers an id; whether it is new.
    pub fn insert(&mut self, id: Digest) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.by_age.push_back(id);
        if self.by_age.len() > self.limit {
            self.forget_oldest();
        }
        true
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.by_age.pop_front() {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_id_is_forgotten_for_a_new_one() {
        let mut recent = Recent::new(2);
        let [a, b, c] = [b"a", b"b", b"c"].map(|id| Digest::of(id));
        assert!(recent.insert(a) && recent.insert(b));
        assert!(!recent.insert(a));
        assert!(recent.insert(c));
        assert!(!recent.insert(b) && !recent.insert(c));
        assert!(recent.insert(a));
    }
}
