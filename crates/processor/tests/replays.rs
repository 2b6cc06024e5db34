//! The tables of replays on a real Postgres: what becomes of a replay whose log is gone.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

use common::store::replays;
use sqlx::PgPool;
use uuid::Uuid;

const TOPIC: &str = "updates";

/// A running replay of which ten offsets are left in each of the partitions.
async fn replay_of(db: &PgPool, partitions: &[i32]) -> Uuid {
    let id = Uuid::now_v7();
    let sql =
        "INSERT INTO replays (id, subscription_id, since, until) VALUES ($1, $1, now(), now())";
    sqlx::query(sql).bind(id).execute(db).await.unwrap();
    let sql = "INSERT INTO replay_ranges
               SELECT $1, $2, partition, 0, 0, 10 FROM UNNEST($3::int[]) AS partition";
    let insert = sqlx::query(sql).bind(id).bind(TOPIC).bind(partitions);
    insert.execute(db).await.unwrap();
    id
}

async fn state_of(db: &PgPool, id: Uuid) -> String {
    let sql = "SELECT state FROM replays WHERE id = $1";
    sqlx::query_scalar(sql)
        .bind(id)
        .fetch_one(db)
        .await
        .unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_left_of_a_log_that_was_made_anew_is_over(db: PgPool) {
    let one = replay_of(&db, &[0]).await;
    let both = replay_of(&db, &[0, 1]).await;
    replays::end_ranges(&db, TOPIC, 0).await.unwrap();
    assert_eq!(state_of(&db, one).await, "completed");
    assert_eq!(state_of(&db, both).await, "running");
    let left = replays::running(&db, TOPIC).await.unwrap();
    let left: Vec<_> = left
        .iter()
        .map(|range| (range.replay_id, range.partition))
        .collect();
    assert_eq!(left, [(both, 1)]);
    replays::end_ranges(&db, TOPIC, 1).await.unwrap();
    assert_eq!(state_of(&db, both).await, "completed");
}
