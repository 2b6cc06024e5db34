//! What retention would take from a subscription that is held back is saved before.

use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use sqlx::Executor;

const EVENTS: usize = 200;

#[tokio::test]
async fn what_retention_comes_near_to_is_copied_to_pending_rows_and_arrives() {
    let (stage, receiver) = (Stage::without_topic().await, Receiver::new().await);
    stage
        .broker
        .create_topic(4, &[("retention.ms", "15000")])
        .await;
    stage
        .subscribe("held", &format!("{}/a", receiver.url))
        .await;
    let mut db = stage.database().await;
    db.execute("UPDATE subscriptions SET state = 'paused'")
        .await
        .unwrap();
    let _processor = stage.processor(&[]);
    stage.system(EVENTS, 1000).ended().await;
    let pending = async || stage.count("SELECT count(*) FROM pending_deliveries").await;
    until("it is said that retention comes near", async || {
        let near = "SELECT count(*) FROM cursors WHERE retention_used >= 0.5";
        stage.count(near).await > 0
    })
    .await;
    until("all of it is saved", async || {
        usize::try_from(pending().await).unwrap() == EVENTS
    })
    .await;
    assert_eq!(receiver.distinct("a"), 0);
    db.execute("UPDATE subscriptions SET state = 'active'")
        .await
        .unwrap();
    until("it arrives", async || receiver.distinct("a") == EVENTS).await;
    until("nothing is left", async || pending().await == 0).await;
    assert_eq!(receiver.duplicates(), 0);
}
