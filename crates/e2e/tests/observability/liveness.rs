//! `/livez` of a processor one thread of which stands still while all others go on, as where it waits
//! for a lock that nobody gives back.

use e2e::held::Held;
use e2e::stage::{Stage, until};

#[tokio::test]
async fn a_poll_thread_that_stands_still_is_named_until_it_comes_around() {
    let stage = Stage::new().await;
    let processor = stage.processor(&[("LIVENESS_TIMEOUT", "1s")]);
    until("it is ready", async || processor.is_ready().await).await;
    until("it is alive", async || {
        processor.liveness().await == alive()
    })
    .await;
    let held = Held::new(processor.thread("poll readings").unwrap());
    // Where the machine stands still, all seem stuck for a moment.
    until("it is stuck, and nobody else", async || {
        let (status, why) = processor.liveness().await;
        println!("{status}: {why}");
        let named = why.starts_with("the consumer of readings is stuck: polling for ");
        status == 503 && named && why.lines().count() == 1
    })
    .await;
    drop(held);
    until("it comes around", async || {
        processor.liveness().await == alive()
    })
    .await;
}

fn alive() -> (u16, String) {
    (200, "ok\n".into())
}
