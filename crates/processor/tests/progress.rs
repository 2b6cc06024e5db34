//! The tables `progress` and `settled_ahead` on a real Postgres: what a flush moves, and what it passes.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

use processor::store::progress;
use processor::store::settled_ahead::{self, Columns};
use sqlx::PgPool;
use uuid::Uuid;

const TOPIC: &str = "updates";

const FAST: Uuid = Uuid::nil();
const FASTER: Uuid = Uuid::max();

/// Of two partitions, under their first epoch: in the first two deliveries are settled ahead, up to 9, in the
/// second one, at 5.
async fn settled(db: &PgPool) {
    progress::claim(db, TOPIC, &[0, 1], "us").await.unwrap();
    let columns = Columns {
        partitions: vec![0, 1, 0],
        offsets: vec![9, 5, 7],
        subscription_ids: vec![FAST, FAST, FASTER],
    };
    settled_ahead::insert_all(db, TOPIC, &columns)
        .await
        .unwrap();
}

/// What is settled ahead of a partition, in the order of offsets.
async fn ahead(db: &PgPool, partition: i32) -> Vec<(i64, Uuid)> {
    let loaded = settled_ahead::load(db, TOPIC, partition).await.unwrap();
    assert!(loaded.len() <= 1, "a flush makes one row a partition");
    let pairs = loaded
        .into_iter()
        .flat_map(|pairs| pairs.offsets.into_iter().zip(pairs.subscription_ids));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

async fn advance(db: &PgPool, epochs: [i64; 2], next_offsets: [i64; 2]) -> Vec<i32> {
    let columns = (&[0, 1][..], &epochs[..], &next_offsets[..]);
    let mut moved = progress::advance(db, TOPIC, columns, Uuid::now_v7())
        .await
        .unwrap();
    moved.sort_unstable();
    moved
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_settled_ahead_is_kept_until_progress_has_passed_all_of_it(db: PgPool) {
    settled(&db).await;
    assert_eq!(ahead(&db, 0).await, [(7, FASTER), (9, FAST)]);
    assert_eq!(ahead(&db, 1).await, [(5, FAST)]);
    assert_eq!(advance(&db, [1, 1], [9, 5]).await, [0, 1]);
    assert_eq!(ahead(&db, 0).await.len(), 2);
    assert_eq!(ahead(&db, 1).await.len(), 1);
    assert_eq!(advance(&db, [1, 1], [9, 6]).await, [0, 1]);
    assert_eq!(ahead(&db, 0).await.len(), 2);
    assert!(ahead(&db, 1).await.is_empty());
    assert_eq!(advance(&db, [1, 1], [10, 6]).await, [0, 1]);
    assert!(ahead(&db, 0).await.is_empty());
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_a_partition_that_has_a_new_owner_nothing_is_moved_or_removed(db: PgPool) {
    settled(&db).await;
    progress::claim(&db, TOPIC, &[0], "them").await.unwrap();
    assert_eq!(advance(&db, [1, 1], [10, 6]).await, [1]);
    assert_eq!(ahead(&db, 0).await.len(), 2);
    assert!(ahead(&db, 1).await.is_empty());
}
