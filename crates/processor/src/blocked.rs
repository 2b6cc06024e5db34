//! Where deliveries are ordered: which keys of which subscriptions have to wait, because an
//! earlier delivery of the key is pending. Pure; the engine owns it.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

/// One subscription in one partition.
type Lane = (Uuid, i32);

/// The offsets of all pending deliveries of ordered subscriptions, by key.
#[derive(Debug, Default)]
pub struct Blocked(HashMap<Lane, HashMap<String, BTreeSet<i64>>>);

impl Blocked {
    /// A delivery of the key is pending.
    pub fn add(&mut self, lane: Lane, key: &str, offset: i64) {
        let keys = self.0.entry(lane).or_default();
        keys.entry(key.to_owned()).or_default().insert(offset);
    }

    /// It is not any more.
    pub fn remove(&mut self, lane: Lane, key: &str, offset: i64) {
        let Some(keys) = self.0.get_mut(&lane) else {
            return;
        };
        if let Some(offsets) = keys.get_mut(key) {
            offsets.remove(&offset);
            if offsets.is_empty() {
                keys.remove(key);
            }
        }
        if keys.is_empty() {
            self.0.remove(&lane);
        }
    }

    /// Whether a delivery at `offset` has to wait for an earlier one.
    pub fn holds_back(&self, lane: Lane, key: &str, offset: i64) -> bool {
        let offsets = self.0.get(&lane).and_then(|keys| keys.get(key));
        offsets.is_some_and(|offsets| offsets.first().is_some_and(|first| *first < offset))
    }

    /// A partition is another's.
    pub fn forget_partition(&mut self, partition: i32) {
        self.0.retain(|(_, of), _| *of != partition);
    }

    /// A subscription is gone, or not ordered any more.
    pub fn forget(&mut self, id: Uuid) {
        self.0.retain(|(of, _), _| *of != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_waits_for_its_earlier_deliveries_and_for_no_others() {
        let (mut blocked, lane) = (Blocked::default(), (Uuid::nil(), 0));
        blocked.add(lane, "Oslo", 5);
        blocked.add(lane, "Oslo", 8);
        assert!(blocked.holds_back(lane, "Oslo", 6));
        assert!(!blocked.holds_back(lane, "Oslo", 5));
        assert!(!blocked.holds_back(lane, "Rome", 6));
        assert!(!blocked.holds_back((Uuid::nil(), 1), "Oslo", 6));
        blocked.remove(lane, "Oslo", 5);
        assert!(!blocked.holds_back(lane, "Oslo", 6));
        assert!(blocked.holds_back(lane, "Oslo", 9));
        blocked.remove(lane, "Oslo", 8);
        assert!(blocked.0.is_empty());
    }

    #[test]
    fn what_is_told_twice_is_one() {
        let (mut blocked, lane) = (Blocked::default(), (Uuid::nil(), 0));
        blocked.add(lane, "Oslo", 5);
        blocked.add(lane, "Oslo", 5);
        blocked.remove(lane, "Oslo", 5);
        assert!(blocked.0.is_empty());
    }
}
