//! What counting takes, held against recording the same attempts: both as the recorder does it, one
//! after the other on the same machine.

use anyhow::Context;
use common::store::statistics;
use processor::statistics::packed::pack;
use processor::statistics::tally::Counted;
use processor::statistics::{Folder, Settings, Tally};
use processor::store::statistics_deltas::{self, Delta};
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::Taken;

/// Deliveries of one second.
pub const A_SECOND: usize = 20_000;

/// How many outcomes the recorder writes at once.
const A_FLUSH: usize = 5_000;

/// How often each is measured.
const ROUNDS: usize = 10;

const MAX_CITIES: usize = 1_000;

/// What a second of deliveries takes, in milliseconds, and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Counting them in memory.
    pub count_ms: f64,
    /// Packing what was counted.
    pub pack_ms: f64,
    /// Writing that.
    pub write_ms: f64,
    /// How long it is.
    pub bytes: usize,
    /// Writing the rows of the attempts.
    pub attempts_ms: f64,
    /// Folding it into a minute, later and elsewhere.
    pub fold_ms: f64,
    /// Rolling up five minutes, every five.
    pub roll_up_ms: f64,
}

/// Measures it, over the subscriptions of the database.
///
/// # Errors
/// That Postgres refuses.
pub async fn cost(db: &PgPool) -> anyhow::Result<Cost> {
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM subscriptions ORDER BY id")
        .fetch_all(db)
        .await?;
    let cities: Vec<String> = (0..MAX_CITIES).map(|at| format!("city-{at}")).collect();
    let (mut count, mut packing, mut write, mut attempts) = Default::default();
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let mut tally = Tally::default();
        let began = Instant::now();
        fill(&mut tally, &ids, &cities);
        Taken::add(&mut count, began);
        let began = Instant::now();
        let tally = pack(&tally);
        Taken::add(&mut packing, began);
        bytes = tally.len();
        let began = Instant::now();
        let delta = Delta {
            replica: Uuid::nil(),
            number: i64::try_from(round)?,
            tally: &tally,
        };
        statistics_deltas::insert(db, delta).await?;
        Taken::add(&mut write, began);
        let began = Instant::now();
        record(db, &ids).await?;
        Taken::add(&mut attempts, began);
    }
    let (fold_ms, roll_up_ms) = later(db).await?;
    Ok(Cost {
        count_ms: count.median_ms(),
        pack_ms: packing.median_ms(),
        write_ms: write.median_ms(),
        bytes,
        attempts_ms: attempts.median_ms(),
        fold_ms,
        roll_up_ms,
    })
}

fn fill(tally: &mut Tally, ids: &[Uuid], cities: &[String]) {
    for at in 0..A_SECOND {
        tally.receive();
        let fails = at % 50 == 0;
        let counted = Counted {
            subscription_id: ids[at * 7 % ids.len()],
            city: Some(&cities[at * 13 % cities.len()]),
            result: if fails {
                ("retry", "timeout")
            } else {
                ("delivered", "")
            },
            latency_us: Some(2_000 + at as u64 % 4_000),
            delay_us: (!fails).then_some(9_000 + at as u64 % 9_000),
        };
        tally.count(&counted, MAX_CITIES);
    }
}

/// The rows of the attempts, in flushes.
async fn record(db: &PgPool, ids: &[Uuid]) -> anyhow::Result<()> {
    for flush in 0..A_SECOND / A_FLUSH {
        let at: Vec<usize> = (flush * A_FLUSH..(flush + 1) * A_FLUSH).collect();
        let of: Vec<Uuid> = at.iter().map(|at| ids[at * 7 % ids.len()]).collect();
        let events: Vec<String> = at.iter().map(|_| Uuid::now_v7().to_string()).collect();
        let sql = "INSERT INTO attempts (attempted_at, subscription_id, event_offset, partition, number,
                                         outcome, total_us, first_byte_us, status, reused, topic,
                                         event_id, event_key)
                   SELECT now(), id, 1, 1, 1, 'delivered', 10000, 9000, 200, true, 'updates', event, 'Oslo'
                   FROM UNNEST($1::uuid[], $2::text[]) AS made (id, event)";
        let made = sqlx::query(sql).bind(of).bind(events).execute(db);
        made.await.context("recording attempts")?;
    }
    Ok(())
}

/// What `folder` takes: for one delta, and for five minutes.
async fn later(db: &PgPool) -> anyhow::Result<(f64, f64)> {
    let folder = Folder {
        db: db.clone(),
        settings: Settings {
            kept: common::statistics::StatisticsArgs::default(),
            max_cities: MAX_CITIES,
        },
    };
    let began = Instant::now();
    while folder.fold().await? {}
    let fold_ms = began.elapsed().as_secs_f64() * 1000.0;
    let state = statistics::state(db).await?;
    let five = chrono::TimeDelta::minutes(5);
    statistics::rolled(db, state.rolled_until - five * 2).await?;
    let began = Instant::now();
    folder
        .roll_up(state.rolled_until - chrono::TimeDelta::minutes(4))
        .await?;
    Ok((fold_ms, began.elapsed().as_secs_f64() * 1000.0))
}
