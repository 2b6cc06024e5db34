//! The byte budget holds, whatever subscribers and producers do.

use e2e::stage::{Stage, until};
use tokio::net::TcpListener;

use crate::unusual::event;

const SUBSCRIPTIONS: usize = 10_000;

/// Each of them gets every event: without the budget that is more than it allows.
const EVENTS: usize = 200;

/// Readings alone: of circuits that open it is told meanwhile, by events too.
const TAKEN: &str = "processor_events_total{pipeline=\"readings\"}";

const MIB: usize = 1024 * 1024;
const BUDGET: usize = 64 * MIB;

/// What the program takes besides.
const BESIDES: usize = 150 * MIB;

/// Half of them at a receiver that hangs, the others where nobody listens.
async fn subscribe_all(stage: &Stage, hanging: &str, dead: &str) {
    let sql = "INSERT INTO subscriptions (id, name, url)
        SELECT gen_random_uuid(), 'dead-' || n, CASE WHEN n % 2 = 0 THEN $1 ELSE $2 END
        FROM generate_series(1, $3) AS n";
    let mut db = stage.database().await;
    sqlx::query(sql)
        .bind(hanging)
        .bind(dead)
        .bind(i32::try_from(SUBSCRIPTIONS).unwrap())
        .execute(&mut db)
        .await
        .unwrap();
}

/// As metrics have it.
fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

fn url(listener: &TcpListener) -> String {
    format!("http://{}/", listener.local_addr().unwrap())
}

#[tokio::test]
async fn memory_stays_within_the_budget_with_ten_thousand_dead_receivers() {
    let stage = Stage::new().await;
    // Connections are made, and never taken.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    subscribe_all(&stage, &url(&hanging), &url(&dead)).await;
    drop(dead);
    let budget = BUDGET.to_string();
    let processor = stage.processor(&[
        ("MEMORY_BUDGET", &*budget),
        ("FLUSH_OUTCOMES", "5000"),
        ("ATTEMPT_TIMEOUT", "1s"),
        (
            "RETRY_SCHEDULE",
            "100ms,100ms,100ms,100ms,100ms,100ms,100ms,100ms",
        ),
        ("PENDING_POLL", "100ms"),
    ]);
    let events: Vec<_> = (0..EVENTS).map(|_| event("Oslo", 0)).collect();
    stage.broker.publish(&events);
    until("all events were taken", async || {
        processor.metric(TAKEN).await == Some(number(EVENTS))
    })
    .await;
    until("most of them are detached", async || {
        let sql = "SELECT count(DISTINCT subscription_id) FROM cursors WHERE end_offset IS NULL";
        stage.count(sql).await > 9 * 1000
    })
    .await;
    let peak = processor.peak_memory();
    assert!(peak <= BUDGET + BESIDES, "{} MiB", peak / MIB);
}
