//! The partitions of `attempts` on a real Postgres, at times that the tests say; and a day of `statistics_minutes`.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use common::store::attempts::days;
use processor::maintenance::keep_days;
use processor::store::statistics_minutes;
use sqlx::PgPool;
use tokio::task::JoinSet;
use uuid::Uuid;

const RETENTION: Duration = Duration::from_hours(14 * 24);

async fn record(db: &PgPool, at: DateTime<Utc>) {
    let sql =
        "INSERT INTO attempts (attempted_at, subscription_id, event_offset, partition, number,
                   outcome, topic, event_id)
               VALUES ($1, $2, 7, 3, 1, 'delivered', 'updates', 'event-7')";
    let insert = sqlx::query(sql).bind(at).bind(Uuid::nil());
    insert.execute(db).await.unwrap();
}

async fn count(db: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn days_are_made_ahead_take_what_came_early_and_are_dropped_when_they_are_over(db: PgPool) {
    let now: DateTime<Utc> = "2026-11-23T21:00:00Z".parse().unwrap();
    // Nobody kept the days until now.
    record(&db, now).await;
    record(&db, now - TimeDelta::days(9)).await;
    for _ in 0..2 {
        keep_days(&db, now, RETENTION).await.unwrap();
        let mut made = days::made(&db).await.unwrap();
        made.sort_unstable();
        let made: Vec<String> = made.iter().map(ToString::to_string).collect();
        let expected = [
            "2026-11-14",
            "2026-11-22",
            "2026-11-23",
            "2026-11-24",
            "2026-11-25",
        ];
        assert_eq!(made, expected);
    }
    assert_eq!(count(&db, "SELECT count(*) FROM attempts_default").await, 0);
    assert_eq!(
        count(&db, "SELECT count(*) FROM attempts_20261123").await,
        1
    );
    assert_eq!(count(&db, "SELECT count(*) FROM attempts").await, 2);

    let later = now + TimeDelta::days(6);
    keep_days(&db, later, RETENTION).await.unwrap();
    assert_eq!(count(&db, "SELECT count(*) FROM attempts").await, 1);
    assert!(
        days::made(&db)
            .await
            .unwrap()
            .contains(&(later + TimeDelta::days(2)).date_naive())
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn who_reads_for_long_holds_up_the_days_and_not_who_records(db: PgPool) {
    let now: DateTime<Utc> = "2026-11-23T21:00:00Z".parse().unwrap();
    keep_days(&db, now, RETENTION).await.unwrap();
    let mut reader = db.begin().await.unwrap();
    sqlx::query("SELECT FROM attempts")
        .execute(&mut *reader)
        .await
        .unwrap();
    let later = now + TimeDelta::days(30);
    let error = keep_days(&db, later, RETENTION).await.unwrap_err();
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .unwrap();
    assert_eq!(code, "55P03", "the lock is not waited for: {error}");
    record(&db, later).await;
    reader.rollback().await.unwrap();
    keep_days(&db, later, RETENTION).await.unwrap();
    assert!(!days::made(&db).await.unwrap().contains(&now.date_naive()));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_day_is_made_while_its_rows_are_being_written(db: PgPool) {
    let now: DateTime<Utc> = "2026-11-23T21:00:00Z".parse().unwrap();
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let db = db.clone();
        writers.spawn(async move {
            for written in 0..600 {
                record(&db, now - TimeDelta::days(written % 12)).await;
            }
        });
    }
    while !writers.is_empty() {
        keep_days(&db, now, RETENTION).await.unwrap();
        while let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
    }
    assert_eq!(count(&db, "SELECT count(*) FROM attempts").await, 2400);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_dead_of_a_day_of_minutes_is_cleared_away_as_it_is_of_the_hours(db: PgPool) {
    let day = NaiveDate::from_ymd_opt(2026, 1, 2).unwrap();
    statistics_minutes::add_day(&db, day).await.unwrap();
    let options = async |table: &str| -> Option<Vec<String>> {
        let sql = "SELECT reloptions FROM pg_class WHERE relname = $1";
        let found = sqlx::query_scalar(sql).bind(table).fetch_one(&db).await;
        found.unwrap()
    };
    let of_hours = options("statistics_hours").await;
    assert!(of_hours.is_some());
    assert_eq!(options("statistics_minutes_20260102").await, of_hours);
}
