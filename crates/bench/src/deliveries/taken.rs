//! What the sink took, held against what was to come: whether all came, how often, and how late.
//! Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

/// A request that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Of which subscription, by its number.
    pub subscription: u32,
    /// Which event, by its number.
    pub event: u64,
    /// When, in microseconds since the Unix epoch.
    pub at: u64,
}

/// The first arrivals, and how many were not the first of their delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// By event: when each delivery of it arrived first.
    pub by_event: HashMap<u64, Vec<u64>>,
    /// Arrivals of a delivery after its first.
    pub repeated: usize,
}

impl Deliveries {
    /// Of all that arrived.
    pub fn of(taken: &[Taken]) -> Self {
        let mut first: HashMap<(u32, u64), u64> = HashMap::with_capacity(taken.len());
        let mut repeated = 0;
        for arrival in taken {
            match first.entry((arrival.subscription, arrival.event)) {
                Entry::Vacant(vacant) => {
                    vacant.insert(arrival.at);
                }
                Entry::Occupied(mut occupied) => {
                    repeated += 1;
                    *occupied.get_mut() = arrival.at.min(*occupied.get());
                }
            }
        }
        let mut by_event: HashMap<u64, Vec<u64>> = HashMap::new();
        for ((_, event), at) in first {
            by_event.entry(event).or_default().push(at);
        }
        Self { by_event, repeated }
    }

    /// How many of those events' deliveries did not come.
    pub fn missing(&self, events: impl Iterator<Item = u64>, fan_out: usize) -> usize {
        let came = |event| self.by_event.get(&event).map_or(0, Vec::len);
        events
            .map(|event| fan_out.saturating_sub(came(event)))
            .sum()
    }

    /// How long after these times the deliveries of each event came, in microseconds, sorted. The
    /// processor may have an event before its producer hears so: that is no time at all.
    pub fn late(&self, since: impl Iterator<Item = (u64, u64)>) -> Vec<u64> {
        let of = |(event, since): (u64, u64)| {
            let arrived = self.by_event.get(&event).into_iter().flatten();
            arrived.map(move |at| at.saturating_sub(since))
        };
        let mut late: Vec<u64> = since.flat_map(of).collect();
        late.sort_unstable();
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(subscription: u32, event: u64, at: u64) -> Taken {
        Taken {
            subscription,
            event,
            at,
        }
    }

    #[test]
    fn each_delivery_counts_once_from_when_it_came_first() {
        let all = [
            taken(1, 5, 30),
            taken(2, 5, 20),
            taken(1, 5, 10),
            taken(1, 6, 40),
        ];
        let deliveries = Deliveries::of(&all);
        assert_eq!(deliveries.repeated, 1);
        assert_eq!(deliveries.late([(5, 5), (6, 50)].into_iter()), [0, 5, 15]);
    }

    #[test]
    fn what_did_not_come_is_missing() {
        let deliveries = Deliveries::of(&[taken(1, 0, 1), taken(1, 0, 2), taken(2, 1, 1)]);
        assert_eq!(deliveries.missing(0..3, 2), 1 + 1 + 2);
    }
}
