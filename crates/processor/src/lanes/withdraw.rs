//! What is queued, taken out of the lanes again.

use uuid::Uuid;

use super::Lanes;
use crate::delivery::Delivery;

impl Lanes {
    /// What is queued for one subscription and `unwanted`, taken out.
    pub fn withdraw_from(
        &mut self,
        id: Uuid,
        unwanted: impl FnMut(&Delivery) -> bool,
    ) -> Vec<Delivery> {
        let taken = match self.by_subscription.get_mut(&id) {
            Some(lane) => lane.take_out(unwanted),
            None => Vec::new(),
        };
        self.taken_out(taken.len(), &[id]);
        taken
    }

    /// What is queued and `unwanted`, taken out of all lanes.
    pub fn withdraw(&mut self, mut unwanted: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let mut taken = Vec::new();
        let mut touched = Vec::new();
        for (id, lane) in &mut self.by_subscription {
            let out = lane.take_out(&mut unwanted);
            if !out.is_empty() {
                touched.push(*id);
                taken.extend(out);
            }
        }
        self.taken_out(taken.len(), &touched);
        taken
    }

    /// Counts what was taken out of the queues, and looks at their lanes again.
    fn taken_out(&mut self, deliveries: usize, lanes: &[Uuid]) {
        self.queued -= deliveries;
        for id in lanes {
            if let Some(lane) = self.by_subscription.get_mut(id)
                && lane.live.len() < self.limits.queue
                && lane.full_since.take().is_some()
            {
                self.full.remove(id);
            }
        }
    }
}
