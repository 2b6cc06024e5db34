//! The recorder's transaction, interrupted where it hurts: all of it is written, or none.

use e2e::load::{EVENTS, Load, PER_KILL};
use e2e::log::Log;
use e2e::receiver::Receiver;
use e2e::relay::Relay;
use e2e::stage::{Stage, until};
use sqlx::{Connection, PgConnection};

use crate::unusual::event;

/// Connections of the processor to this database.
const CONNECTED: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'processor'";

/// Those of them that wait for a lock.
const BLOCKED: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'processor'
      AND wait_event_type = 'Lock'";

/// Ends the connections that committed last and do nothing now: that of the recorder is one of them.
const CUT_WRITER: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'processor'
      AND state = 'idle' AND query = 'COMMIT'";

/// The end of what is sent to end a transaction. The pool asks of what it has back whether it lives, so on a connection
/// that is kept it is the last, and on others it is not.
const COMMIT: &[u8] = b"COMMIT\0";

/// What the recorder says of it.
const REPLACED: &str = "the connection for outcomes is gone; taking another";

/// How far it is settled, and how many attempts are recorded.
async fn written(stage: &Stage) -> (usize, i64) {
    let attempts = "SELECT count(*) FROM attempts";
    (stage.passed().await, stage.count(attempts).await)
}

#[tokio::test]
async fn a_kill_in_the_middle_of_the_transaction_leaves_nothing_of_it() {
    let load = Load::of(EVENTS).await;
    let stage = &load.stage;
    let processor = stage.processor(&[]);
    let system = load.publish();
    load.until_arrived(load.deliveries() / 4).await;
    // Progress is written before the attempts, and they have to wait here.
    let mut db = stage.database().await;
    let mut barrier = db.begin().await.unwrap();
    sqlx::query("LOCK TABLE attempts IN SHARE MODE")
        .execute(&mut *barrier)
        .await
        .unwrap();
    until("the transaction waits", async || {
        stage.count(BLOCKED).await > 0
    })
    .await;
    let before = written(stage).await;
    processor.kill();
    barrier.rollback().await.unwrap();
    until("Postgres has noticed", async || {
        stage.count(CONNECTED).await == 0
    })
    .await;
    assert_eq!(written(stage).await, before);
    let _processor = stage.processor(&[]);
    system.ended().await;
    load.all_arrived().await;
    load.repeated_at_most(PER_KILL);
}

#[tokio::test]
async fn connections_cut_again_and_again_cost_nothing() {
    let load = Load::of(EVENTS).await;
    let stage = &load.stage;
    let _processor = stage.processor(&[]);
    let system = load.publish();
    let mut db = stage.database().await;
    let cuts = 20;
    for cut in 1..=cuts {
        load.until_arrived(load.deliveries() * cut / (cuts + 1))
            .await;
        cut_all(&mut db).await;
    }
    system.ended().await;
    load.all_arrived().await;
    load.repeated_at_most(0);
    until("all is recorded once", async || {
        usize::try_from(written(stage).await.1).unwrap() == load.deliveries()
    })
    .await;
}

#[tokio::test]
async fn a_connection_cut_between_flushes_is_replaced_and_no_flush_fails() {
    let stage = Stage::new().await;
    let mut db = stage.database().await;
    replaces_its_connection(&stage, &stage.database_url, async || {
        let cut = sqlx::query(CUT_WRITER).execute(&mut db).await.unwrap();
        cut.rows_affected() > 0
    })
    .await;
}

#[tokio::test]
async fn a_connection_gone_silent_between_flushes_is_replaced_and_no_flush_fails() {
    let stage = Stage::new().await;
    let relay = Relay::to(&stage.database_url).await;
    replaces_its_connection(&stage, &relay.url, async || relay.silence(COMMIT) > 0).await;
}

/// A processor records one event after the other, and in between loses the connection that wrote, once `lose`
/// finds one.
async fn replaces_its_connection(
    stage: &Stage,
    database_url: &str,
    mut lose: impl AsyncFnMut() -> bool,
) {
    let receiver = Receiver::new().await;
    stage.subscribe("a", &format!("{}/a", receiver.url)).await;
    let log = Log::new();
    // Little else is written meanwhile.
    let settings = [
        ("DATABASE_URL", database_url),
        ("STATISTICS_INTERVAL", "1h"),
    ];
    let processor = stage.processor_logged("processor=info", &settings, &log);
    let replaced = || log.text().matches(REPLACED).count();
    let (mut recorded, wanted) = (0, 3);
    // What was lost may have been another's, that had just committed.
    while replaced() < wanted && recorded < 10 {
        recorded += 1;
        stage.broker.publish(&[event("Oslo", 0)]);
        until("it is recorded", async || {
            written(stage).await.1 == recorded
        })
        .await;
        until("a connection is lost", &mut lose).await;
    }
    assert!(replaced() >= wanted, "{}", log.text());
    let failures = processor.metric("processor_flush_failures_total").await;
    assert_eq!(failures, Some(0.0));
}

async fn cut_all(db: &mut PgConnection) {
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'processor'";
    sqlx::query(cut).execute(db).await.unwrap();
}
