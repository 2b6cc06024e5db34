//! What the engine makes of being told all subscriptions.

use super::*;

#[tokio::test]
async fn what_is_unchanged_stays_as_it_is_known_and_what_is_not_told_of_is_gone() {
    let budget = Budget::new(1_000_000);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    let [kept, gone] = [(); 2].map(|()| Arc::new(subscription("http://127.0.0.1:9/")));
    let unchanged = vec![kept.id];
    let again = Change::All(All {
        unchanged,
        ..All::default()
    });
    for change in [all(vec![kept, gone], vec![]), again] {
        outside.changes.send(change).await.unwrap();
    }
    // The changes are taken before records are.
    tokio::task::yield_now().await;
    outside.records.send(record(&budget, 0, 1)).await.unwrap();
    assert_eq!(outside.received().await, (0, 1));
}
