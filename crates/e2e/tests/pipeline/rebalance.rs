//! A replica that joins while requests are in flight.

use std::time::Duration;

use e2e::load::{ALL_IN_FLIGHT, Load};
use e2e::receiver::Receiver;
use e2e::stage::until;

/// How long a receiver takes to answer: longer than a rebalance waits for it.
const SLOW: Duration = Duration::from_millis(200);
const REVOKE_TIMEOUT: &str = "50ms";

/// Slow receivers get that many events.
const EVENTS: usize = 400;

#[tokio::test]
async fn a_rebalance_while_requests_are_in_flight_repeats_no_more_than_those() {
    let (load, hanging) = (Load::of(EVENTS).await, Receiver::new().await);
    let stage = &load.stage;
    let url = format!("{}/c", hanging.url);
    stage.subscribe("hanging", &url).await;
    hanging.hang(true);
    load.receiver.delay(SLOW);
    // What hangs ends at the deadline, so that it can be tried again.
    let settings = [
        ("REVOKE_TIMEOUT", REVOKE_TIMEOUT),
        ("ATTEMPT_TIMEOUT", "2s"),
        ("RETRY_SCHEDULE", "1s,1s,1s,1s,1s,1s,1s,1s"),
    ];
    let _first = stage.processor(&settings);
    let system = load.publish();
    load.until_arrived(load.deliveries() / 8).await;
    until("requests hang", async || hanging.hung() > 0).await;
    let _second = stage.processor(&settings);
    until("both own partitions", async || stage.owners().await == 2).await;
    hanging.hang(false);
    system.ended().await;
    until("what hung arrives", async || {
        hanging.distinct("c") == EVENTS
    })
    .await;
    load.all_arrived().await;
    load.repeated_at_most(ALL_IN_FLIGHT);
    assert_eq!(hanging.duplicates(), 0);
}
