//! Which full lanes hold the topic up, and which leave the log.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lane_is_overdue_when_its_oldest_delivery_has_waited_too_long_for_its_receiver() {
    let mut lanes = Lanes::new(LIMITS);
    let (late, patience) = (lane_with(&mut lanes, 6), Duration::from_secs(5));
    assert_eq!(turns(&mut lanes).len(), 4);
    assert!(lanes.overdue(Instant::now(), patience).is_empty());
    tokio::time::advance(Duration::from_secs(6)).await;
    lane_with(&mut lanes, 1);
    assert_eq!(lanes.overdue(Instant::now(), patience), [late.id]);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_waits_for_its_turn_stays_on_the_log_however_long() {
    let mut lanes = Lanes::new(LIMITS);
    for deliveries in [4, 2] {
        lane_with(&mut lanes, deliveries);
    }
    assert_eq!(turns(&mut lanes).len(), LIMITS.in_flight);
    lane_with(&mut lanes, i64::try_from(LIMITS.queue).unwrap());
    tokio::time::advance(Duration::from_mins(1)).await;
    let now = Instant::now();
    assert!(lanes.overdue(now, Duration::from_secs(5)).is_empty());
    assert_eq!(lanes.full(now), (true, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_holds_the_topic_up_only_while_it_delivers() {
    let mut lanes = Lanes::new(LIMITS);
    let lane = lane_with(&mut lanes, 8);
    assert_eq!(lanes.full(Instant::now()), (true, vec![]));
    // It has all in flight that it may, and is full again.
    let begun = turns(&mut lanes);
    assert!(!lanes.is_any_full());
    for offset in 8..12 {
        lanes.queue(&lane, to(lane.id, offset, Source::Log));
    }
    assert_eq!(lanes.full(Instant::now()), (true, vec![]));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(lanes.full(Instant::now()), (false, vec![lane.id]));
    end(&mut lanes, &begun[0], None);
    assert_eq!(lanes.full(Instant::now()), (true, vec![]));
}

/// Fills a lane that takes a hundred times as long for a delivery as others do, which take so long.
fn fill_beside_faster(lanes: &mut Lanes, slow: &Arc<Subscription>, latency: Duration) {
    let queue = |lanes: &mut Lanes, offset| {
        let delivery = of_key(slow.id, offset, Source::Log, Some("Oslo"));
        lanes.queue(slow, delivery);
    };
    queue(lanes, 0);
    for offset in 1..200 {
        lane_with(lanes, 1);
        for turn in turns(lanes) {
            let mut delivered = attempt(None);
            delivered.latency = latency;
            if turn.lane() == slow.id {
                delivered.latency *= 100;
                queue(lanes, offset);
            }
            lanes.finished(&turn.delivery, Some(&delivered), false, Instant::now());
        }
    }
    for offset in 200..220 {
        queue(lanes, offset);
    }
}

#[test]
fn a_lane_that_is_slower_than_the_others_does_not_hold_the_topic_up() {
    let mut lanes = Lanes::new(LIMITS);
    let slow = lane_with(&mut lanes, 0);
    fill_beside_faster(&mut lanes, &slow, LATENCY);
    assert_eq!(lanes.full(Instant::now()), (false, vec![slow.id]));
}

#[test]
fn a_lane_that_is_faster_than_it_could_catch_up_stays_on_the_log() {
    let mut lanes = Lanes::new(LIMITS);
    let slow = lane_with(&mut lanes, 0);
    // 2 ms for 4 at once: 2,000 a second, where 1,000 may catch up.
    fill_beside_faster(&mut lanes, &slow, Duration::from_micros(20));
    assert_eq!(lanes.full(Instant::now()), (true, vec![]));
}

#[test]
fn where_deliveries_are_ordered_as_many_count_as_are_in_flight() {
    let mut lanes = Lanes::new(LIMITS);
    let mut ordered = subscription("http://localhost:9099");
    ordered.policy.ordered = true;
    let slow = Arc::new(ordered);
    // 2 ms for one of its one key: 500 a second.
    fill_beside_faster(&mut lanes, &slow, Duration::from_micros(20));
    assert_eq!(lanes.full(Instant::now()), (false, vec![slow.id]));
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_only_fails_does_not_hold_the_topic_up_however_fast_it_does() {
    let mut lanes = Lanes::new(LIMITS);
    let failing = lane_with(&mut lanes, 16);
    for offset in 16..20 {
        assert_eq!(lanes.full(Instant::now()), (true, vec![]));
        for turn in turns(&mut lanes) {
            end(&mut lanes, &turn, Some(Failure::Http4xx));
            lanes.queue(&failing, to(failing.id, offset, Source::Log));
        }
        tokio::time::advance(Duration::from_millis(70)).await;
    }
    assert_eq!(lanes.full(Instant::now()), (false, vec![failing.id]));
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_that_could_begin_nothing_for_a_while_is_given_time_to_show_itself() {
    let mut lanes = Lanes::new(LIMITS);
    lane_with(&mut lanes, 16);
    for turn in turns(&mut lanes) {
        end(&mut lanes, &turn, None);
    }
    assert!(lanes.is_any_full());
    // Nothing begins while outcomes cannot be recorded.
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(turns(&mut lanes).len(), 4);
    assert_eq!(lanes.full(Instant::now()), (true, vec![]));
}
