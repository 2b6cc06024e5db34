//! `/livez` of a processor one thread of which stands still while all others go on, as where it waits
//! for a lock that nobody gives back.

use e2e::held::Held;
use e2e::stage::{Stage, until};

#[tokio::test]
async fn a_poll_thread_that_stands_still_is_named_until_it_comes_around() {
    let stage = Stage::new().await;
    let processor = stage.processor(&[("LIVENESS_TIMEOUT", "1s")]);
    until("it is ready", async || processor.is_ready().await).await;
    assert_eq!(processor.liveness().await, (200, "ok\n".into()));
    let held = Held::new(processor.thread("poll readings").unwrap());
    until("it is stuck", async || processor.liveness().await.0 == 503).await;
    let (_, why) = processor.liveness().await;
    assert!(
        why.starts_with("the consumer of readings is stuck: polling for "),
        "{why}"
    );
    assert_eq!(why.lines().count(), 1, "the others are not: {why}");
    drop(held);
    until("it comes around", async || {
        processor.liveness().await == (200, "ok\n".into())
    })
    .await;
}
