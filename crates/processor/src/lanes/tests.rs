//! Whose turn it is, what is taken out, and how a lane treats a receiver that is not well.

mod lag;

use outbound::{Failure, Verdict};

use super::*;
use crate::delivery::Lease;
use crate::delivery::tests::delivery;
use crate::subscription::tests::subscription;

const LIMITS: Limits = Limits {
    queue: 8,
    retries: 2,
    in_flight_per_lane: 4,
    in_flight: 6,
    catch_up: 1,
    catch_up_rate: 1000.0,
};

const LATENCY: Duration = Duration::from_millis(10);

fn to(id: Uuid, offset: i64, source: Source) -> Delivery {
    of_key(id, offset, source, None)
}

fn of_key(id: Uuid, offset: i64, source: Source, key: Option<&str>) -> Delivery {
    let mut delivery = delivery(id, offset, source, key);
    delivery.ticket.partition = i32::try_from(offset % 2).unwrap();
    delivery
}

fn leased() -> Source {
    Source::Pending(Lease {
        id: Uuid::now_v7(),
        ends_at: Instant::now(),
    })
}

fn lane_with(lanes: &mut Lanes, deliveries: i64) -> Arc<Subscription> {
    let subscription = Arc::new(subscription("http://localhost:9099"));
    for offset in 0..deliveries {
        lanes.queue(&subscription, to(subscription.id, offset, Source::Log));
    }
    subscription
}

fn turns(lanes: &mut Lanes) -> Vec<Turn> {
    std::iter::from_fn(|| lanes.next_turn(Instant::now())).collect()
}

fn offsets(turns: &[Turn]) -> Vec<i64> {
    let offsets = turns.iter().map(|turn| turn.delivery.ticket.offset);
    offsets.collect()
}

fn attempt(failure: Option<Failure>) -> Attempt {
    let now = Instant::now();
    let Some(failure) = failure else {
        let mut delivered = Attempt::failed(Failure::Reset, now, LATENCY);
        (delivered.verdict, delivered.failure) = (Verdict::Delivered, None);
        return delivered;
    };
    Attempt::failed(failure, now, LATENCY)
}

fn end(lanes: &mut Lanes, turn: &Turn, failure: Option<Failure>) -> Option<breaker::Change> {
    let now = Instant::now();
    lanes.finished(&turn.delivery, Some(&attempt(failure)), false, now)
}

#[test]
fn lanes_take_turns_and_keep_to_the_limits() {
    let mut lanes = Lanes::new(LIMITS);
    let busy = lane_with(&mut lanes, 8);
    let quiet = lane_with(&mut lanes, 1);
    let begun = turns(&mut lanes);
    let whose: Vec<_> = begun.iter().map(Turn::lane).collect();
    assert_eq!(whose, [busy.id, quiet.id, busy.id, busy.id, busy.id]);
    end(&mut lanes, &begun[0], None);
    assert_eq!(offsets(&turns(&mut lanes)), [4]);
    assert_eq!((lanes.in_flight(), lanes.queued()), (5, 3));
}

#[test]
fn no_more_than_the_limit_is_in_flight_over_all_lanes() {
    let mut lanes = Lanes::new(LIMITS);
    for _ in 0..3 {
        lane_with(&mut lanes, 3);
    }
    let begun = turns(&mut lanes);
    assert_eq!(begun.len(), 6);
    end(&mut lanes, &begun[0], None);
    assert_eq!(turns(&mut lanes).len(), 1);
}

#[test]
fn live_goes_before_retries_and_these_before_what_is_read_again() {
    let mut lanes = Lanes::new(Limits {
        in_flight_per_lane: 16,
        in_flight: 16,
        ..LIMITS
    });
    let lane = lane_with(&mut lanes, 4);
    lanes.queue(&lane, to(lane.id, 90, Source::CatchUp));
    lanes.queue(&lane, to(lane.id, 80, leased()));
    lanes.queue(&lane, to(lane.id, 81, leased()));
    let mut order = Vec::new();
    while let Some(turn) = lanes.next_turn(Instant::now()) {
        order.push(turn.delivery.ticket.offset);
        end(&mut lanes, &turn, None);
    }
    // Every fourth turn is a retry's, so that it does not starve.
    assert_eq!(order, [0, 1, 2, 80, 3, 81, 90]);
}

