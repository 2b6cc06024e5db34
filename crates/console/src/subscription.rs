//! One subscription: how it is, why, and what can be done about it.
//!
//! `edit` makes and changes it, `actions` has the buttons, `replay` sends what was sent again, `timeline`
//! tells what happened.

mod actions;
mod edit;
mod replay;
mod timeline;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use uuid::Uuid;

use crate::answers::{
    Delivery, Entry, OperationalEvent, Page, Replay, Subscription, SubscriptionStats, WholeDelivery,
};
use crate::api::escaped;
use crate::chart::{self, Chart, Plot, Unit};
use crate::deliveries::Row;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::series::{Grid, Range, Series, Tab, Timeseries};
use crate::visitor::Visitor;
use crate::{Console, cause, health, number};

/// How many deliveries, replays and lines of the timeline are shown.
const DELIVERIES: usize = 15;
const REPLAYS: usize = 5;
const MOMENTS: usize = 15;

/// How many classes of failure a chart tells apart.
const FAILURES: usize = 3;

/// The routes of this directory.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/subscriptions/{id}", get(subscription))
        .merge(actions::routes())
        .merge(edit::routes())
        .merge(replay::routes())
}

#[derive(Deserialize)]
struct Asked {
    range: Option<String>,
}

#[derive(Template)]
#[template(path = "subscription.html")]
struct One {
    frame: Frame,
    it: Subscription,
    stats: Option<SubscriptionStats>,
    said: health::Said,
    /// What to do about it, where it fails.
    advice: Option<String>,
    tabs: Vec<Tab>,
    charts: Vec<Chart>,
    deliveries: Vec<Row>,
    replays: Vec<Replay>,
    /// What happened; who changed something is not told to who is no admin.
    timeline: Vec<timeline::Moment>,
}

async fn subscription(
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Query(asked): Query<Asked>,
) -> Result<Response, Failed> {
    let range = Range::of(asked.range.as_deref());
    let (own, of) = (format!("/subscriptions/{id}"), id.to_string());
    let stats_path = format!("{own}/stats");
    let latest = format!("/deliveries?subscription_id={id}&limit={DELIVERIES}");
    let again = format!("/replays?subscription_id={id}&limit=1000");
    let happened = format!("{own}/timeline?limit={MOMENTS}");
    let who = format!("/audit?kind=subscription&object_id={id}&limit={MOMENTS}");
    let (it, stats, charts, deliveries, replays, happened, changes) = tokio::join!(
        visitor.get::<Subscription>(&own),
        visitor.read::<SubscriptionStats>(&stats_path),
        charts(&visitor, range, &of),
        visitor.read::<Page<Delivery>>(&latest),
        visitor.read::<Page<Replay>>(&again),
        visitor.read::<Page<OperationalEvent>>(&happened),
        visitor.read::<Page<Entry>>(&who),
    );
    let (it, stats) = (it?, stats.ok());
    let mut replays = replays.map_or(Vec::new(), |page| page.items);
    replays.reverse();
    replays.truncate(REPLAYS);
    let deliveries = deliveries.map_or(Vec::new(), |page| page.items);
    let happened = happened.map_or(Vec::new(), |page| page.items);
    let changes = changes.map_or(Vec::new(), |page| page.items);
    let advice = advice(&visitor, &it, &deliveries).await;
    Ok(page(&One {
        frame: visitor.frame(&it.name),
        said: stats.as_ref().map_or_else(
            || health::brief(&it, None, visitor.now),
            |stats| health::said(&it, stats, visitor.now),
        ),
        advice,
        deliveries: deliveries
            .into_iter()
            .map(|it| Row::new(it, None))
            .collect(),
        tabs: range.tabs(&format!("/console/subscriptions/{id}")),
        charts,
        replays,
        timeline: timeline::of(&happened, changes, MOMENTS),
        stats,
        it,
    }))
}

/// What the API says to do about the latest failure, while there was no success since.
async fn advice(visitor: &Visitor, it: &Subscription, latest: &[Delivery]) -> Option<String> {
    it.circuit.failing_since?;
    let failed = latest.iter().find(|it| it.failure.is_some())?;
    let path = format!("/deliveries/{}", escaped(&failed.id));
    let whole = visitor.read::<WholeDelivery>(&path).await.ok()?;
    let last = whole.attempts.into_iter().next_back()?;
    last.failure.is_some().then_some(last.hint)
}

