//! Postgres stopped, killed, and ending connections at the worst moment, while load runs.

use e2e::load::{EVENTS, Load, OUTLASTING};
use e2e::program::Program;
use e2e::stage::{Stage, until};
use sqlx::PgConnection;

use crate::servers::Servers;

async fn until_postgres_is(processor: &Program, well: bool) {
    until("readiness follows Postgres", async || {
        (processor.component("postgres").await == "ok") == well
            && processor.is_ready().await == well
    })
    .await;
}

/// How often it was tried by then, with growing pauses, is longer than `LIVENESS_TIMEOUT` here.
const TRIES: f64 = 5.0;

/// Waits until outcomes could not be recorded for longer than a loop may be stuck.
async fn until_it_has_lasted(processor: &Program) {
    let before = processor.metric(FLUSH_FAILURES).await.unwrap();
    until("outcomes cannot be recorded for long", async || {
        processor.metric(FLUSH_FAILURES).await.unwrap() >= before + TRIES
    })
    .await;
    let said = processor.component("postgres").await;
    let said = said.as_str().unwrap();
    for part in ["recorder: outcomes cannot be recorded: ", "(since 20"] {
        assert!(said.contains(part), "{said}");
    }
}

const FLUSH_FAILURES: &str = "processor_flush_failures_total";

/// How many attempts are recorded; what became of a delivery without one is recorded too.
const POSTS: &str = "SELECT count(*) FROM attempts WHERE total_us IS NOT NULL";

#[tokio::test]
async fn postgres_stopped_and_killed_under_load_costs_nothing() {
    let servers = Servers::new().await;
    let load = Load::of(OUTLASTING).await;
    let processor = load.stage.processor(&[("LIVENESS_TIMEOUT", "1s")]);
    let system = load.publish();
    for (end, part) in [("stop-postgres", 8), ("kill-postgres", 3)] {
        load.until_arrived(load.deliveries() / part).await;
        servers.run(end).await;
        until_postgres_is(&processor, false).await;
        until_it_has_lasted(&processor).await;
        assert_eq!(processor.liveness().await, (200, "ok\n".into()));
        servers.run("start-postgres").await;
        until_postgres_is(&processor, true).await;
    }
    system.ended().await;
    load.all_arrived().await;
    load.repeated_at_most(0);
}

/// Commits that are done, and not answered: they wait for a standby.
const UNANSWERED: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'processor'
      AND wait_event = 'SyncRep' AND query = 'COMMIT'";

/// Ends their connections: Postgres keeps what was committed, and tells nobody.
const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'processor'
      AND wait_event = 'SyncRep'";

/// Commits wait for a standby from now on; there is none.
const WAIT: &str = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'";

/// They wait no more.
const GO_ON: &str = "ALTER SYSTEM RESET synchronous_standby_names";

async fn configure(db: &mut PgConnection, setting: &'static str) {
    for statement in [setting, "SELECT pg_reload_conf()"] {
        sqlx::query(statement).execute(&mut *db).await.unwrap();
    }
}

async fn end_unanswered(stage: &Stage) {
    let mut db = stage.database().await;
    configure(&mut db, WAIT).await;
    until("a commit has no answer", async || {
        stage.count(UNANSWERED).await > 0
    })
    .await;
    sqlx::query(END).execute(&mut db).await.unwrap();
    configure(&mut db, GO_ON).await;
}

#[tokio::test]
async fn a_commit_that_was_done_but_not_answered_is_not_made_twice() {
    let _servers = Servers::new().await;
    let load = Load::of(EVENTS).await;
    let _processor = load.stage.processor(&[]);
    let system = load.publish();
    for part in [4, 3, 2] {
        load.until_arrived(load.deliveries() / part).await;
        end_unanswered(&load.stage).await;
    }
    system.ended().await;
    load.all_arrived().await;
    load.repeated_at_most(0);
    until("all is recorded once", async || {
        let recorded = load.stage.count(POSTS).await;
        usize::try_from(recorded).unwrap() == load.deliveries()
    })
    .await;
}