#[test]
fn what_is_read_again_has_a_share_of_what_is_in_flight() {
    let mut lanes = Lanes::new(LIMITS);
    let (first, second) = (lane_with(&mut lanes, 0), lane_with(&mut lanes, 0));
    for offset in 0..2 {
        lanes.queue(&first, to(first.id, offset, Source::CatchUp));
        lanes.queue(&second, to(second.id, offset, Source::CatchUp));
    }
    let begun = turns(&mut lanes);
    assert_eq!(begun.len(), 1);
    end(&mut lanes, &begun[0], None);
    let next = turns(&mut lanes);
    assert_eq!((next.len(), next[0].lane()), (1, second.id));
}

#[test]
fn an_idle_lane_is_forgotten() {
    let mut lanes = Lanes::new(LIMITS);
    lane_with(&mut lanes, 1);
    let begun = turns(&mut lanes);
    end(&mut lanes, &begun[0], None);
    assert!(lanes.by_subscription.is_empty());
    assert_eq!(lanes.in_flight(), 0);
}

#[test]
fn what_is_withdrawn_is_not_attempted() {
    let mut lanes = Lanes::new(LIMITS);
    lane_with(&mut lanes, 6);
    assert_eq!(lanes.withdraw(|it| it.ticket.partition == 0).len(), 3);
    let begun = turns(&mut lanes);
    assert_eq!(offsets(&begun), [1, 3, 5]);
    for turn in &begun {
        end(&mut lanes, turn, None);
    }
    assert_eq!((lanes.in_flight(), lanes.queued()), (0, 0));
}

#[test]
fn a_lane_that_was_emptied_costs_the_next_no_turn() {
    let mut lanes = Lanes::new(LIMITS);
    let emptied = lane_with(&mut lanes, 2);
    let other = lane_with(&mut lanes, 1);
    assert_eq!(lanes.withdraw_from(emptied.id, |_| true).len(), 2);
    assert_eq!(turns(&mut lanes)[0].lane(), other.id);
    lanes.sweep(Instant::now());
    assert!(!lanes.by_subscription.contains_key(&emptied.id));
}

#[test]
fn a_changed_subscription_redirects_what_is_queued() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 1);
    let mut moved = subscription("http://localhost:1");
    moved.id = lane.id;
    let moved = Arc::new(moved);
    lanes.change(&moved, Instant::now());
    assert!(Arc::ptr_eq(&turns(&mut lanes)[0].subscription, &moved));
}

#[test]
fn a_slow_request_gives_its_place_to_others_and_slows_its_own_lane() {
    let mut lanes = Lanes::new(LIMITS);
    let hangs = lane_with(&mut lanes, 8);
    let begun = turns(&mut lanes);
    assert_eq!(begun.len(), 4);
    for turn in &begun {
        lanes.became_slow(&turn.delivery);
    }
    assert_eq!(lanes.in_flight(), 0);
    assert!(turns(&mut lanes).is_empty());
    lane_with(&mut lanes, 8);
    assert_eq!(turns(&mut lanes).len(), 4);
    // With one slow request left, one more may go.
    for turn in &begun[..3] {
        lanes.finished(&turn.delivery, None, true, Instant::now());
    }
    let more = turns(&mut lanes);
    assert_eq!((more.len(), more[0].lane()), (1, hangs.id));
}

#[test]
fn a_shut_lane_begins_nothing_and_one_that_is_probed_one_at_a_time() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 3);
    lanes.set_gate(&lane, Gate::Shut, breaker::State::Open);
    assert!(turns(&mut lanes).is_empty());
    assert_eq!(lanes.room_for_retries(lane.id), 0);
    lanes.set_gate(&lane, Gate::Probe, breaker::State::HalfOpen);
    let probe = turns(&mut lanes);
    assert_eq!(probe.len(), 1);
    end(&mut lanes, &probe[0], None);
    assert_eq!(turns(&mut lanes).len(), 1);
}

