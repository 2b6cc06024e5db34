//! `/stats/timeseries`: counts and times by the minute, the hour or the day.
//!
//! Cells are kept by subscription and by city beside each other, not multiplied: a question is about
//! one or the other. It is refused where its answer would be long, before that is made.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use common::human;
use common::statistics::{Family, Granularity};
use common::store::statistics::{Row, Span};
use common::store::subscriptions;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Settings;
use super::cells::{Cells, MAX_CELLS, Of};
use super::measure::{Dimension, Dimensions, Measure, Measures, Values};
use super::sum::Sum;
use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::Query;
use crate::fields::{Text, Time};
use crate::refusals;

/// How many steps a range may have.
const MAX_STEPS: i64 = 3_000;

/// How many points an answer may have.
const MAX_POINTS: usize = 10_000;

/// How many subscriptions may be named.
const MAX_IDS: usize = 100;

/// By which measures, split by what, and of what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimeseriesQuery {
    /// How long each point is.
    #[param(inline, example = "1m")]
    granularity: Granularity,
    /// Separated by commas: `events` (of all only), `attempts`, `delivered`, `failed` (attempts),
    /// `retried`, `dead_lettered`, `parked`, `postponed` (for want of a token), `expired`,
    /// `superseded` (before they were pending),
    /// `success_share` (of the attempts), and `latency_ms_` (the receiver's) or `delay_ms_` (from
    /// publishing to delivered) with `mean`, `p50`, `p95`, `p99`.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "attempts,success_share,latency_ms_p95")]
    measures: Measures,
    /// Separated by commas: `subscription_id` or `city` (for admins), and `failure`.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "failure")]
    dimensions: Dimensions,
    /// From the point on in which this lies; an hour, a day or 30 days before `until`, unless given.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// Points that begin before this; now, unless given.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
    /// Of these only, up to 100, separated by commas.
    #[param(value_type = Option<String>)]
    subscription_id: Option<Ids>,
    /// Of this city only; for admins.
    #[param(value_type = Option<String>, max_length = 200)]
    city: Option<Text>,
    /// Of this class of failure only.
    #[param(value_type = Option<String>, max_length = 200)]
    failure: Option<Text>,
}

/// Ids separated by commas.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Ids(BTreeSet<Uuid>);

impl TryFrom<String> for Ids {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ids: Result<BTreeSet<Uuid>, _> = text.split(',').map(|id| id.trim().parse()).collect();
        let ids = ids.map_err(|_| "must be UUIDs, separated by commas")?;
        if ids.len() > MAX_IDS {
            return Err(format!("must name {MAX_IDS} at most"));
        }
        Ok(Self(ids))
    }
}

/// Points by series. A point at which nothing was counted is left out: it stands for zero.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "granularity": "1m", "since": "2026-11-23T21:00:00Z", "until": "2026-11-23T22:00:00Z",
    "as_of": "2026-11-23T21:59:57Z",
    "series": [{"failure": null, "points": [
        {"at": "2026-11-23T21:00:00Z", "attempts": 1200, "latency_ms_p95": 21.5}
    ]}]
}))]
pub struct Timeseries {
    granularity: Granularity,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    /// What was recorded by then is counted.
    as_of: DateTime<Utc>,
    series: Vec<Series>,
}

/// The points of one subscription, city or failure, or of all, in the order of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Series {
    /// There where it is a dimension.
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_id: Option<String>,
    /// There where it is a dimension; `null`: all cities that are not counted by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    city: Option<Named>,
    /// There where it is a dimension; `null`: what did not fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    failure: Option<Named>,
    points: Vec<Point>,
}

/// A name, or none: `null`.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Named(Option<String>);

/// What was counted from `at` on, for as long as the granularity says.
#[derive(Debug, Serialize, ToSchema)]
pub struct Point {
    at: DateTime<Utc>,
    /// By measure; `null` where there is nothing to tell.
    #[serde(flatten)]
    #[schema(value_type = std::collections::HashMap<String, Option<f64>>)]
    values: Values,
}

fn wrong(name: &str, detail: impl Into<String>) -> ApiError {
    ApiError::InvalidParameter {
        name: name.into(),
        detail: detail.into(),
    }
}

impl TimeseriesQuery {
    fn has(&self, dimension: Dimension) -> bool {
        self.dimensions.0.contains(&dimension)
    }

    /// The range, if it is in order, kept and not long.
    fn span(&self, settings: Settings, now: DateTime<Utc>) -> Result<Span, ApiError> {
        let granularity = self.granularity;
        let until = self.until.map_or(now, DateTime::from).min(now);
        let since = self
            .since
            .map_or_else(|| until - usual(granularity), DateTime::from);
        if since >= until {
            let detail = "must be before until, and in the past";
            return Err(wrong("since", detail));
        }
        let kept = settings.kept.kept(granularity);
        let oldest = TimeDelta::from_std(kept)
            .ok()
            .and_then(|kept| now.checked_sub_signed(kept));
        if oldest.is_some_and(|oldest| since < oldest) {
            let (label, kept) = (granularity.label(), human::written(kept));
            let detail = format!("lies too far back: {label} is kept for {kept}");
            return Err(wrong("since", detail));
        }
        let since = granularity.begin(since);
        if (until - since).num_seconds() / i64::from(granularity.seconds()) >= MAX_STEPS {
            let label = granularity.label();
            let detail = format!("begins more than {MAX_STEPS} times {label} before until");
            return Err(wrong("since", detail));
        }
        Ok(Span {
            granularity,
            since,
            until,
        })
    }

