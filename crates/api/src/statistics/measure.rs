//! What can be asked of the statistics, and by what: closed sets, each named as in the answer.

use std::fmt::Write;

use serde::{Deserialize, Serialize, Serializer};

use super::sum::{Sum, milliseconds, quantile};

/// Something that is counted or timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Events that were taken from the topic.
    Events,
    Attempts,
    Delivered,
    Failed,
    Retried,
    DeadLettered,
    Parked,
    Postponed,
    Expired,
    Superseded,
    SuccessShare,
    LatencyMean,
    LatencyP50,
    LatencyP95,
    LatencyP99,
    DelayMean,
    DelayP50,
    DelayP95,
    DelayP99,
}

/// One of them, of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Count(u64),
    /// `null` where there is nothing to tell.
    Figure(Option<f64>),
}

/// Some of them, of one cell. An answer has up to 10,000: a map of each would cost more than it says.
#[derive(Clone, Debug)]
pub struct Values(pub Vec<(Measure, Value)>);

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|(measure, value)| (measure.label(), value)),
        )
    }
}

impl Measure {
    const ALL: [Self; 19] = [
        Self::Events,
        Self::Attempts,
        Self::Delivered,
        Self::Failed,
        Self::Retried,
        Self::DeadLettered,
        Self::Parked,
        Self::Postponed,
        Self::Expired,
        Self::Superseded,
        Self::SuccessShare,
        Self::LatencyMean,
        Self::LatencyP50,
        Self::LatencyP95,
        Self::LatencyP99,
        Self::DelayMean,
        Self::DelayP50,
        Self::DelayP95,
        Self::DelayP99,
    ];

    /// As requests and answers name it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Attempts => "attempts",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Retried => "retried",
            Self::DeadLettered => "dead_lettered",
            Self::Parked => "parked",
            Self::Postponed => "postponed",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::SuccessShare => "success_share",
            Self::LatencyMean => "latency_ms_mean",
            Self::LatencyP50 => "latency_ms_p50",
            Self::LatencyP95 => "latency_ms_p95",
            Self::LatencyP99 => "latency_ms_p99",
            Self::DelayMean => "delay_ms_mean",
            Self::DelayP50 => "delay_ms_p50",
            Self::DelayP95 => "delay_ms_p95",
            Self::DelayP99 => "delay_ms_p99",
        }
    }

    /// Of what was added up.
    pub fn of(self, sum: &Sum) -> Value {
        use Value::{Count, Figure};
        let mean = |mean: Option<f64>| Figure(mean.map(milliseconds));
        match self {
            Self::Events => Count(sum.events),
            Self::Attempts => Count(sum.attempts),
            Self::Delivered => Count(sum.delivered),
            Self::Failed => Count(sum.failed),
            Self::Retried => Count(sum.retried),
            Self::DeadLettered => Count(sum.dead_lettered),
            Self::Parked => Count(sum.parked),
            Self::Postponed => Count(sum.postponed),
            Self::Expired => Count(sum.expired),
            Self::Superseded => Count(sum.superseded),
            Self::SuccessShare => Figure(sum.success_share()),
            Self::LatencyMean => mean(sum.latency.mean()),
            Self::LatencyP50 => Figure(quantile(&sum.latency, 0.5)),
            Self::LatencyP95 => Figure(quantile(&sum.latency, 0.95)),
            Self::LatencyP99 => Figure(quantile(&sum.latency, 0.99)),
            Self::DelayMean => mean(sum.delay.mean()),
            Self::DelayP50 => Figure(quantile(&sum.delay, 0.5)),
            Self::DelayP95 => Figure(quantile(&sum.delay, 0.95)),
            Self::DelayP99 => Figure(quantile(&sum.delay, 0.99)),
        }
    }
}

/// By what a series is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    SubscriptionId,
    City,
    Failure,
}

impl Dimension {
    const ALL: [Self; 3] = [Self::SubscriptionId, Self::City, Self::Failure];

    fn label(self) -> &'static str {
        match self {
            Self::SubscriptionId => "subscription_id",
            Self::City => "city",
            Self::Failure => "failure",
        }
    }
}

/// Measures, separated by commas; each once.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Measures(pub Vec<Measure>);

impl Default for Measures {
    fn default() -> Self {
        use Measure::{Attempts, Delivered, Failed};
        Self(vec![Attempts, Delivered, Failed])
    }
}

impl TryFrom<String> for Measures {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        listed(&text, "measure", &Measure::ALL, Measure::label).map(Self)
    }
}

/// Dimensions, separated by commas; each once.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Dimensions(pub Vec<Dimension>);

impl TryFrom<String> for Dimensions {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        listed(&text, "dimension", &Dimension::ALL, Dimension::label).map(Self)
    }
}

fn listed<T: Copy + PartialEq>(
    text: &str,
    kind: &str,
    all: &[T],
    label: fn(T) -> &'static str,
) -> Result<Vec<T>, String> {
    let mut found = Vec::new();
    for word in text.split(',').map(str::trim) {
        let Some(one) = all.iter().find(|one| label(**one) == word) else {
            return Err(unknown(word, kind, all.iter().map(|one| label(*one))));
        };
        if !found.contains(one) {
            found.push(*one);
        }
    }
    Ok(found)
}

fn unknown(word: &str, kind: &str, all: impl Iterator<Item = &'static str>) -> String {
    let word: String = word.chars().take(50).collect();
    let mut text = format!("{word:?} is no {kind}: these are");
    for (at, label) in all.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string does not fail.
        write!(text, "{comma} {label}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_once_and_nothing_else() {
        let measures = |text: &str| Measures::try_from(text.to_owned()).map(|it| it.0);
        let both = vec![Measure::Attempts, Measure::LatencyP99];
        assert_eq!(measures("attempts, latency_ms_p99,attempts"), Ok(both));
        for text in ["", "attempts,", "latency", "ATTEMPTS"] {
            let said = measures(text).expect_err(text);
            assert!(
                said.contains("is no measure: these are events, attempts,"),
                "{said}"
            );
        }
        let dimensions = Dimensions::try_from("owner".to_owned()).map(|it| it.0);
        assert_eq!(
            dimensions.expect_err("it is none"),
            "\"owner\" is no dimension: these are subscription_id, city, failure"
        );
    }
}
