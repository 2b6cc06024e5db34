//! `/stats`, `/stats/timeseries`, `/subscriptions/{id}/stats`, over cells that are known.

mod waiting;

use axum::http::{Method, StatusCode};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use common::statistics::{Cell, Family, Granularity, Key};
use common::store::statistics;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::Client;

fn key(family: Family, of: &str, (outcome, failure): (&str, &str)) -> Key {
    Key {
        family,
        key: of.into(),
        outcome: outcome.into(),
        failure: failure.into(),
    }
}

/// So many attempts of 10 ms each, 40 ms after publishing where they delivered.
fn attempts(count: u64, delivered: bool) -> Cell {
    let mut cell = Cell {
        count,
        attempts: count,
        ..Cell::default()
    };
    for _ in 0..count {
        cell.latency.record(10_000);
        if delivered {
            cell.delay.record(40_000);
        }
    }
    cell
}

const DELIVERED: (&str, &str) = ("delivered", "");
const TIMED_OUT: (&str, &str) = ("retry", "timeout");

/// Cells of one length that begin then: `(family, key, delivered, timed out)`.
async fn put(
    db: &PgPool,
    granularity: Granularity,
    at: DateTime<Utc>,
    counts: &[(Family, &str, u64, u64)],
) {
    let mut cells = Vec::new();
    for (family, of, delivered, failed) in counts {
        cells.push((key(*family, of, DELIVERED), attempts(*delivered, true)));
        cells.push((key(*family, of, TIMED_OUT), attempts(*failed, false)));
    }
    let put = statistics::put_all(db, granularity, granularity.begin(at), &cells).await;
    put.expect("cells");
}

