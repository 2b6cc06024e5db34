//! Kafka stopped and killed, while load runs and while all is quiet.

use e2e::load::{Load, OUTLASTING, PER_KILL};
use e2e::program::Program;
use e2e::stage::until;

use crate::servers::Servers;

async fn until_kafka_is(program: &Program, well: bool) {
    until("readiness follows Kafka", async || {
        (program.component("kafka").await == "ok") == well
    })
    .await;
}

#[tokio::test]
async fn kafka_stopped_and_killed_under_load_loses_nothing() {
    let servers = Servers::new().await;
    let load = Load::of(OUTLASTING).await;
    let processor = load.stage.processor(&[]);
    let system = load.publish();
    for (end, part) in [("stop-kafka", 8), ("kill-kafka", 3)] {
        load.until_arrived(load.deliveries() / part).await;
        servers.run(end).await;
        until_kafka_is(&processor, false).await;
        until_kafka_is(&system, false).await;
        servers.run("start-kafka").await;
        until_kafka_is(&processor, true).await;
    }
    let printed = system.ended().await;
    assert_eq!(printed.trim(), format!("published {OUTLASTING}, failed 0"));
    assert_eq!(load.stage.broker.stored().len(), OUTLASTING);
    load.all_arrived().await;
    // Only a partition that was lost meanwhile is begun again, as after a kill.
    load.repeated_at_most(2 * PER_KILL);
}

#[tokio::test]
async fn kafka_that_is_back_is_seen_on_a_quiet_topic() {
    let servers = Servers::new().await;
    let load = Load::of(1).await;
    let processor = load.stage.processor(&[("LIVENESS_TIMEOUT", "1s")]);
    until_kafka_is(&processor, true).await;
    servers.run("stop-kafka").await;
    // Both topics' consumers, each with what its client said.
    until("both say why", async || {
        let said = processor.component("kafka").await;
        let said = said.as_str().unwrap_or_default().to_owned();
        ["operations: ", "readings: ", "Connect", "(since 20"]
            .iter()
            .all(|part| said.contains(part))
    })
    .await;
    assert_eq!(processor.liveness().await, (200, "ok\n".into()));
    servers.run("start-kafka").await;
    until_kafka_is(&processor, true).await;
    load.publish().ended().await;
    load.all_arrived().await;
    load.repeated_at_most(0);
}
