//! The list of subscriptions.
//!
//! The API lists them in pages, the oldest first, and does not search. Where something is looked
//! for, all its pages are read, up to [`LOOKED_THROUGH`], and what does not fit is left out here.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::answers::{Page, Subscription};
use crate::api::with_query;
use crate::chart::Spark;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::series::{Grid, Range, Timeseries};
use crate::visitor::Visitor;
use crate::{Console, cause, health, number};

/// How many a page shows.
const SHOWN: usize = 50;

/// How many of the API's pages are looked through, and how long each is.
const PAGES: usize = 10;
const PAGE: usize = 1000;

/// How many are looked through.
const LOOKED_THROUGH: usize = PAGES * PAGE;

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route("/console/subscriptions", get(list))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    q: String,
    state: String,
    skip: usize,
}

#[derive(Template)]
#[template(path = "subscriptions.html")]
struct List {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    /// How many fit, where all were looked through.
    found: Option<usize>,
    /// Whether there were more than are looked through.
    is_cut: bool,
    has_more: bool,
}

struct Row {
    subscription: Subscription,
    said: health::Said,
    spark: Spark,
}

/// What one may choose from: by state, and by how they are.
const STATES: [(&str, &str); 7] = [
    ("", "any state"),
    ("active", "active"),
    ("paused", "paused"),
    ("disabled", "disabled"),
    ("failing", "failing"),
    ("open", "circuit open"),
    ("held_back", "held back"),
];

impl Asked {
    fn looks(&self) -> bool {
        !self.q.trim().is_empty() || !self.state.is_empty()
    }

    fn wants(&self, it: &Subscription) -> bool {
        let text = self.q.trim().to_lowercase();
        let owner = it.owner.as_deref().unwrap_or_default();
        let id = it.id.to_string();
        let fits = |of: &str| of.to_lowercase().contains(&text);
        let is_named = text.is_empty() || [&it.name, &it.url, owner, &*id].into_iter().any(fits);
        is_named
            && match self.state.as_str() {
                "" => true,
                "failing" => it.circuit.failing_since.is_some() && it.state == "active",
                "open" => it.circuit.state != "closed",
                "held_back" => it.held_back.is_some(),
                state => it.state == state,
            }
    }

    fn at(&self, skip: usize) -> String {
        let skip = if skip == 0 {
            String::new()
        } else {
            skip.to_string()
        };
        let given = [("q", &*self.q), ("state", &*self.state), ("skip", &*skip)];
        with_query("/console/subscriptions", given)
    }
}

async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    let (mut all, is_cut) = if asked.looks() {
        let (all, is_cut) = look_through(&visitor, &asked).await?;
        (all, is_cut)
    } else {
        let path = format!("/subscriptions?skip={}&limit={}", asked.skip, SHOWN + 1);
        (visitor.get::<Page<Subscription>>(&path).await?.items, false)
    };
    let found = asked.looks().then_some(all.len());
    if asked.looks() {
        all.drain(..asked.skip.min(all.len()));
    }
    let has_more = all.len() > SHOWN;
    all.truncate(SHOWN);
    let sparks = Sparks::read(&visitor, &all).await;
    let rows = all.into_iter().map(|subscription| Row {
        said: health::brief(&subscription, sparks.share(&subscription), visitor.now),
        spark: sparks.of(&subscription),
        subscription,
    });
    Ok(page(&List {
        frame: visitor.frame("Subscriptions"),
        rows: rows.collect(),
        asked,
        found,
        is_cut,
        has_more,
    }))
}

async fn look_through(
    visitor: &Visitor,
    asked: &Asked,
) -> Result<(Vec<Subscription>, bool), Failed> {
    let mut found = Vec::new();
    for at in 0..PAGES {
        let path = format!("/subscriptions?skip={}&limit={PAGE}", at * PAGE);
        let items = visitor.get::<Page<Subscription>>(&path).await?.items;
        let is_last = items.len() < PAGE;
        found.extend(items.into_iter().filter(|it| asked.wants(it)));
        if is_last {
            return Ok((found, false));
        }
    }
    Ok((found, true))
}

/// What became of the deliveries of each in the last hour: what was delivered at each step, and what
/// failed.
#[derive(Default)]
struct Sparks(HashMap<String, [Vec<Option<f64>>; 2]>);

impl Sparks {
    /// A list is worth showing without.
    async fn read(visitor: &Visitor, of: &[Subscription]) -> Self {
        if of.is_empty() {
            return Self::default();
        }
        let ids: Vec<_> = of.iter().map(|it| it.id.to_string()).collect();
        let ids = ids.join(",");
        let more = [
            ("dimensions", "subscription_id"),
            ("subscription_id", &*ids),
        ];
        let path = Range::Hour.path("delivered,failed", &more, visitor.now);
        let Ok(timeseries) = visitor.read::<Timeseries>(&path).await else {
            return Self::default();
        };
        let grid = Grid::new(Range::Hour, visitor.now, timeseries.as_of);
        let series = timeseries.series.into_iter().filter_map(|series| {
            let counts = ["delivered", "failed"].map(|measure| grid.counts(&series, measure));
            Some((series.subscription_id?, counts))
        });
        Self(series.collect())
    }

    fn of(&self, it: &Subscription) -> Spark {
        let counts = self.0.get(&it.id.to_string());
        counts.map_or_else(
            || Spark::new(&[], &[]),
            |[delivered, failed]| Spark::new(delivered, failed),
        )
    }

    /// Which share of the attempts succeeded; `None` where none was made.
    fn share(&self, it: &Subscription) -> Option<f64> {
        let counts = self.0.get(&it.id.to_string())?;
        let [delivered, failed] = counts
            .each_ref()
            .map(|counts| counts.iter().flatten().sum::<f64>());
        let attempts = delivered + failed;
        (attempts > 0.0).then(|| delivered / attempts)
    }
}

impl List {
    fn found_text(&self) -> String {
        match self.found {
            None => String::new(),
            Some(1) => "One fits.".into(),
            Some(found) => format!(
                "{} fit.",
                number::count(i64::try_from(found).unwrap_or(i64::MAX))
            ),
        }
    }

    fn from(&self) -> usize {
        self.asked.skip + 1
    }

    fn to(&self) -> usize {
        self.asked.skip + self.rows.len()
    }

    fn next(&self) -> String {
        self.asked.at(self.asked.skip + SHOWN)
    }

    fn previous(&self) -> String {
        self.asked.at(self.asked.skip.saturating_sub(SHOWN))
    }
}
