//! `GET /stats/timeseries`, over the ranges that a page offers.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;

use crate::answers::At;
use crate::api::with_query;

/// How far back a chart goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    Quarter,
    #[default]
    Hour,
    Day,
    Week,
}

impl Range {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Quarter, Self::Hour, Self::Day, Self::Week];

    /// As URLs have it; what is none is the default.
    pub fn of(text: Option<&str>) -> Self {
        let named = Self::ALL
            .into_iter()
            .find(|range| Some(range.name()) == text);
        named.unwrap_or_default()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Quarter => "15 min",
            Self::Hour => "1 h",
            Self::Day => "24 h",
            Self::Week => "7 d",
        }
    }

    /// The ranges that the page at `path` may show, of which this is the one it does.
    pub fn tabs(self, path: &str) -> Vec<Tab> {
        let tabs = Self::ALL.into_iter().map(|range| Tab {
            label: range.label(),
            path: format!("{path}?range={}", range.name()),
            is_here: range == self,
        });
        tabs.collect()
    }

    fn length(self) -> TimeDelta {
        match self {
            Self::Quarter => TimeDelta::minutes(15),
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::hours(24),
            Self::Week => TimeDelta::days(7),
        }
    }

    fn granularity(self) -> &'static str {
        match self {
            Self::Quarter | Self::Hour => "1m",
            Self::Day | Self::Week => "1h",
        }
    }

    fn step(self) -> TimeDelta {
        match self {
            Self::Quarter | Self::Hour => TimeDelta::minutes(1),
            Self::Day | Self::Week => TimeDelta::hours(1),
        }
    }

    /// Where the API has that, up to `now`; `more` are its other parameters.
    pub fn path(self, measures: &str, more: &[(&str, &str)], now: At) -> String {
        let since = (now - self.length()).to_rfc3339_opts(SecondsFormat::Secs, true);
        let own = [
            ("granularity", self.granularity()),
            ("measures", measures),
            ("since", &*since),
        ];
        with_query(
            "/stats/timeseries",
            own.into_iter().chain(more.iter().copied()),
        )
    }
}

/// A range, as one chooses it.
#[derive(Debug)]
pub struct Tab {
    pub label: &'static str,
    pub path: String,
    pub is_here: bool,
}

/// The answer.
#[derive(Debug, Deserialize)]
pub struct Timeseries {
    pub as_of: At,
    pub series: Vec<Series>,
}

/// One series of it.
#[derive(Debug, Default, Deserialize)]
pub struct Series {
    pub subscription_id: Option<String>,
    pub failure: Option<String>,
    pub points: Vec<Point>,
}

/// What was counted in one step.
#[derive(Debug, Deserialize)]
pub struct Point {
    at: At,
    #[serde(flatten)]
    values: HashMap<String, Option<f64>>,
}

/// The steps of a range, each of which a chart shows.
#[derive(Clone, Debug)]
pub struct Grid {
    pub steps: Vec<DateTime<Utc>>,
    step: TimeDelta,
    as_of: At,
}

impl Grid {
    /// The steps of that range up to `now`, of which the last still runs.
    pub fn new(range: Range, now: At, as_of: At) -> Self {
        let step = range.step();
        let border = |at: At| {
            let seconds = at.timestamp().div_euclid(step.num_seconds()) * step.num_seconds();
            DateTime::from_timestamp(seconds, 0).unwrap_or(at)
        };
        let (mut at, mut steps) = (border(now - range.length()), Vec::new());
        while at < now {
            steps.push(at);
            at += step;
        }
        Self { steps, step, as_of }
    }

    /// What was measured at each step; `None` where it was not.
    pub fn values(&self, series: &Series, measure: &str) -> Vec<Option<f64>> {
        let at: HashMap<At, f64> = series
            .points
            .iter()
            .filter_map(|point| Some((point.at, (*point.values.get(measure)?)?)))
            .collect();
        self.steps
            .iter()
            .map(|step| at.get(step).copied())
            .collect()
    }

    /// How much was counted at each step.
    pub fn counts(&self, series: &Series, measure: &str) -> Vec<Option<f64>> {
        let values = self.values(series, measure);
        values
            .into_iter()
            .map(|value| Some(value.unwrap_or(0.0)))
            .collect()
    }

    /// How much that is a second, of the last step by as much of it as is counted.
    pub fn rates(&self, series: &Series, measure: &str) -> Vec<Option<f64>> {
        let counted = self.values(series, measure).into_iter().zip(&self.steps);
        counted
            .map(|(value, at)| self.rate(value.unwrap_or(0.0), *at))
            .collect()
    }

    fn rate(&self, count: f64, at: At) -> Option<f64> {
        let span = (self.as_of - at).min(self.step).num_seconds();
        // Of a step that has only begun nothing can be said.
        if span < 5 && at + self.step > self.as_of {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a step has few seconds")]
        let seconds = span as f64;
        Some(count / seconds)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_counted_is_none_and_the_last_step_is_rated_by_what_there_is_of_it() {
        let now: At = "2026-11-23T21:02:30Z".parse().expect("a time");
        let grid = Grid::new(Range::Quarter, now, now);
        assert_eq!(grid.steps.len(), 16);
        let series: Series = serde_json::from_value(json!({"points": [
            {"at": "2026-11-23T21:01:00Z", "delivered": 120, "latency_ms_p50": null},
            {"at": "2026-11-23T21:02:00Z", "delivered": 60, "latency_ms_p50": 7.5},
        ]}))
        .expect("a series");
        let rates = grid.rates(&series, "delivered");
        assert_eq!(rates[13..], [Some(0.0), Some(2.0), Some(2.0)]);
        assert_eq!(
            grid.values(&series, "latency_ms_p50")[14..],
            [None, Some(7.5)]
        );
    }

    #[test]
    fn a_range_that_is_none_is_the_default() {
        assert_eq!(Range::of(Some("7d")), Range::Week);
        assert_eq!(Range::of(Some("<script>")), Range::Hour);
    }
}
