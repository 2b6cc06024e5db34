//! The list of subscriptions: all, or those that one looks for.

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
use crate::{Console, cause, health};

/// How many a page shows.
const SHOWN: usize = 50;

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
    has_more: bool,
    /// What is wrong with what was asked for.
    wrong: String,
}

struct Row {
    subscription: Subscription,
    said: health::Said,
    spark: Spark,
}

/// What one may choose from: by state, and by what they suffer from.
const STATES: [(&str, &str); 7] = [
    ("", "any state"),
    ("active", "active"),
    ("paused", "paused"),
    ("disabled", "disabled"),
    ("failing", "failing"),
    ("circuit_open", "circuit open"),
    ("held_back", "held back"),
];

impl Asked {
    fn looks(&self) -> bool {
        !self.q.trim().is_empty() || !self.state.is_empty()
    }

    /// Where the API has them, and one more.
    fn path(&self) -> String {
        let is_health = matches!(&*self.state, "failing" | "circuit_open" | "held_back");
        let by = if is_health { "health" } else { "state" };
        let (skip, limit) = (self.skip.to_string(), (SHOWN + 1).to_string());
        let given = [
            ("q", self.q.trim()),
            (by, &*self.state),
            ("skip", &*skip),
            ("limit", &*limit),
        ];
        with_query("/subscriptions", given)
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
    let mut list = List {
        frame: visitor.frame("Subscriptions"),
        rows: Vec::new(),
        has_more: false,
        wrong: String::new(),
        asked,
    };
    let path = list.asked.path();
    let mut all = match visitor.read::<Page<Subscription>>(&path).await {
        Ok(page) => page.items,
        Err(problem) if problem.status == 400 => {
            list.wrong = problem.detail;
            return Ok(page(&list));
        }
        Err(problem) => return Err(visitor.failed(problem)),
    };
    list.has_more = all.len() > SHOWN;
    all.truncate(SHOWN);
    let sparks = Sparks::read(&visitor, &all).await;
    let rows = all.into_iter().map(|subscription| Row {
        said: health::brief(&subscription, sparks.share(&subscription), visitor.now),
        spark: sparks.of(&subscription),
        subscription,
    });
    list.rows = rows.collect();
    Ok(page(&list))
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
    /// How many fit, where that is known.
    fn found(&self) -> String {
        match (self.asked.skip, self.has_more, self.rows.len()) {
            (0, false, 1) => "One fits.".into(),
            (0, false, found @ 2..) => format!("{found} fit."),
            _ => String::new(),
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
