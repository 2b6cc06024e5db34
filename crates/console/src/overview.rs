//! `/`: what an operator leaves open on a second screen.

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use chrono::TimeDelta;
use futures_util::future::join_all;
use serde::Deserialize;

use crate::answers::{Failing, Stats, SubscriptionStats};
use crate::chart::{self, Chart, Plot, Unit};
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::series::{Grid, Range, Series, Tab, Timeseries};
use crate::visitor::Visitor;
use crate::{Console, cause, health, moment, number};

/// What the charts are of; who is no admin is not told how many events there were.
const MEASURES: &str =
    "delivered,failed,success_share,latency_ms_p50,latency_ms_p99,delay_ms_p50,delay_ms_p99";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route("/", get(overview))
}

#[derive(Deserialize)]
struct Asked {
    range: Option<String>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    frame: Frame,
    tabs: Vec<Tab>,
    stats: Stats,
    failing: Vec<Row>,
    charts: Vec<Chart>,
    components: Vec<Component>,
}

/// Who fails now.
struct Row {
    failing: Failing,
    attempts: i64,
    disabled_in: Option<String>,
}

struct Component {
    name: String,
    says: String,
}

async fn overview(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    let range = Range::of(asked.range.as_deref());
    let measures = if visitor.is_admin() {
        format!("events,{MEASURES}")
    } else {
        MEASURES.to_owned()
    };
    let path = range.path(&measures, &[], visitor.now);
    let (stats, timeseries, readiness) = tokio::join!(
        visitor.get::<Stats>("/stats"),
        visitor.get::<Timeseries>(&path),
        visitor.readiness(),
    );
    let (stats, timeseries) = (stats?, timeseries?);
    let failing = stats.top_failing.iter();
    let failing = failing.filter(|it| health::is_steady(it.since, visitor.now));
    let failing = join_all(failing.map(|it| row(&visitor, it))).await;
    let components = readiness["components"].as_object().into_iter().flatten();
    let components = components.map(|(name, says)| Component {
        name: name.clone(),
        says: says.as_str().unwrap_or_default().to_owned(),
    });
    Ok(page(&Overview {
        frame: visitor.frame("Overview"),
        tabs: range.tabs("/"),
        charts: charts(range, &timeseries, &visitor),
        failing,
        components: components.collect(),
        stats,
    }))
}

async fn row(visitor: &Visitor, failing: &Failing) -> Row {
    let path = format!("/subscriptions/{}/stats", failing.subscription_id);
    let health = visitor.read::<SubscriptionStats>(&path).await.ok();
    let health = health.map(|stats| stats.health);
    let left = health.as_ref().and_then(|it| it.disabled_at);
    let left = left
        .map(|at| at - visitor.now)
        .filter(|left| *left > TimeDelta::zero());
    Row {
        failing: failing.clone(),
        attempts: health.map_or(0, |it| it.consecutive_failures),
        disabled_in: left.map(moment::length),
    }
}

fn charts(range: Range, timeseries: &Timeseries, visitor: &Visitor) -> Vec<Chart> {
    let grid = Grid::new(range, visitor.now, timeseries.as_of);
    let nothing = Series::default();
    let of = timeseries.series.first().unwrap_or(&nothing);
    let plot = |name, class, values| Plot::new(name, class, values);
    let times = |title, kind: &str| {
        let half = grid.values(of, &format!("{kind}_p50"));
        let most = grid.values(of, &format!("{kind}_p99"));
        let plots = vec![plot("p99", "late", most), plot("p50", "main", half)];
        chart::lines(title, Unit::Millis, &grid.steps, plots)
    };
    let mut throughput = vec![
        plot("delivered", "main", grid.rates(of, "delivered")),
        plot("failed attempts", "bad", grid.rates(of, "failed")),
    ];
    if visitor.is_admin() {
        throughput.insert(0, plot("events in", "other", grid.rates(of, "events")));
    }
    let share = vec![plot("success", "good", grid.values(of, "success_share"))];
    vec![
        chart::lines(
            "Events in and deliveries out",
            Unit::PerSecond,
            &grid.steps,
            throughput,
        ),
        chart::lines(
            "Share of attempts that succeed",
            Unit::Share,
            &grid.steps,
            share,
        ),
        times("Receivers’ latency", "latency_ms"),
        times("From publishing to delivered", "delay_ms"),
    ]
}

impl Overview {
    fn tone(&self) -> &'static str {
        if !self.failing.is_empty() || self.components.iter().any(|it| it.says != "ok") {
            return "bad";
        }
        if self.stats.open_circuits + self.stats.held_back > 0 {
            "fair"
        } else {
            "good"
        }
    }

    /// How it is, in a sentence.
    fn headline(&self) -> String {
        let ill = self.components.iter().filter(|it| it.says != "ok");
        let ill: Vec<_> = ill.map(|it| it.name.as_str()).collect();
        if !ill.is_empty() {
            return format!(
                "Trouble with {}: see the components below.",
                ill.join(" and ")
            );
        }
        match (self.failing.len(), self.stats.held_back) {
            (0, 0) => "All is well: everything that was due is delivered, or on its way.".into(),
            (0, 1) => "One subscription is held back: it is paused, or catches up.".into(),
            (0, many) => format!(
                "{} subscriptions are held back: they are paused, or catch up.",
                number::count(many)
            ),
            (1, _) => "One subscription fails. The others are not slowed by it.".into(),
            (10, _) => "Ten subscriptions or more fail. The others are not slowed by them.".into(),
            (some, _) => format!("{some} subscriptions fail. The others are not slowed by them."),
        }
    }

    fn share(&self) -> String {
        self.stats
            .now
            .success_share
            .map_or("–".into(), number::percent)
    }

    fn lag(&self) -> String {
        let lag = self.stats.lag.as_ref();
        lag.map_or("not known".into(), |lag| number::count(lag.events))
    }

    fn oldest(&self) -> String {
        let oldest = self.stats.oldest_undelivered_seconds;
        oldest.map_or("–".into(), moment::length_of)
    }
}
