//! The follower on a real Postgres: of the subscriptions that are known only what has changed is read.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use common::secrets::Keyring;
use common::store::subscriptions;
use processor::engine::Change;
use processor::event::Kind;
use processor::follower::Follower;
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

fn keyring() -> Keyring {
    Keyring::new(&format!("test:{}=", "A".repeat(43)).into()).unwrap()
}

/// One with the secrets that a processor gives it when it starts.
async fn subscription(db: &PgPool) -> Uuid {
    let id = Uuid::now_v7();
    let sql = "INSERT INTO subscriptions (id, name, url) VALUES ($1, $2, 'http://localhost:9')";
    let inserted = sqlx::query(sql).bind(id).bind(id.to_string());
    inserted.execute(db).await.unwrap();
    subscriptions::seal_all(db, &keyring()).await.unwrap();
    id
}

fn follower(db: &PgPool, kind: Kind) -> Follower {
    Follower {
        db: db.clone(),
        topic: "updates".into(),
        kind,
        engine: mpsc::channel(1).0,
        attempt_timeout: Duration::from_secs(10),
        keyring: keyring(),
        known: HashMap::new(),
    }
}

/// Which it read, and which it knew.
async fn told(follower: &mut Follower) -> [BTreeSet<Uuid>; 2] {
    let Change::All(all) = follower.all().await.unwrap() else {
        panic!("all are told");
    };
    let read = all.subscriptions.iter().map(|subscription| subscription.id);
    [read.collect(), all.unchanged.into_iter().collect()]
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_has_not_changed_is_not_read_again_and_what_is_gone_is_not_told(db: PgPool) {
    let ids = [subscription(&db).await, subscription(&db).await];
    let none = BTreeSet::new();
    let mut follower = follower(&db, Kind::Readings);
    assert_eq!(told(&mut follower).await, [ids.into(), none.clone()]);
    assert_eq!(told(&mut follower).await, [none.clone(), ids.into()]);
    let [gone, changed] = ids;
    let delete = sqlx::query("DELETE FROM subscriptions WHERE id = $1").bind(gone);
    delete.execute(&db).await.unwrap();
    let update = "UPDATE subscriptions SET url = 'http://localhost:10' WHERE id = $1";
    let update = sqlx::query(update).bind(changed);
    update.execute(&db).await.unwrap();
    assert_eq!(told(&mut follower).await, [[changed].into(), none.clone()]);
    assert_eq!(told(&mut follower).await, [none, [changed].into()]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_nobodys_and_asks_for_them_is_all_that_is_read_for_operational_events(db: PgPool) {
    let wanting = [subscription(&db).await, subscription(&db).await];
    subscription(&db).await;
    let sql =
        "UPDATE subscriptions SET event_types = ARRAY['subscription.disabled'] WHERE id = ANY($1)";
    sqlx::query(sql).bind(wanting).execute(&db).await.unwrap();
    let sql = "UPDATE subscriptions SET owner = 'acme' WHERE id = $1";
    sqlx::query(sql)
        .bind(wanting[0])
        .execute(&db)
        .await
        .unwrap();
    let [read, unchanged] = told(&mut follower(&db, Kind::Operations)).await;
    assert_eq!((read, unchanged), ([wanting[1]].into(), BTreeSet::new()));
}
