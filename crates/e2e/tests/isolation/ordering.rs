//! `ordering: per_key`: a city that fails holds back that city, and no other.

use std::collections::{HashMap, HashSet};

use e2e::receiver::{Arrival, Receiver};
use e2e::stage::until;
use serde_json::{Value, json};

use crate::one::One;

const EVENTS: usize = 2000;

/// As it stands in the events of the city that fails.
const FAILING: &str = r#""city":"Tokyo""#;

/// The readings of each city, as they arrived first.
fn by_city(arrivals: &[Arrival]) -> HashMap<String, Vec<Value>> {
    let mut seen = HashSet::new();
    let mut by_city: HashMap<String, Vec<Value>> = HashMap::new();
    for arrival in arrivals {
        if seen.insert(arrival.id.clone()) {
            let event: Value = serde_json::from_slice(&arrival.body).unwrap();
            let city = event["city"].as_str().unwrap().to_owned();
            by_city.entry(city).or_default().push(event);
        }
    }
    by_city
}

/// Each reading names the one before it.
fn assert_in_order(arrivals: &[Arrival]) {
    for (city, events) in by_city(arrivals) {
        assert!(events[0]["previous_reading"].is_null(), "{city}");
        for pair in events.windows(2) {
            assert_eq!(pair[1]["previous_reading"], pair[0]["reading"], "{city}");
        }
    }
}

#[tokio::test]
async fn a_city_that_fails_holds_back_itself_alone_also_across_a_restart() {
    let one = One::with(json!({"ordering": "per_key"})).await;
    let all = Receiver::new().await;
    one.stage
        .subscribe("all", &format!("{}/all", all.url))
        .await;
    one.receiver.refuse(Some(FAILING));
    let processor = one.processor();
    one.publish(EVENTS).await;
    until("the other has all", async || all.distinct("all") == EVENTS).await;
    let failing = by_city(&all.arrivals("all"))["Tokyo"].len();
    assert!(failing > 1, "{failing}");
    one.until_arrived(EVENTS - failing).await;
    assert_in_order(&one.receiver.arrivals("a"));
    processor.kill();
    let _processor = one.processor();
    until("its retries go on", async || {
        let sql = "SELECT COALESCE(max(attempts), 0)::bigint FROM pending_deliveries";
        one.stage.count(sql).await >= 3
    })
    .await;
    // The first of them alone was attempted.
    let sql = "SELECT count(*) FROM pending_deliveries WHERE attempts > 0";
    assert_eq!(one.stage.count(sql).await, 1);
    one.receiver.refuse(None);
    one.until_arrived(EVENTS).await;
    assert_in_order(&one.receiver.arrivals("a"));
    one.until_nothing_is_left().await;
}

#[tokio::test]
async fn order_is_kept_by_one_that_was_off_the_log() {
    let one = One::with(json!({"ordering": "per_key"})).await;
    one.receiver.answer(503);
    let _processor = one.processor();
    one.publish(EVENTS).await;
    until("it is held back", async || {
        one.shown().await["held_back"].is_object()
    })
    .await;
    one.receiver.answer(200);
    one.publish(EVENTS / 2).await;
    one.until_arrived(EVENTS + EVENTS / 2).await;
    one.until_nothing_is_left().await;
    for (city, events) in by_city(&one.receiver.arrivals("a")) {
        let follows = |pair: &&[Value]| pair[1]["previous_reading"] == pair[0]["reading"];
        let breaks = events.windows(2).filter(|pair| !follows(pair)).count();
        // The second simulation knows nothing of the first.
        assert!(breaks <= 1, "{city}: {breaks}");
    }
}
