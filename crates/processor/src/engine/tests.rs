//! The engine between channels, without Kafka and Postgres.

mod records;
mod subscriptions;

use std::collections::BTreeMap;

use super::*;
use common::oauth2::{ClientAuth, ClientCredentials};
use outbound::{Egress, EgressArgs};
use tokio::task::JoinSet;

use crate::delivery::Outcome;
use crate::recorder::{Note, Settled};
use crate::subscription::tests::subscription;

const EVENT: &str =
    r#"{"timestamp":"2026-11-23T21:00:00Z","city":"Tokyo","reading":23,"unit":"C"}"#;

/// Long enough for anything but what never comes.
const LONG: Duration = Duration::from_secs(10);

struct Outside {
    control: mpsc::Sender<Control>,
    records: mpsc::Sender<Record>,
    changes: mpsc::Sender<Change>,
    recorded: mpsc::Receiver<Entry>,
    asked: mpsc::Receiver<Command>,
    read: mpsc::Sender<Read>,
    _running: JoinSet<anyhow::Result<()>>,
}

impl Outside {
    /// An engine that owns partition 0 under epoch 1.
    async fn with(budget: &Budget, ahead: HashSet<(i64, Uuid)>) -> Self {
        let (control, controls) = mpsc::channel(4);
        let (records, fetched) = mpsc::channel(8);
        let (changes, of_subscriptions) = mpsc::channel(4);
        let (entries, recorded) = mpsc::channel(8);
        let (read, reads) = mpsc::channel(8);
        let (commands, asked) = mpsc::channel(8);
        let inputs = Inputs {
            control: controls,
            records: fetched,
            changes: of_subscriptions,
            pending: mpsc::channel(1).1,
            read: reads,
            fenced: mpsc::channel(1).1,
        };
        let settings = Settings {
            traces: traces::Traces::off(),
            topic: "updates".into(),
            kind: Kind::Readings,
            owner: "us".into(),
            slow: 4,
            schedule: "10s".parse().unwrap(),
            patience: LONG,
            limits: Limits {
                queue: 2,
                retries: 2,
                in_flight_per_lane: 1,
                in_flight: 4,
                catch_up: 2,
                catch_up_rate: 1000.0,
            },
        };
        let sender = Sender::new(&Egress::new(&EgressArgs::default()).unwrap()).unwrap();
        let owned = watch::channel(Vec::new()).0;
        let engine = Engine::new(settings, sender, budget.clone(), (entries, commands), owned);
        let mut running = JoinSet::new();
        running.spawn(engine.run(inputs));
        let mut outside = Self {
            control,
            records,
            changes,
            recorded,
            asked,
            read,
            _running: running,
        };
        outside.assign(ahead).await;
        outside
    }

    async fn assign(&mut self, ahead: HashSet<(i64, Uuid)>) {
        let (taken, waiting) = oneshot::channel();
        let assignment = Assignment {
            partition: 0,
            epoch: 1,
            next_offset: 0,
            ahead,
            cursors: Vec::new(),
            replays: Vec::new(),
            blocked: Vec::new(),
            of: 1,
            taken,
        };
        self.control
            .send(Control::Assigned(assignment))
            .await
            .unwrap();
        waiting.await.unwrap();
        assert!(matches!(self.recorded().await, Entry::Assigned { .. }));
    }

    async fn recorded(&mut self) -> Entry {
        let entry = tokio::time::timeout(LONG, self.recorded.recv()).await;
        entry.expect("an entry comes in time").unwrap()
    }

    /// The next entry, which says that an event arrived: its offset and its deliveries.
    async fn received(&mut self) -> (i64, usize) {
        match self.recorded().await {
            Entry::Received { at, deliveries } => (at.offset, deliveries),
            other => panic!("{other:?}"),
        }
    }
}

fn all(subscriptions: Vec<Arc<Subscription>>, circuits: Vec<Circuit>) -> Change {
    Change::All(All {
        subscriptions,
        circuits,
        ..All::default()
    })
}

fn record(budget: &Budget, offset: i64, bytes: usize) -> Record {
    Record {
        partition: 0,
        epoch: 1,
        offset,
        timestamp_ms: 0,
        value: Some(EVENT.into()),
        content_type: None,
        traceparent: None,
        hold: budget.hold(bytes),
    }
}

