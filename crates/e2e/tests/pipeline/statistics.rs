//! `/stats` tells what the receiver counted: after failures, retries and a replay exactly, after a
//! kill less what the replica had counted since it wrote that down last. Attempts are the truth.

use e2e::load::{EVENTS, Load, PER_KILL};
use e2e::receiver::Receiver;
use e2e::stage::{Stage, until};
use serde_json::{Value, json};
use sqlx::Connection;

/// So few that their failures do not open a circuit.
const FEW: usize = 6;
const MANY: usize = 300;

// Rows without a time are no POST.
const ATTEMPTS: &str = "SELECT count(total_us) FROM attempts";
const FAILED: &str = "SELECT count(total_us) FROM attempts WHERE failure IS NOT NULL";
const DELTAS: &str = "SELECT count(*) FROM statistics_deltas";

const CONNECTIONS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'processor' AND datname = current_database()";

/// What the recorder committed from the transaction on in which it wrote what it had counted before.
const NOT_WRITTEN_DOWN: &str = "SELECT count(total_us) FROM attempts WHERE xmin::text::bigint >=
    (SELECT max(xmin::text::bigint) FROM statistics_deltas)";

async fn total(stage: &Stage, of: &str) -> i64 {
    stage.get("/stats").await["totals"][of].as_i64().unwrap()
}

/// Waits until all that was recorded is counted, but for so many.
async fn until_counted(stage: &Stage, but: i64) {
    until("the statistics have it all", async || {
        total(stage, "attempts").await == stage.count(ATTEMPTS).await - but
    })
    .await;
}

async fn series(stage: &Stage, query: &str) -> Vec<Value> {
    let answer = stage.get(&format!("/stats/timeseries?{query}")).await;
    answer["series"].as_array().unwrap().clone()
}

/// A measure, summed up over all points of some series.
fn sum<'a>(series: impl IntoIterator<Item = &'a Value>, measure: &str) -> i64 {
    let points = series
        .into_iter()
        .flat_map(|one| one["points"].as_array().unwrap());
    points.map(|point| point[measure].as_i64().unwrap()).sum()
}

/// What is told of the one subscription, of all, and split in each way, is so many attempts and
/// deliveries.
async fn all_agree(stage: &Stage, id: &str, (attempts, delivered): (i64, i64)) {
    let one = stage.get(&format!("/subscriptions/{id}/stats")).await;
    assert_eq!(one["totals"]["attempts"], json!(attempts), "{one}");
    assert_eq!(one["health"]["consecutive_failures"], json!(0), "{one}");
    let all = "granularity=1m&measures=attempts,delivered,events,delay_ms_p99";
    let all = series(stage, all).await;
    assert_eq!(sum(&all, "events"), i64::try_from(MANY + FEW).unwrap());
    let points = all[0]["points"].as_array().unwrap();
    let timed = points.iter().any(|point| point["delay_ms_p99"].is_number());
    assert!(timed, "{all:?}");
    for split in ["failure", "city", "city,failure", "subscription_id"] {
        let query = format!("granularity=1h&measures=attempts,delivered&dimensions={split}");
        let series = series(stage, &query).await;
        assert_eq!(sum(&series, "attempts"), attempts, "by {split}");
        assert_eq!(sum(&series, "delivered"), delivered, "by {split}");
    }
}

#[tokio::test]
async fn totals_are_what_the_receiver_counted_with_failures_retries_and_a_replay() {
    let (stage, receiver) = (Stage::new().await, Receiver::new().await);
    let id = stage.subscribe("a", &format!("{}/a", receiver.url)).await;
    let settings = [
        ("RETRY_SCHEDULE", "300ms,1s,1s,1s,2s,2s,5s,5s,5s"),
        ("PENDING_POLL", "100ms"),
    ];
    let processor = stage.processor(&settings);
    stage.system(MANY, 1000).ended().await;
    until("many arrive", async || receiver.distinct("a") == MANY).await;
    receiver.answer(503);
    stage.system(FEW, 1000).ended().await;
    until("each failed twice", async || {
        receiver.requests() >= MANY + 2 * FEW
    })
    .await;
    receiver.answer(200);
    until("all arrive", async || receiver.distinct("a") == MANY + FEW).await;

    let path = format!("/subscriptions/{id}/replay");
    let refused = stage
        .post(&path, &json!({"since": "2020-01-01T00:00:00Z"}))
        .await;
    let all = json!({"since": refused["earliest"]});
    let replay = stage.post(&path, &all).await;
    let path = format!("/replays/{}", replay["id"].as_str().unwrap());
    until("it is sent again", async || {
        stage.get(&path).await["state"] == json!("completed")
    })
    .await;

    // What the receiver got by then, the record has; it got nothing that is not recorded.
    let requests = || i64::try_from(receiver.requests()).unwrap();
    until("all is recorded", async || {
        stage.count(ATTEMPTS).await == requests()
    })
    .await;
    until_counted(&stage, 0).await;
    let arrived = i64::try_from(receiver.arrivals("a").len()).unwrap();
    assert_eq!(arrived, i64::try_from(2 * (MANY + FEW)).unwrap());
    assert_eq!(total(&stage, "delivered").await, arrived);
    let failed = requests() - arrived;
    assert!(failed >= 12 && failed == stage.count(FAILED).await);
    assert_eq!(total(&stage, "failed").await, failed);

    all_agree(&stage, &id, (requests(), arrived)).await;
    let refused = series(&stage, "granularity=1d&failure=http_5xx&measures=attempts").await;
    assert_eq!(sum(&refused, "attempts"), failed);
    let lag = stage.get("/stats").await["lag"].clone();
    assert_eq!(lag["events"], json!(0), "{lag}");

    // A stop counts what is left.
    stage.system(1, 1000).ended().await;
    until("it arrives", async || {
        receiver.distinct("a") == MANY + FEW + 1
    })
    .await;
    assert!(processor.stop().await.success());
    let _processor = stage.processor(&settings);
    until_counted(&stage, 0).await;
    assert_eq!(stage.count(ATTEMPTS).await, requests());
}

#[tokio::test]
async fn a_kill_loses_of_the_counts_no_more_than_was_not_written_down() {
    let load = Load::of(EVENTS).await;
    let stage = &load.stage;
    let mut db = stage.database().await;
    // While the lock is held nobody folds, so that what was written down can be looked at.
    let mut holding = db.begin().await.unwrap();
    let lock = sqlx::query("SELECT FROM statistics_state FOR UPDATE");
    lock.execute(&mut *holding).await.unwrap();
    let system = load.publish();
    let processor = stage.processor(&[]);
    until("some is written down", async || {
        stage.count(DELTAS).await >= 2
    })
    .await;
    load.until_arrived(EVENTS / 2).await;
    processor.kill();
    // A transaction may be committed though who asked for it is gone.
    until("its connections are gone", async || {
        stage.count(CONNECTIONS).await == 0
    })
    .await;
    let lost = stage.count(NOT_WRITTEN_DOWN).await;
    assert!(lost < stage.count(ATTEMPTS).await);
    holding.rollback().await.unwrap();

    let _processor = stage.processor(&[]);
    system.ended().await;
    load.all_arrived().await;
    until_counted(stage, lost).await;
    // The receiver has more by what was in flight, or answered and not recorded, at the kill.
    let recorded = usize::try_from(stage.count(ATTEMPTS).await).unwrap();
    let more = load.receiver.requests() - recorded;
    assert!(more <= PER_KILL, "{more} requests are not in the record");
    assert!(recorded >= load.deliveries());
}
