//! Statistics on a real Postgres: what replicas counted is in minutes, hours and days once, whoever
//! folds, and however often one is cut off.

#![allow(
    clippy::unwrap_used,
    reason = "the whole crate is tests, whose helpers clippy does not know as such"
)]

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use common::statistics::{Family, Granularity, StatisticsArgs};
use common::store::statistics::{self, Row, Span};
use processor::statistics::packed::pack;
use processor::statistics::tally::Counted;
use processor::statistics::{Folder, Settings, Tally};
use processor::store::statistics_deltas::{self, Delta};
use sqlx::PgPool;
use uuid::Uuid;

const DELIVERED: (&str, &str) = ("delivered", "");
const REFUSED: (&str, &str) = ("retry", "http_5xx");

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn folder(db: &PgPool) -> Folder {
    Folder {
        db: db.clone(),
        settings: Settings {
            kept: StatisticsArgs::default(),
            max_cities: 2,
        },
    }
}

/// So many deliveries to a subscription, each of a city of its own and a millisecond long.
fn tally(id: Uuid, count: usize, result: (&'static str, &'static str)) -> Tally {
    let mut tally = Tally::default();
    for at in 0..count {
        tally.receive();
        let counted = Counted {
            subscription_id: id,
            city: Some(&format!("city-{at}")),
            result,
            latency_us: Some(1_000),
            delay_us: (result == DELIVERED).then_some(5_000),
        };
        tally.count(&counted, 10);
    }
    tally
}

async fn write(db: &PgPool, number: i64, at: DateTime<Utc>, tally: &Tally) {
    let replica = Uuid::from_u128(7);
    let delta = Delta {
        replica,
        number,
        tally: &pack(tally),
    };
    statistics_deltas::insert(db, delta).await.unwrap();
    sqlx::query("UPDATE statistics_deltas SET created_at = $1 WHERE number = $2")
        .bind(at)
        .bind(number)
        .execute(db)
        .await
        .unwrap();
}

async fn start_at(db: &PgPool, time: DateTime<Utc>) {
    statistics::rolled(db, time).await.unwrap();
}

async fn fold_all(db: &PgPool) {
    while folder(db).fold().await.unwrap() {}
}

async fn roll_up_all(db: &PgPool, now: DateTime<Utc>) {
    while folder(db).roll_up(now).await.unwrap() {}
}

/// All cells of a family, whenever they are.
async fn cells(db: &PgPool, granularity: Granularity, family: Family) -> Vec<Row> {
    let span = Span {
        granularity,
        since: time("2000-01-01T00:00:00Z"),
        until: time("2100-01-01T00:00:00Z"),
    };
    let mut rows = statistics::all(db, span).await.unwrap();
    rows.retain(|row| row.key.family == family);
    rows.sort_by_key(|row| (row.at, row.key.clone()));
    rows
}

/// Where each cell of all begins, and how many deliveries it counts; without what was received.
async fn of_all(db: &PgPool, granularity: Granularity) -> Vec<(DateTime<Utc>, u64)> {
    let rows = cells(db, granularity, Family::All).await.into_iter();
    rows.filter(|row| row.key.outcome != "received")
        .map(|row| (row.at, row.cell.count))
        .collect()
}

