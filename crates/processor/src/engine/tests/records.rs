//! What the engine takes of what was fetched.

use std::net::TcpListener;

use super::*;

#[tokio::test]
async fn no_more_records_are_taken_than_are_fanned_out() {
    const SENT: usize = 8;
    let budget = Budget::new(1_000_000);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    // Connected to, and never heard of again: its lane has one in flight and two queued, and is full.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanting = subscription(&format!("http://{}/", silent.local_addr().unwrap()));
    let change = all(vec![Arc::new(wanting)], vec![]);
    outside.changes.send(change).await.unwrap();
    for offset in (0..).take(SENT) {
        let record = record(&budget, offset, 1);
        outside.records.try_send(record).unwrap();
    }
    let mut fanned_out = 0;
    for _ in 0..3 {
        assert_eq!(outside.received().await, (fanned_out, 1));
        fanned_out += 1;
    }
    // Time enough to take more, were it to.
    for _ in 0..SENT {
        tokio::task::yield_now().await;
    }
    // A lane that stands still leaves the log before long, and then there is room for all.
    while let Ok(entry) = outside.recorded.try_recv() {
        fanned_out += i64::from(matches!(entry, Entry::Received { .. }));
    }
    let left = outside.records.max_capacity() - outside.records.capacity();
    assert_eq!(usize::try_from(fanned_out).unwrap() + left, SENT);
}