/// All that was recorded by then is counted; and no minute from then on is in an hour yet.
async fn counted(db: &PgPool, until: DateTime<Utc>, rolled: DateTime<Utc>) {
    sqlx::query("UPDATE statistics_state SET folded_at = $1, rolled_until = $2")
        .bind(until)
        .bind(rolled)
        .execute(db)
        .await
        .expect("the state");
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The points of the one series of an answer.
async fn points(client: &Client, query: &str) -> Vec<Value> {
    let answer = client.get(&format!("/stats/timeseries?{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let series = answer.json()["series"].clone();
    assert!(series.as_array().expect("series").len() <= 1, "{series}");
    series[0]["points"].as_array().cloned().unwrap_or_default()
}

#[sqlx::test(migrations = "../../migrations")]
async fn now_is_told_by_the_minute_that_runs_and_the_one_before(db: PgPool) {
    let now = Utc::now();
    let minute = Granularity::Minute.begin(now);
    counted(&db, now, Granularity::Day.begin(now) - TimeDelta::days(1)).await;
    put(
        &db,
        Granularity::Minute,
        minute,
        &[(Family::All, "", 30, 10)],
    )
    .await;
    let before = minute - TimeDelta::minutes(1);
    put(
        &db,
        Granularity::Minute,
        before,
        &[(Family::All, "", 60, 0)],
    )
    .await;
    // Not now any more; in the totals it is.
    let long_ago = before - TimeDelta::minutes(10);
    put(
        &db,
        Granularity::Minute,
        long_ago,
        &[(Family::All, "", 5, 0)],
    )
    .await;
    let day = now - TimeDelta::days(20);
    put(&db, Granularity::Day, day, &[(Family::All, "", 900, 100)]).await;

    let client = Client::new(db);
    let stats = client.get("/stats").await.json();
    let seconds = stats["window_seconds"].as_f64().expect("a number");
    assert!((60.0..121.0).contains(&seconds), "{stats}");
    let rate = stats["attempts_per_second"].as_f64().expect("a rate");
    assert!((rate - 100.0 / seconds).abs() < 0.01, "{stats}");
    assert_eq!(stats["success_share"], json!(0.9));
    let p95 = |of: &str| stats[of]["p95"].as_f64().expect("a time");
    assert!((9.0..11.0).contains(&p95("latency_ms")) && (36.0..44.0).contains(&p95("delay_ms")));
    assert_eq!(stats["totals"]["attempts"], json!(1105));
    assert_eq!(stats["totals"]["delivered"], json!(995));
    assert_eq!(stats["totals"]["failed"], json!(110));
    assert_eq!(
        stats["totals"]["since"],
        json!(written(Granularity::Day.begin(day)))
    );
    assert_eq!(stats["events_per_second"], json!(0.0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn where_nothing_was_counted_for_a_while_nothing_happens_now(db: PgPool) {
    let then = Utc::now() - TimeDelta::hours(1);
    counted(&db, then, Granularity::Hour.begin(then)).await;
    put(&db, Granularity::Minute, then, &[(Family::All, "", 30, 10)]).await;
    let stats = Client::new(db).get("/stats").await.json();
    assert_eq!(stats["attempts_per_second"], json!(0.0));
    assert_eq!(
        (&stats["success_share"], &stats["latency_ms"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(stats["totals"]["attempts"], json!(40));
}

#[sqlx::test(migrations = "../../migrations")]
async fn hours_and_days_have_the_minutes_that_are_not_in_them_yet(db: PgPool) {
    let hour = Granularity::Hour.begin(Utc::now() - TimeDelta::hours(5));
    let minute = |at: i64| hour + TimeDelta::minutes(at);
    let all = |delivered| [(Family::All, "", delivered, 0)];
    for at in [0, 4, 5, 61] {
        put(&db, Granularity::Minute, minute(at), &all(10)).await;
    }
    // The first five minutes are rolled up.
    counted(&db, minute(62), minute(5)).await;
    put(&db, Granularity::Hour, hour, &all(20)).await;
    put(&db, Granularity::Day, hour, &all(20)).await;
    let client = Client::new(db);

    let range = format!("since={}&until={}", written(hour), written(minute(120)));
    let query = format!("granularity=1h&measures=delivered,attempts&{range}");
    assert_eq!(
        points(&client, &query).await,
        [
            json!({"at": written(hour), "delivered": 30, "attempts": 30}),
            json!({"at": written(minute(60)), "delivered": 10, "attempts": 10}),
        ]
    );
    let days = points(
        &client,
        &format!("granularity=1d&measures=delivered&{range}"),
    )
    .await;
    let sum: u64 = days
        .iter()
        .filter_map(|day| day["delivered"].as_u64())
        .sum();
    assert_eq!(sum, 40);
    // A range ends before the point that begins there, and its first point is whole.
    let until = format!(
        "since={}&until={}",
        written(minute(4) + TimeDelta::seconds(30)),
        written(minute(5))
    );
    let one = points(
        &client,
        &format!("granularity=1m&measures=delivered&{until}"),
    )
    .await;
    assert_eq!(one, [json!({"at": written(minute(4)), "delivered": 10})]);
    let none = points(
        &client,
        &format!(
            "granularity=1h&since={}&until={}",
            written(minute(-120)),
            written(hour)
        ),
    )
    .await;
    assert!(none.is_empty());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_series_is_split_and_narrowed_by_subscription_city_and_failure(db: PgPool) {
    let client = Client::new(db.clone());
    let now = Utc::now();
    let [a, b] = [
        client.subscription("a").await,
        client.subscription("b").await,
    ]
    .map(|id| id.to_string());
    counted(&db, now, Granularity::Hour.begin(now)).await;
    let counts = [
        (Family::All, "", 6, 3),
        (Family::Subscription, &*a, 4, 1),
        (Family::Subscription, &b, 2, 2),
        (Family::City, "Oslo", 5, 3),
        (Family::OtherCities, "", 1, 0),
    ];
    put(&db, Granularity::Minute, now, &counts).await;
    let series = async |query: &str| {
        let path = format!("/stats/timeseries?granularity=1m&measures=attempts&{query}");
        let answer = client.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text());
        let mut series = answer.json()["series"].as_array().cloned().expect("series");
        for one in &mut series {
            let attempts = one["points"][0]["attempts"].clone();
            let one = one.as_object_mut().expect("an object");
            one.remove("points");
            one.insert("attempts".into(), attempts);
        }
        series
    };
    assert_eq!(series("").await, [json!({"attempts": 9})]);
    let by_failure = [
        json!({"failure": null, "attempts": 6}),
        json!({"failure": "timeout", "attempts": 3}),
    ];
    assert_eq!(series("dimensions=failure").await, by_failure);
    assert_eq!(series("failure=timeout").await, [json!({"attempts": 3})]);
    assert_eq!(series("failure=tls").await, [] as [Value; 0]);
    let by_subscription = [
        json!({"subscription_id": a, "attempts": 5}),
        json!({"subscription_id": b, "attempts": 4}),
    ];
    assert_eq!(series("dimensions=subscription_id").await, by_subscription);
    let query = format!("dimensions=subscription_id,failure&subscription_id={b}");
    let of_b = [
        json!({"subscription_id": b, "failure": null, "attempts": 2}),
        json!({"subscription_id": b, "failure": "timeout", "attempts": 2}),
    ];
    assert_eq!(series(&query).await, of_b);
    let both = format!("subscription_id={a},{b}");
    assert_eq!(series(&both).await, [json!({"attempts": 9})]);
    let by_city = [
        json!({"city": "Oslo", "attempts": 8}),
        json!({"city": null, "attempts": 1}),
    ];
    assert_eq!(series("dimensions=city").await, by_city);
    assert_eq!(
        series("city=Oslo&failure=timeout").await,
        [json!({"attempts": 3})]
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_wrong_with_a_question_is_named(db: PgPool) {
    let client = Client::new(db);
    let ids = vec![Uuid::now_v7().to_string(); 1].join(",");
    let many = (0..101).map(|_| Uuid::now_v7().to_string());
    let many = many.collect::<Vec<_>>().join(",");
    let ago = |days| written(Utc::now() - TimeDelta::days(days));
    for (query, parameter) in [
        ("measures=attempts".to_owned(), "granularity"),
        ("granularity=5m".into(), "granularity"),
        ("granularity=1m&measures=sent".into(), "measures"),
        ("granularity=1m&measures=".into(), "measures"),
        ("granularity=1m&dimensions=owner".into(), "dimensions"),
        (
            "granularity=1m&dimensions=city,subscription_id".into(),
            "dimensions",
        ),
        (
            format!("granularity=1m&dimensions=city&subscription_id={ids}"),
            "dimensions",
        ),
        (
            "granularity=1m&measures=events&dimensions=subscription_id".into(),
            "measures",
        ),
        ("granularity=1m&since=yesterday".into(), "since"),
        ("granularity=1m&until=2026".into(), "until"),
        (
            format!("granularity=1h&since={}&until={}", ago(1), ago(2)),
            "since",
        ),
        (
            format!("granularity=1h&since={}&until={}", ago(1), ago(1)),
            "since",
        ),
        (format!("granularity=1h&since={}", ago(-1)), "since"),
        (format!("granularity=1m&since={}", ago(3)), "since"),
        (format!("granularity=1h&since={}", ago(61)), "since"),
        (format!("granularity=1d&since={}", ago(401)), "since"),
        (
            "granularity=1d&since=-262143-01-01T00:00:00Z".into(),
            "since",
        ),
        ("granularity=1m&subscription_id=7".into(), "subscription_id"),
        (
            format!("granularity=1m&subscription_id={many}"),
            "subscription_id",
        ),
        ("granularity=1m&city=".into(), "city"),
        ("granularity=1m&failure=%00".into(), "failure"),
        ("granularity=1m&limit=1".into(), "limit"),
        ("granularity=1m&granularity=1h".into(), "granularity"),
    ] {
        let answer = client.get(&format!("/stats/timeseries?{query}")).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {}",
            answer.text()
        );
        let problem = answer.json();
        assert_eq!(problem["code"], "invalid_parameter", "{query}: {problem}");
        assert_eq!(problem["parameter"], parameter, "{query}: {problem}");
    }
    let wrong_id = client.get("/subscriptions/7/stats").await.json();
    assert_eq!(wrong_id["parameter"], "id");
    let unknown = client
        .get(&format!("/subscriptions/{}/stats", Uuid::now_v7()))
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(
        client.call(Method::POST, "/stats").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_answer_that_would_be_long_is_refused(db: PgPool) {
    let now = Utc::now();
    counted(&db, now, Granularity::Hour.begin(now)).await;
    sqlx::query(
        "INSERT INTO statistics
         SELECT date_trunc('minute', $1) - make_interval(mins => minute), 60, 'subscription',
                gen_random_uuid()::text, 'delivered', '', 1, 1, 0, '', 0, ''
         FROM generate_series(0, 1) AS minute, generate_series(1, 5000) AS one",
    )
    .bind(now)
    .execute(&db)
    .await
    .expect("cells");
    let client = Client::new(db.clone());
    let path = "/stats/timeseries?granularity=1m&dimensions=subscription_id";
    let allowed = client.get(path).await;
    assert_eq!(allowed.status, StatusCode::OK, "{}", allowed.text());
    sqlx::query(
        "INSERT INTO statistics SELECT date_trunc('minute', $1), 60, 'subscription', 'one-more',
                                       'delivered', '', 1, 1, 0, '', 0, ''",
    )
    .bind(now)
    .execute(&db)
    .await
    .expect("a cell");
    let refused = client.get(path).await.json();
    assert_eq!(refused["parameter"], "dimensions", "{refused}");
    assert!(
        refused["detail"]
            .as_str()
            .expect("text")
            .contains("10000 points")
    );
}