async fn deltas(db: &PgPool) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM statistics_deltas");
    count.fetch_one(db).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_counted_is_folded_by_subscription_owner_city_and_for_all(db: PgPool) {
    let at = time("2026-11-24T10:00:30Z");
    start_at(&db, time("2026-11-24T10:00:00Z")).await;
    let id = Uuid::now_v7();
    let sql =
        "INSERT INTO subscriptions (id, name, url, owner) VALUES ($1, 'a', 'http://a', 'acme')";
    sqlx::query(sql).bind(id).execute(&db).await.unwrap();
    write(&db, 0, at, &tally(id, 3, DELIVERED)).await;
    write(&db, 1, at, &tally(Uuid::now_v7(), 1, REFUSED)).await;
    fold_all(&db).await;
    assert_eq!(deltas(&db).await, 0);

    let minute = time("2026-11-24T10:00:00Z");
    let of = async |family| cells(&db, Granularity::Minute, family).await;
    let [own, _] = &of(Family::Subscription).await[..] else {
        panic!("two subscriptions");
    };
    assert_eq!((own.at, own.cell.count, own.cell.attempts), (minute, 3, 3));
    assert_eq!(
        (own.cell.latency.sum_us, own.cell.delay.sum_us),
        (3_000, 15_000)
    );
    let owner = &of(Family::Owner).await[..];
    assert_eq!(
        (owner.len(), &*owner[0].key.key, &owner[0].cell),
        (1, "acme", &own.cell)
    );
    let all = of(Family::All).await;
    let words = |row: &Row| {
        (
            row.key.outcome.clone(),
            row.key.failure.clone(),
            row.cell.count,
        )
    };
    assert_eq!(
        all.iter().map(words).collect::<Vec<_>>(),
        [
            ("delivered".into(), String::new(), 3),
            ("received".into(), String::new(), 4),
            ("retry".into(), "http_5xx".into(), 1)
        ]
    );
    // Two cities are counted by themselves, here; the third is another.
    let count = |rows: Vec<Row>| rows.iter().map(|row| row.cell.count).sum::<u64>();
    let (cities, others) = (of(Family::City).await, of(Family::OtherCities).await);
    let names: std::collections::BTreeSet<_> = cities.iter().map(|row| &row.key.key).collect();
    assert_eq!(names.len(), 2);
    assert_eq!(count(cities.clone()) + count(others), 4);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_delta_that_is_written_twice_is_counted_once(db: PgPool) {
    let tally = tally(Uuid::now_v7(), 2, DELIVERED);
    for _ in 0..2 {
        let delta = Delta {
            replica: Uuid::nil(),
            number: 4,
            tally: &pack(&tally),
        };
        statistics_deltas::insert(&db, delta).await.unwrap();
    }
    assert_eq!(deltas(&db).await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn minutes_are_rolled_up_at_the_borders_of_minute_hour_and_day(db: PgPool) {
    start_at(&db, time("2026-11-24T23:50:00Z")).await;
    let id = Uuid::now_v7();
    for (number, at) in [
        "2026-11-24T23:58:59.999Z",
        "2026-11-24T23:59:00Z",
        "2026-11-24T23:59:59.999Z",
        "2026-11-25T00:00:00Z",
        "2026-11-25T01:00:00Z",
    ]
    .into_iter()
    .enumerate()
    {
        let number = i64::try_from(number).unwrap();
        write(&db, number, time(at), &tally(id, 1, DELIVERED)).await;
    }
    fold_all(&db).await;
    let (at, one) = (time, |count| count);
    assert_eq!(
        of_all(&db, Granularity::Minute).await,
        [
            (at("2026-11-24T23:58:00Z"), one(1)),
            (at("2026-11-24T23:59:00Z"), one(2)),
            (at("2026-11-25T00:00:00Z"), one(1)),
            (at("2026-11-25T01:00:00Z"), one(1)),
        ]
    );

    // What may still be written is not rolled up.
    roll_up_all(&db, time("2026-11-25T00:00:59Z")).await;
    assert_eq!(of_all(&db, Granularity::Day).await, []);
    roll_up_all(&db, time("2026-11-25T00:01:00Z")).await;
    assert_eq!(
        of_all(&db, Granularity::Day).await,
        [(at("2026-11-24T00:00:00Z"), 3)]
    );

    roll_up_all(&db, time("2026-11-25T03:00:00Z")).await;
    assert_eq!(
        of_all(&db, Granularity::Hour).await,
        [
            (at("2026-11-24T23:00:00Z"), 3),
            (at("2026-11-25T00:00:00Z"), 1),
            (at("2026-11-25T01:00:00Z"), 1),
        ]
    );
    assert_eq!(
        of_all(&db, Granularity::Day).await,
        [
            (at("2026-11-24T00:00:00Z"), 3),
            (at("2026-11-25T00:00:00Z"), 2)
        ]
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_comes_late_counts_in_the_first_minute_that_is_open(db: PgPool) {
    start_at(&db, time("2026-11-24T10:05:00Z")).await;
    write(
        &db,
        0,
        time("2026-11-24T10:04:59Z"),
        &tally(Uuid::now_v7(), 1, DELIVERED),
    )
    .await;
    fold_all(&db).await;
    roll_up_all(&db, time("2026-11-24T11:00:00Z")).await;
    let minute = (time("2026-11-24T10:05:00Z"), 1);
    assert_eq!(of_all(&db, Granularity::Minute).await, [minute]);
    assert_eq!(
        of_all(&db, Granularity::Hour).await,
        [(time("2026-11-24T10:00:00Z"), 1)]
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn while_one_folds_another_does_nothing_and_nothing_counts_twice(db: PgPool) {
    start_at(&db, time("2026-11-24T10:00:00Z")).await;
    let id = Uuid::now_v7();
    for number in 0..200 {
        write(
            &db,
            number,
            time("2026-11-24T10:00:30Z"),
            &tally(id, 1, DELIVERED),
        )
        .await;
    }
    let mut holding = db.begin().await.unwrap();
    assert!(statistics::lock(&mut *holding).await.unwrap().is_some());
    assert!(!folder(&db).fold().await.unwrap());
    assert!(
        !folder(&db)
            .roll_up(time("2026-11-24T12:00:00Z"))
            .await
            .unwrap()
    );
    assert_eq!(deltas(&db).await, 200);
    holding.rollback().await.unwrap();

    let two = async || {
        while deltas(&db).await > 0 {
            folder(&db).fold().await.unwrap();
        }
        roll_up_all(&db, time("2026-11-24T12:00:00Z")).await;
    };
    tokio::join!(two(), two(), two());
    roll_up_all(&db, time("2026-11-24T12:00:00Z")).await;
    for granularity in [Granularity::Minute, Granularity::Hour, Granularity::Day] {
        let counted: u64 = of_all(&db, granularity)
            .await
            .iter()
            .map(|(_, count)| count)
            .sum();
        assert_eq!(counted, 200, "{granularity:?}");
    }
}

/// Fails whatever writes an hour's cell.
const BREAK: &str =
    "ALTER TABLE statistics_hours ADD CONSTRAINT broken CHECK (count < 0) NOT VALID";
const MEND: &str = "ALTER TABLE statistics_hours DROP CONSTRAINT broken";

#[sqlx::test(migrations = "../../migrations")]
async fn a_step_that_is_cut_off_counts_nothing(db: PgPool) {
    start_at(&db, time("2026-11-24T10:00:00Z")).await;
    write(
        &db,
        0,
        time("2026-11-24T10:00:30Z"),
        &tally(Uuid::now_v7(), 3, DELIVERED),
    )
    .await;
    // Cut off after the cells were written.
    let cut = sqlx::query(
        "ALTER TABLE statistics_state ADD CONSTRAINT cut CHECK (folded_at < '2001-01-01') NOT VALID",
    );
    cut.execute(&db).await.unwrap();
    assert!(folder(&db).fold().await.is_err());
    assert_eq!(
        (
            deltas(&db).await,
            of_all(&db, Granularity::Minute).await.len()
        ),
        (1, 0)
    );
    sqlx::query("ALTER TABLE statistics_state DROP CONSTRAINT cut")
        .execute(&db)
        .await
        .unwrap();
    fold_all(&db).await;

    let now = time("2026-11-24T12:00:00Z");
    sqlx::query(BREAK).execute(&db).await.unwrap();
    assert!(folder(&db).roll_up(now).await.is_err());
    sqlx::query(MEND).execute(&db).await.unwrap();
    assert_eq!(of_all(&db, Granularity::Day).await, []);
    roll_up_all(&db, now).await;
    for granularity in [Granularity::Minute, Granularity::Hour, Granularity::Day] {
        assert_eq!(of_all(&db, granularity).await[0].1, 3, "{granularity:?}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_tally_of_another_release_stays_for_who_can_read_it(db: PgPool) {
    write(&db, 0, Utc::now(), &tally(Uuid::now_v7(), 1, DELIVERED)).await;
    let delta = Delta {
        replica: Uuid::nil(),
        number: 0,
        tally: &[9, 1, 2],
    };
    statistics_deltas::insert(&db, delta).await.unwrap();
    fold_all(&db).await;
    assert_eq!(deltas(&db).await, 1);
    let counted: u64 = of_all(&db, Granularity::Minute)
        .await
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert_eq!(counted, 1);
}

async fn days(db: &PgPool) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relname ~ '^statistics_minutes_[0-9]+$'
               ORDER BY relname";
    sqlx::query_scalar(sql).fetch_all(db).await.unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_too_old_is_removed_by_its_granularity_and_days_are_made_ahead(db: PgPool) {
    let now = Utc::now();
    let name = |ago: i64| {
        format!(
            "statistics_minutes_{}",
            (now - TimeDelta::days(ago)).format("%Y%m%d")
        )
    };
    folder(&db).tidy().await.unwrap();
    assert_eq!(days(&db).await, [name(1), name(0), name(-1), name(-2)]);

    let old_day = (now - TimeDelta::days(3)).date_naive();
    processor::store::statistics_minutes::add_day(&db, old_day)
        .await
        .unwrap();
    let cell = |ago: Duration| {
        let at = now - ago;
        sqlx::query(
            "INSERT INTO statistics SELECT $1, step, 'all', '', 'delivered', '', 1, 1, 0, '', 0, ''
             FROM UNNEST(ARRAY[60, 3600, 86400]) AS step",
        )
        .bind(Granularity::Minute.begin(at))
    };
    let day = Duration::from_hours(24);
    // Of minutes two days are kept, of hours 60, of days 400.
    for ago in [day, 3 * day, 5 * day, 61 * day, 402 * day] {
        cell(ago).execute(&db).await.unwrap();
    }
    folder(&db).tidy().await.unwrap();
    let count = async |granularity| of_all(&db, granularity).await.len();
    assert_eq!(count(Granularity::Minute).await, 1);
    assert_eq!(count(Granularity::Hour).await, 3);
    assert_eq!(count(Granularity::Day).await, 4);
    assert_eq!(days(&db).await, [name(1), name(0), name(-1), name(-2)]);
}
