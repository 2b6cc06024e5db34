//! Whose turn it is, what is refused, and what is taken out.

use super::*;
use crate::budget::Budget;
use crate::delivery::{Lease, Ticket};
use crate::event::Event;
use crate::subscription::tests::subscription;

const LIMITS: Limits = Limits {
    queue: 8,
    retries: 2,
    in_flight_per_lane: 4,
    in_flight: 6,
};

fn to(id: Uuid, offset: i64, lease: Option<Lease>) -> Delivery {
    let budget = Budget::new(1);
    let event = Event {
        id: offset.to_string(),
        payload: bytes::Bytes::new(),
        content_type: None,
        traceparent: None,
        hold: budget.hold(0),
    };
    Delivery {
        ticket: Ticket {
            partition: i32::try_from(offset % 2).unwrap(),
            epoch: 1,
            offset,
        },
        subscription_id: id,
        event: Arc::new(event),
        attempts: 0,
        lease,
        queued_at: Instant::now(),
        hold: budget.hold(0),
    }
}

fn lease() -> Lease {
    Lease {
        id: Uuid::now_v7(),
        usable_until: Instant::now(),
    }
}

fn lane_with(lanes: &mut Lanes, deliveries: i64) -> Arc<Subscription> {
    let subscription = Arc::new(subscription("http://localhost:9099"));
    for offset in 0..deliveries {
        lanes
            .queue(&subscription, to(subscription.id, offset, None))
            .unwrap();
    }
    subscription
}

#[test]
fn lanes_take_turns_and_keep_to_the_limits() {
    let mut lanes = Lanes::new(LIMITS);
    let busy = lane_with(&mut lanes, 8);
    let quiet = lane_with(&mut lanes, 1);
    let turns: Vec<_> = std::iter::from_fn(|| lanes.next_turn())
        .map(|(_, to)| to.id)
        .collect();
    assert_eq!(turns, [busy.id, quiet.id, busy.id, busy.id, busy.id]);
    lanes.finished(busy.id);
    assert_eq!(lanes.next_turn().unwrap().0.ticket.offset, 4);
    assert_eq!((lanes.in_flight(), lanes.queued()), (5, 3));
}

#[test]
fn no_more_than_the_limit_is_in_flight_over_all_lanes() {
    let mut lanes = Lanes::new(LIMITS);
    let many = [
        lane_with(&mut lanes, 3),
        lane_with(&mut lanes, 3),
        lane_with(&mut lanes, 3),
    ];
    assert_eq!(std::iter::from_fn(|| lanes.next_turn()).count(), 6);
    lanes.finished(many[0].id);
    assert!(lanes.next_turn().is_some());
    assert!(lanes.next_turn().is_none());
}

#[test]
fn a_full_lane_refuses_and_the_others_do_not() {
    let mut lanes = Lanes::new(LIMITS);
    let full = lane_with(&mut lanes, 8);
    assert_eq!(
        lanes
            .queue(&full, to(full.id, 8, None))
            .unwrap_err()
            .ticket
            .offset,
        8
    );
    assert!(lanes.queue(&full, to(full.id, 9, Some(lease()))).is_ok());
    assert_eq!(lanes.room_for_retries(full.id), 1);
    lane_with(&mut lanes, 1);
}

#[test]
fn a_retry_gets_its_turn_however_busy_the_lane() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 8);
    lanes.queue(&lane, to(lane.id, 99, Some(lease()))).unwrap();
    let turns: Vec<_> = std::iter::from_fn(|| lanes.next_turn())
        .map(|(it, _)| it.ticket.offset)
        .collect();
    assert_eq!(turns, [0, 1, 2, 99]);
}

#[test]
fn an_idle_lane_is_forgotten() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 1);
    assert!(lanes.next_turn().is_some());
    lanes.finished(lane.id);
    assert!(lanes.by_subscription.is_empty());
    assert_eq!(lanes.in_flight(), 0);
}

#[test]
fn what_is_withdrawn_is_not_attempted() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 6);
    assert_eq!(lanes.withdraw(|it| it.ticket.partition == 0).len(), 3);
    let left: Vec<_> = std::iter::from_fn(|| lanes.next_turn())
        .map(|(it, _)| it.ticket.offset)
        .collect();
    assert_eq!(left, [1, 3, 5]);
    for _ in left {
        lanes.finished(lane.id);
    }
    assert_eq!((lanes.in_flight(), lanes.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waited_too_long_is_taken_out() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 2);
    tokio::time::advance(Duration::from_secs(6)).await;
    lanes.queue(&lane, to(lane.id, 2, None)).unwrap();
    assert_eq!(
        lanes.overdue(Instant::now(), Duration::from_secs(5)).len(),
        2
    );
    assert_eq!(lanes.next_turn().unwrap().0.ticket.offset, 2);
}

#[test]
fn a_changed_subscription_redirects_what_is_queued() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 1);
    let mut moved = subscription("http://localhost:1");
    moved.id = lane.id;
    let moved = Arc::new(moved);
    lanes.change(&moved);
    assert!(Arc::ptr_eq(&lanes.next_turn().unwrap().1, &moved));
}

#[test]
fn a_lane_that_was_emptied_is_forgotten_and_costs_the_next_no_turn() {
    let mut lanes = Lanes::new(LIMITS);
    let emptied = lane_with(&mut lanes, 2);
    let other = lane_with(&mut lanes, 1);
    assert_eq!(
        lanes.withdraw(|it| it.subscription_id == emptied.id).len(),
        2
    );
    assert!(!lanes.by_subscription.contains_key(&emptied.id));
    assert_eq!(lanes.next_turn().unwrap().1.id, other.id);
}