/// A page is worth showing without.
async fn charts(visitor: &Visitor, range: Range, of: &str) -> Vec<Chart> {
    let own = [("subscription_id", of)];
    let by_failure = [("subscription_id", of), ("dimensions", "failure")];
    let times = "delivered,latency_ms_p50,latency_ms_p99";
    let (times, failures) = (
        range.path(times, &own, visitor.now),
        range.path("failed", &by_failure, visitor.now),
    );
    let (times, failures) = tokio::join!(
        visitor.read::<Timeseries>(&times),
        visitor.read::<Timeseries>(&failures),
    );
    let (Ok(times), Ok(failures)) = (times, failures) else {
        return Vec::new();
    };
    let grid = Grid::new(range, visitor.now, times.as_of);
    let nothing = Series::default();
    let of = times.series.first().unwrap_or(&nothing);
    let mut plots = vec![Plot::new("delivered", "main", grid.counts(of, "delivered"))];
    plots.extend(worst(&grid, &failures.series));
    let latency = vec![
        Plot::new("p99", "late", grid.values(of, "latency_ms_p99")),
        Plot::new("p50", "main", grid.values(of, "latency_ms_p50")),
    ];
    vec![
        chart::bars(
            "Delivered, and attempts that failed, by cause",
            Unit::Count,
            &grid.steps,
            plots,
        ),
        chart::lines("The receiver’s latency", Unit::Millis, &grid.steps, latency),
    ]
}

/// The classes of failure that there were most of, and the others together.
fn worst(grid: &Grid, series: &[Series]) -> Vec<Plot> {
    let failed = series.iter().filter_map(|series| {
        let class = series.failure.as_deref()?;
        let counts = grid.counts(series, "failed");
        let sum: f64 = counts.iter().flatten().sum();
        (sum > 0.0).then_some((class, counts, sum))
    });
    let mut failed: Vec<_> = failed.collect();
    failed.sort_by(|(_, _, one), (_, _, other)| other.total_cmp(one));
    let classes = ["bad", "bad-2", "bad-3"];
    let rest = failed.split_off(failed.len().min(FAILURES));
    let named = failed.into_iter().zip(classes);
    let mut plots: Vec<_> = named
        .map(|((class, counts, _), colour)| Plot::new(cause::words(class), colour, counts))
        .collect();
    if !rest.is_empty() {
        let sum_at = |at: usize| rest.iter().filter_map(|(_, counts, _)| counts[at]).sum();
        let sums = (0..grid.steps.len()).map(|at| Some(sum_at(at)));
        plots.push(Plot::new("other failures", "other", sums.collect()));
    }
    plots
}

impl One {
    /// Lines of its policy: what, and as it is said.
    fn policy(&self) -> Vec<(&'static str, String)> {
        let it = &self.it;
        let list = |list: &Option<Vec<String>>, all: &str| {
            list.as_ref().map_or(all.to_owned(), |it| it.join(", "))
        };
        let or_default = |text: &Option<String>| text.clone().unwrap_or("default".into());
        let headers = Some(it.header_names.clone()).filter(|names| !names.is_empty());
        let algorithm = it.signing_algorithm.as_deref().unwrap_or("hmac_sha256");
        vec![
            ("Event types", list(&it.event_types, "every type")),
            ("Cities", list(&it.cities, "every city")),
            ("Filter", it.filter.clone().unwrap_or("none".into())),
            ("Authentication", it.auth.kind.clone()),
            ("Further headers", list(&headers, "none")),
            ("Signature", algorithm.replace('_', "-")),
            ("Retries", list(&it.retry_schedule, "default")),
            ("Given up after", or_default(&it.max_age)),
            ("Time-out of an attempt", or_default(&it.timeout)),
            (
                "Rate limit",
                it.rate_limit
                    .map_or("none".into(), |it| format!("{it} a second")),
            ),
            (
                "In flight at most",
                it.max_in_flight
                    .map_or("default".into(), |it| it.to_string()),
            ),
            ("Order", it.ordering.replace('_', " ")),
            ("When behind", coalesced(&it.coalesce).to_owned()),
            ("Disabled after failing for", or_default(&it.disable_after)),
        ]
    }
}

fn coalesced(coalesce: &str) -> &str {
    match coalesce {
        "none" => "every reading",
        "latest_per_key" => "the latest reading of each city",
        other => other,
    }
}