#[tokio::test]
async fn a_budget_that_records_alone_have_spent_holds_nothing_up() {
    let budget = Budget::new(10);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    // They spend it before the engine, on the same thread, sees the first.
    for offset in 0..2 {
        let record = record(&budget, offset, 10);
        outside.records.try_send(record).unwrap();
    }
    assert_eq!(outside.received().await, (0, 0));
    assert_eq!(outside.received().await, (1, 0));
    assert_eq!(budget.held(), 0);
}

#[tokio::test]
async fn what_a_former_owner_settled_ahead_is_not_attempted_again() {
    let budget = Budget::new(1_000_000);
    let wanting = Arc::new(subscription("http://127.0.0.1:9/"));
    let ahead = HashSet::from([(0, wanting.id)]);
    let mut outside = Outside::with(&budget, ahead).await;
    outside
        .changes
        .send(all(vec![wanting], vec![]))
        .await
        .unwrap();
    // The change is taken before records are.
    tokio::task::yield_now().await;
    for offset in 0..2 {
        let record = record(&budget, offset, 1);
        outside.records.send(record).await.unwrap();
    }
    assert_eq!(outside.received().await, (0, 0));
    assert_eq!(outside.received().await, (1, 1));
}

#[tokio::test]
async fn a_record_polled_under_another_epoch_is_anothers() {
    let budget = Budget::new(1_000_000);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    let mut stale = record(&budget, 0, 1);
    stale.epoch = 7;
    outside.records.send(stale).await.unwrap();
    outside.records.send(record(&budget, 1, 1)).await.unwrap();
    assert_eq!(outside.received().await, (1, 0));
}

#[tokio::test]
async fn a_released_partition_is_answered_for_after_all_that_came_before() {
    let budget = Budget::new(1_000_000);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    outside.records.send(record(&budget, 0, 1)).await.unwrap();
    assert_eq!(outside.received().await, (0, 0));
    let release = Control::Release {
        partitions: vec![0],
        timeout: LONG,
        done: oneshot::channel().0,
    };
    outside.control.send(release).await.unwrap();
    assert!(matches!(outside.recorded().await, Entry::Release { .. }));
    outside.records.send(record(&budget, 1, 1)).await.unwrap();
    drop(outside.control);
    assert!(outside.recorded.recv().await.is_none());
}

/// A subscription that is paused, in an engine that has seen three events since, of which a former
/// owner settled some.
async fn paused_for_three_events(budget: &Budget, settled: &[i64]) -> (Outside, Subscription) {
    let paused = subscription("http://127.0.0.1:9/");
    let ahead = settled.iter().map(|offset| (*offset, paused.id));
    let mut outside = Outside::with(budget, ahead.collect()).await;
    let change = Change::Upsert(Arc::new(same(&paused, false)), None);
    outside.changes.send(change).await.unwrap();
    match outside.recorded().await {
        Entry::Detached {
            cursors, withdrawn, ..
        } => {
            let at = cursors.iter().map(|at| (at.partition, at.offset));
            assert_eq!(at.collect::<Vec<_>>(), [(0, 0)]);
            assert!(withdrawn.is_empty());
        }
        other => panic!("{other:?}"),
    }
    for offset in 0..3 {
        outside
            .records
            .send(record(budget, offset, 1))
            .await
            .unwrap();
        // While it is detached an event costs it nothing.
        assert_eq!(outside.received().await, (offset, 0));
    }
    (outside, paused)
}

/// The same subscription, active or not.
fn same(as_this: &Subscription, active: bool) -> Subscription {
    let mut same = subscription("http://127.0.0.1:9/");
    (same.id, same.active) = (as_this.id, active);
    same
}