    /// Which cells answer it.
    async fn of(&self, caller: &Caller, db: &PgPool) -> Result<Of, ApiError> {
        let by_city = self.has(Dimension::City) || self.city.is_some();
        let by_subscription = self.has(Dimension::SubscriptionId) || self.subscription_id.is_some();
        if by_city && by_subscription {
            let detail = "what is kept by city is not kept by subscription";
            return Err(wrong("dimensions", detail));
        }
        if self.measures.0.contains(&Measure::Events)
            && (by_city || by_subscription || caller.owner().is_some())
        {
            let detail = "events are counted for all together, and for admins";
            return Err(wrong("measures", detail));
        }
        if by_city {
            return self.of_cities(caller);
        }
        if by_subscription {
            return self.of_subscriptions(caller, db).await;
        }
        Ok(Of::reach(caller))
    }

    fn of_cities(&self, caller: &Caller) -> Result<Of, ApiError> {
        if caller.owner().is_some() {
            let name = if self.city.is_some() {
                "city"
            } else {
                "dimensions"
            };
            return Err(wrong(name, "cities are counted over everybody: for admins"));
        }
        Ok(match &self.city {
            Some(city) => Of::Keys(Family::City, vec![city.as_str().to_owned()]),
            None => Of::Families(&[Family::City, Family::OtherCities]),
        })
    }

    async fn of_subscriptions(&self, caller: &Caller, db: &PgPool) -> Result<Of, ApiError> {
        if caller.owner().is_none() && self.subscription_id.is_none() {
            return Ok(Of::Families(&[Family::Subscription]));
        }
        let named = self.subscription_id.as_ref().map(|ids| &ids.0);
        let ids: Vec<Uuid> = match (caller.owner(), named) {
            (None, Some(named)) => named.iter().copied().collect(),
            (owner, named) => {
                let mut ids = subscriptions::ids(db, owner).await?;
                // Another's are like none.
                ids.retain(|id| named.is_none_or(|named| named.contains(id)));
                ids
            }
        };
        let keys = ids.iter().map(Uuid::to_string).collect();
        Ok(Of::Keys(Family::Subscription, keys))
    }

    /// Puts together what was read.
    fn series(&self, rows: Vec<Row>) -> Result<Vec<Series>, ApiError> {
        let failure = self.failure.as_ref().map(Text::as_str);
        let mut series: BTreeMap<_, BTreeMap<DateTime<Utc>, Sum>> = BTreeMap::new();
        let mut points = 0;
        for mut row in rows {
            if failure.is_some_and(|failure| failure != row.key.failure) {
                continue;
            }
            let by_key = self.has(Dimension::SubscriptionId) || self.has(Dimension::City);
            let at = (
                by_key.then(|| (row.key.family, std::mem::take(&mut row.key.key))),
                self.has(Dimension::Failure)
                    .then(|| row.key.failure.clone()),
            );
            let sums = series.entry(at).or_default();
            sums.entry(row.at)
                .or_insert_with(|| {
                    points += 1;
                    Sum::default()
                })
                .add(&row);
        }
        if points > MAX_POINTS {
            return Err(self.too_many());
        }
        let series = series.into_iter();
        Ok(series
            .map(|((key, failure), sums)| Series {
                points: self.points(&sums),
                failure: failure.map(|class| Named((!class.is_empty()).then_some(class))),
                city: key
                    .as_ref()
                    .filter(|_| self.has(Dimension::City))
                    .map(|(family, city)| Named((*family == Family::City).then(|| city.clone()))),
                subscription_id: key
                    .filter(|_| self.has(Dimension::SubscriptionId))
                    .map(|(_, id)| id),
            })
            .collect())
    }

    fn points(&self, sums: &BTreeMap<DateTime<Utc>, Sum>) -> Vec<Point> {
        let point = |(at, sum): (&DateTime<Utc>, &Sum)| {
            let measures = self.measures.0.iter();
            Point {
                at: *at,
                values: Values(measures.map(|it| (*it, it.of(sum))).collect()),
            }
        };
        sums.iter().map(point).collect()
    }

    /// The parameter that most makes the answer long.
    fn too_many(&self) -> ApiError {
        let name = if self.dimensions.0.is_empty() {
            "since"
        } else {
            "dimensions"
        };
        let detail = format!(
            "there would be more than {MAX_POINTS} points, or {MAX_CELLS} cells behind them: ask for \
             a shorter range, a coarser granularity or fewer subscriptions"
        );
        wrong(name, detail)
    }
}

/// How far back a range goes that does not say.
fn usual(granularity: Granularity) -> TimeDelta {
    match granularity {
        Granularity::Minute => TimeDelta::hours(1),
        Granularity::Hour => TimeDelta::days(1),
        Granularity::Day => TimeDelta::days(30),
    }
}

/// Show statistics over time
///
/// A delivery is counted in the minute in which it was recorded, some seconds after it happened.
/// Up to 3,000 steps and 10,000 points.
#[utoipa::path(get, path = "/stats/timeseries", tag = "statistics", params(TimeseriesQuery),
    security(("key" = ["read"])), responses(
    (status = 200, body = Timeseries, description = "What was counted"),
    refusals::Timeseries,
))]
pub async fn timeseries(
    State(db): State<PgPool>,
    State(settings): State<Settings>,
    caller: Caller,
    Query(query): Query<TimeseriesQuery>,
) -> Result<axum::Json<Timeseries>, ApiError> {
    let of = query.of(&caller, &db).await?;
    let mut cells = Cells::open(&db).await?;
    let span = query.span(settings, cells.state.now)?;
    let rows = cells.read(span, &of).await?;
    if i64::try_from(rows.len()).is_ok_and(|count| count > MAX_CELLS) {
        return Err(query.too_many());
    }
    Ok(axum::Json(Timeseries {
        granularity: span.granularity,
        since: span.since,
        until: span.until,
        as_of: cells.state.folded_at,
        series: query.series(rows)?,
    }))
}