#[test]
fn a_receiver_that_cannot_be_reached_gets_one_request_at_a_time() {
    let mut lanes = Lanes::new(LIMITS);
    lane_with(&mut lanes, 8);
    let begun = turns(&mut lanes);
    for turn in &begun {
        end(&mut lanes, turn, Some(Failure::ConnectRefused));
    }
    assert_eq!(turns(&mut lanes).len(), 1);
}

#[test]
fn an_ordered_lane_has_one_delivery_of_a_key_in_flight() {
    let mut lanes = Lanes::new(LIMITS);
    let mut ordered = subscription("http://localhost:9099");
    ordered.policy.ordered = true;
    let ordered = Arc::new(ordered);
    for (offset, key) in [(0, "Oslo"), (1, "Oslo"), (2, "Rome"), (3, "Oslo")] {
        let delivery = of_key(ordered.id, offset, Source::Log, Some(key));
        lanes.queue(&ordered, delivery);
    }
    let begun = turns(&mut lanes);
    assert_eq!(offsets(&begun), [0, 2]);
    end(&mut lanes, &begun[0], None);
    assert_eq!(offsets(&turns(&mut lanes)), [1]);
}

#[test]
fn of_what_waits_in_a_coalescing_lane_only_the_newest_of_a_key_is_left() {
    let mut lanes = Lanes::new(LIMITS);
    let mut coalesces = subscription("http://localhost:9099");
    coalesces.policy.coalesces = true;
    let lane = Arc::new(coalesces);
    let mut superseded = Vec::new();
    for (offset, source, key) in [
        (0, Source::Log, "Oslo"),
        (2, leased(), "Oslo"),
        (4, Source::Log, "Rome"),
        (6, Source::Log, "Oslo"),
        (2, leased(), "Rome"),
    ] {
        let older = lanes.queue(&lane, of_key(lane.id, offset, source, Some(key)));
        superseded.extend(older.iter().map(|delivery| delivery.ticket.offset));
    }
    assert_eq!(superseded, [0, 2, 2]);
    assert_eq!(offsets(&turns(&mut lanes)), [4, 6]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_lets_a_lane_go_on_when_it_has_waited() {
    let mut lanes = Lanes::new(LIMITS);
    let mut limited = subscription("http://localhost:9099");
    limited.policy.rate_limit = Some(1.0);
    let lane = Arc::new(limited);
    for offset in 0..3 {
        lanes.queue(&lane, to(lane.id, offset, Source::Log));
    }
    assert_eq!(offsets(&turns(&mut lanes)), [0]);
    let wake = lanes.next_wake(Instant::now()).unwrap();
    tokio::time::sleep_until(wake).await;
    assert_eq!(offsets(&turns(&mut lanes)), [1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_again_goes_at_a_rate_of_its_own_and_what_comes_live_does_not() {
    let mut lanes = Lanes::new(Limits {
        catch_up: 4,
        catch_up_rate: 4.0,
        ..LIMITS
    });
    let lane = Arc::new(subscription("http://localhost:9099"));
    for offset in 0..2 {
        lanes.queue(&lane, to(lane.id, offset, Source::CatchUp));
    }
    assert_eq!(offsets(&turns(&mut lanes)), [0]);
    lanes.queue(&lane, to(lane.id, 2, Source::Log));
    assert_eq!(offsets(&turns(&mut lanes)), [2]);
    let wake = lanes.next_wake(Instant::now()).unwrap();
    assert!(wake >= Instant::now() + Duration::from_millis(250));
    tokio::time::sleep_until(wake).await;
    assert_eq!(offsets(&turns(&mut lanes)), [1]);
    assert_eq!(lanes.next_wake(Instant::now()), None);
}
