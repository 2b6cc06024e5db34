//! The table `circuits` on a real Postgres: what is shared of receivers that are not well.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

use common::store::circuits::{self, Circuit, Failures};
use sqlx::PgPool;
use uuid::Uuid;

const TOPIC: &str = "updates";

async fn subscription(db: &PgPool) -> Uuid {
    let id = Uuid::now_v7();
    let sql = "INSERT INTO subscriptions (id, name, url) VALUES ($1, $2, 'http://localhost:9')";
    sqlx::query(sql)
        .bind(id)
        .bind(id.to_string())
        .execute(db)
        .await
        .unwrap();
    id
}

fn failing(id: Uuid, wait: f64) -> Failures {
    Failures {
        subscription_ids: vec![id],
        ages_seconds: vec![3.0],
        classes: vec!["timeout"],
        waits_seconds: vec![wait],
        jitters: vec![1.0],
    }
}

/// In how many seconds it is probed, and the wait before jitter.
async fn due(db: &PgPool) -> (i64, i64) {
    let sql = "SELECT round(extract(epoch FROM probe_at - updated_at))::bigint, probe_delay_ms
               FROM circuits";
    sqlx::query_as(sql).fetch_one(db).await.unwrap()
}

async fn make_due(db: &PgPool) {
    let sql = "UPDATE circuits SET probe_at = now() - interval '1 minute'";
    sqlx::query(sql).execute(db).await.unwrap();
}

async fn take(db: &PgPool, prober: &str) -> u64 {
    let partitions = (TOPIC, [0].as_slice());
    circuits::take_probes(db, partitions, prober, 10)
        .await
        .unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn each_probe_that_fails_doubles_the_wait_up_to_its_limit(db: PgPool) {
    let id = subscription(&db).await;
    for expected in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
        circuits::trip_all(&db, &failing(id, 0.0)).await.unwrap();
        assert_eq!(due(&db).await, (expected, expected * 1000));
        make_due(&db).await;
        assert_eq!(take(&db, "us").await, 1);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_that_asks_to_wait_is_not_probed_before_and_nothing_doubles_that(db: PgPool) {
    let id = subscription(&db).await;
    for delay in [5, 10] {
        circuits::trip_all(&db, &failing(id, 3000.0)).await.unwrap();
        assert_eq!(due(&db).await, (3000, delay * 1000));
        make_due(&db).await;
        take(&db, "us").await;
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_replica_probes_at_a_time_and_another_when_it_is_lost(db: PgPool) {
    let id = subscription(&db).await;
    circuits::trip_all(&db, &failing(id, 0.0)).await.unwrap();
    assert_eq!(take(&db, "first").await, 0);
    make_due(&db).await;
    assert_eq!(
        (take(&db, "first").await, take(&db, "second").await),
        (1, 0)
    );
    let prober = circuits::open(&db, id).await.unwrap().unwrap().prober;
    assert_eq!(prober.as_deref(), Some("first"));
    make_due(&db).await;
    assert_eq!(take(&db, "second").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_that_is_open_already_stays_as_it_is(db: PgPool) {
    let id = subscription(&db).await;
    for _ in 0..3 {
        circuits::trip_all(&db, &failing(id, 0.0)).await.unwrap();
    }
    assert_eq!(due(&db).await, (5, 5000));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_success_forgets_failures_and_does_not_close_what_is_open(db: PgPool) {
    let (fails, open) = (subscription(&db).await, subscription(&db).await);
    circuits::note_failures(&db, &failing(fails, 0.0))
        .await
        .unwrap();
    circuits::trip_all(&db, &failing(open, 0.0)).await.unwrap();
    circuits::note_successes(&db, &[fails, open]).await.unwrap();
    let left = circuits::all_open(&db).await.unwrap();
    let still_open = Circuit {
        subscription_id: open,
        prober: None,
    };
    assert_eq!(left, [still_open]);
    circuits::close_all(&db, &[open]).await.unwrap();
    assert!(circuits::all_open(&db).await.unwrap().is_empty());
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_paused_is_not_probed(db: PgPool) {
    let id = subscription(&db).await;
    circuits::trip_all(&db, &failing(id, 0.0)).await.unwrap();
    make_due(&db).await;
    let sql = "UPDATE subscriptions SET state = 'paused'";
    sqlx::query(sql).execute(&db).await.unwrap();
    assert_eq!(take(&db, "us").await, 0);
}