#[tokio::test]
async fn what_a_subscription_missed_is_read_again_and_then_it_is_attached() {
    // What a former owner settled is not delivered again.
    for (settled, expected) in [
        (&[][..], vec![(0, 1), (1, 1), (2, 1)]),
        (&[0, 1], vec![(2, 1)]),
    ] {
        let budget = Budget::new(1_000_000);
        let (mut outside, paused) = paused_for_three_events(&budget, settled).await;
        let change = Change::Upsert(Arc::new(same(&paused, true)), None);
        outside.changes.send(change).await.unwrap();
        let Some(Command::Read {
            partition: 0,
            pass,
            from: 0,
        }) = outside.asked.recv().await
        else {
            panic!("it is read from the cursor on");
        };
        for offset in 0..3 {
            let record = record(&budget, offset, 1);
            outside
                .read
                .send(Read::Record { pass, record })
                .await
                .unwrap();
        }
        let mut read = Vec::new();
        let end = loop {
            match outside.recorded().await {
                Entry::Read { at, deliveries, .. } => read.push((at.offset, deliveries)),
                Entry::Attached { at, .. } => break at.offset,
                // Nobody listens at its endpoint.
                Entry::Settled(_) | Entry::Noted { .. } => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((read, end), (expected, 3));
    }
}

#[tokio::test]
async fn an_offset_without_a_record_at_the_end_of_the_log_holds_nobody_back() {
    let budget = Budget::new(1_000_000);
    let (mut outside, paused) = paused_for_three_events(&budget, &[]).await;
    let change = Change::Upsert(Arc::new(same(&paused, true)), None);
    outside.changes.send(change).await.unwrap();
    let Some(Command::Read { pass, .. }) = outside.asked.recv().await else {
        panic!("it is read again");
    };
    let (partition, until) = (0, 3);
    let end = Read::End {
        pass,
        partition,
        until,
    };
    outside.read.send(end).await.unwrap();
    // Told how far it was read, and attached there.
    assert!(matches!(
        outside.recorded().await,
        Entry::Read { deliveries: 0, .. }
    ));
    assert!(matches!(outside.recorded().await, Entry::Attached { .. }));
}

#[tokio::test]
async fn a_partition_that_comes_with_cursors_gives_their_subscriptions_nothing_beyond_them() {
    let budget = Budget::new(1_000_000);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    let held_back = subscription("http://127.0.0.1:9/");
    let id = held_back.id;
    let circuit = Circuit {
        subscription_id: id,
        prober: None,
    };
    let change = all(vec![Arc::new(held_back)], vec![circuit]);
    outside.changes.send(change).await.unwrap();
    assert!(matches!(outside.recorded().await, Entry::Detached { .. }));
    let (taken, waiting) = oneshot::channel();
    let assignment = Assignment {
        partition: 1,
        epoch: 1,
        next_offset: 4,
        ahead: HashSet::new(),
        cursors: vec![Cursor {
            subscription_id: id,
            partition: 1,
            next_offset: 5,
            end_offset: None,
        }],
        replays: Vec::new(),
        blocked: Vec::new(),
        of: 2,
        taken,
    };
    outside
        .control
        .send(Control::Assigned(assignment))
        .await
        .unwrap();
    waiting.await.unwrap();
    assert!(matches!(outside.recorded().await, Entry::Assigned { .. }));
    assert!(matches!(
        outside.recorded().await,
        Entry::Opened { next: 5, .. }
    ));
    let mut beyond = record(&budget, 5, 1);
    beyond.partition = 1;
    outside.records.send(beyond).await.unwrap();
    assert_eq!(outside.received().await, (5, 0));
}

#[tokio::test]
async fn what_has_no_token_is_postponed_without_an_attempt_and_its_circuit_hears_why() {
    let budget = Budget::new(1_000_000);
    let mut outside = Outside::with(&budget, HashSet::new()).await;
    let mut wanting = subscription("http://127.0.0.1:9/");
    let credentials = ClientCredentials {
        // Nobody listens there.
        token_url: "http://127.0.0.1:9/token".into(),
        client_id: "sensor".into(),
        client_auth: ClientAuth::ClientSecretPost {
            client_secret: "hunter2".into(),
        },
        scope: None,
        audience: None,
        extra: BTreeMap::new(),
    };
    let client = outbound::oauth2::Client::new(&credentials).unwrap();
    wanting.target.authorize_by(client);
    let id = wanting.id;
    let change = all(vec![Arc::new(wanting)], vec![]);
    outside.changes.send(change).await.unwrap();
    tokio::task::yield_now().await;
    outside.records.send(record(&budget, 0, 1)).await.unwrap();
    assert_eq!(outside.received().await, (0, 1));
    let Entry::Noted {
        subscription_id,
        note: Note::Failing { class, .. },
    } = outside.recorded().await
    else {
        panic!("it is noted");
    };
    assert_eq!((subscription_id, class), (id, "oauth2_unavailable"));
    let Entry::Settled(Settled {
        attempt: None,
        outcome: Outcome::Postponed { .. },
        delivery,
        ..
    }) = outside.recorded().await
    else {
        panic!("it is postponed");
    };
    assert_eq!(delivery.attempts, 0);
}
