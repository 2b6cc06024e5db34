//! What of a batch those who operate subscriptions want to hear of. Pure.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::batch::Rows;
use super::circuits;
use crate::store::operations::{CIRCUIT_CLOSED, CIRCUIT_OPENED, Columns, DEAD_LETTERED, DISABLED};

/// The events of a batch. Of dead letters it tells only where `tells_dead`: one that is itself an
/// operational event is not told of by another.
pub fn of(rows: &Rows, circuits: &circuits::Rows, tells_dead: bool) -> Columns {
    let mut told = Columns::default();
    let tripped = &circuits.tripped;
    for (at, id) in tripped.subscription_ids.iter().enumerate() {
        if !circuits.again[at] {
            let details = json!({"last_failure": tripped.classes[at], "failing_seconds": tripped.ages_seconds[at]});
            told.push(CIRCUIT_OPENED, *id, &details);
        }
    }
    for id in &circuits.recovered {
        told.push(CIRCUIT_CLOSED, *id, &json!({}));
    }
    for (id, reason) in &rows.gone {
        told.push(DISABLED, *id, &json!({"reason": reason}));
    }
    if tells_dead {
        tell_dead(rows, &mut told);
    }
    told
}

/// One of each subscription, with how many there are.
fn tell_dead(rows: &Rows, told: &mut Columns) {
    let dead = &rows.dead;
    let ids = &dead.deliveries.keys.subscription_ids;
    let mut firsts: BTreeMap<Uuid, (usize, usize)> = BTreeMap::new();
    for (at, id) in ids.iter().enumerate() {
        firsts.entry(*id).or_insert((at, 0)).1 += 1;
    }
    for (id, (at, count)) in firsts {
        let details = json!({
            "event_id": dead.deliveries.keys.event_ids[at],
            "reason": dead.reasons[at],
            "attempts": dead.deliveries.attempts[at],
            "last_status": dead.last_statuses[at],
            "last_failure": dead.last_errors[at],
            "count": count,
        });
        told.push(DEAD_LETTERED, id, &details);
    }
}
