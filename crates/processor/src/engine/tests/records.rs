//! What the engine takes of what was fetched.

use std::net::TcpListener;

use super::*;

#[tokio::test]
async fn records_are_taken_while_others_wait_for_room_in_a_lane() {
    let budget = Budget::new(1_000_000);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    // Connected to, and never heard of again: its lane has one in flight and two queued, and is full.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanting = subscription(&format!("http://{}/", silent.local_addr().unwrap()));
    let change = all(vec![Arc::new(wanting)], vec![]);
    outside.changes.send(change).await.unwrap();
    for offset in 0..3 {
        let record = record(&budget, offset, 1);
        outside.records.send(record).await.unwrap();
        assert_eq!(outside.received().await, (offset, 1));
    }
    // As many as the channel holds, twice, and time enough to take them.
    for round in 0..2 {
        for offset in (3 + 8 * round..).take(8) {
            let record = record(&budget, offset, 1);
            outside.records.try_send(record).unwrap();
        }
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        let records = &outside.records;
        assert_eq!(records.capacity(), records.max_capacity());
    }
}
