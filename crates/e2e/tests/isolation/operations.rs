//! What happens to subscriptions is an event as well, for who names its type.

use e2e::receiver::Receiver;
use e2e::stage::until;
use serde_json::{Value, json};

use crate::two::{EVENTS, Two};

/// The types of the operational events that arrived, and whom they are about.
fn told(operator: &Receiver) -> Vec<(String, String)> {
    let bodies = operator.bodies("ops");
    let events = bodies
        .iter()
        .map(|body| serde_json::from_slice::<Value>(body).unwrap());
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    events
        .map(|event| (text(&event, "type"), text(&event, "subscription_name")))
        .collect()
}

#[tokio::test]
async fn an_operator_hears_that_a_circuit_opened_and_closed_and_that_all_was_caught_up() {
    let two = Two::new().await;
    let operator = Receiver::new().await;
    let subscription = json!({
        "name": "operator", "url": format!("{}/ops", operator.url),
        "event_types": ["subscription.*", "delivery.*"],
    });
    two.stage.post("/subscriptions", &subscription).await;
    two.ill.answer(503);
    let _processor = two.processor();
    two.publish().ended().await;
    two.until_detached().await;
    let hears = async |event_type: &str| {
        until(event_type, async || {
            told(&operator).contains(&(event_type.into(), "ill".into()))
        })
        .await;
    };
    hears("subscription.circuit_opened").await;
    two.ill.answer(200);
    hears("subscription.circuit_closed").await;
    hears("subscription.recovered").await;
    two.until_all_is_well().await;
    // Nobody else is told, and no reading goes to the operator.
    assert_eq!(two.well.distinct("a"), EVENTS);
    assert!(told(&operator).iter().all(|(_, about)| about == "ill"));
}
