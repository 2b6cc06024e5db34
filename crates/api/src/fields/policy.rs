//! The fields of a subscription's policy. Durations are texts, as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

use common::filter::Filter;
use common::human;
use serde::Deserialize;
use utoipa::ToSchema;

use super::plain;

const MAX_STEPS: usize = 20;
const STEP: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(30 * 24);
const MAX_AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(365 * 24);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);
const DISABLE_AFTER: RangeInclusive<Duration> =
    Duration::from_mins(1)..=Duration::from_hours(365 * 24);

const GRACE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(7 * 24);

/// In deliveries a second: beyond it a limit would limit nothing.
pub const MAX_RATE: f64 = 100_000.0;

/// Below it a rate is no rate: one delivery in a quarter of an hour.
const RATE: RangeInclusive<f64> = 0.001..=MAX_RATE;
const IN_FLIGHT: RangeInclusive<i64> = 1..=1000;

/// A duration in `range`, in milliseconds.
fn milliseconds(text: &str, range: &RangeInclusive<Duration>) -> Result<i64, String> {
    let duration = human::duration(text)?;
    if !range.contains(&duration) {
        let (least, most) = (human::written(*range.start()), human::written(*range.end()));
        return Err(format!("must be {least} to {most}"));
    }
    i64::try_from(duration.as_millis()).map_err(|_| "is too long".into())
}

macro_rules! durations {
    ($($(#[$doc:meta])* $field:ident: $range:ident, $example:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(try_from = "String")]
        #[schema(value_type = String, example = $example)]
        pub struct $field(i64);

        impl TryFrom<String> for $field {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                milliseconds(&text, &$range).map(Self)
            }
        }

        plain!($field: i64);
    )*};
}

durations! {
    /// The wait before an attempt, as `30s` or `1h 30m`: more than 0, 30 days at most.
    RetryStep: STEP, "30s";
    /// How old an event may be to be delivered, as `6h`: 1 s to 365 days.
    MaxAge: MAX_AGE, "6h";
    /// How long one attempt may take, as `5s`: 1 s to 30 s.
    Timeout: TIMEOUT, "5s";
    /// After how long of nothing but failures it is disabled, as `5d`: 1 minute to 365 days.
    DisableAfter: DISABLE_AFTER, "5d";
    /// For how long an exchanged secret goes on signing, as `24h`: 0 s to 7 days.
    GracePeriod: GRACE, "24h";
}

/// The waits between attempts: 1 to 20 of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "Vec<RetryStep>")]
#[schema(value_type = Vec<RetryStep>, min_items = 1, max_items = 20, example = json!(["5s", "30s"]))]
pub struct RetrySchedule(Vec<i64>);

impl TryFrom<Vec<RetryStep>> for RetrySchedule {
    type Error = String;

    fn try_from(steps: Vec<RetryStep>) -> Result<Self, String> {
        if !(1..=MAX_STEPS).contains(&steps.len()) {
            return Err(format!("must have 1 to {MAX_STEPS} steps"));
        }
        Ok(Self(steps.into_iter().map(i64::from).collect()))
    }
}

/// Deliveries a second, over all replicas: 0.001 to 100,000.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(try_from = "f64")]
#[schema(value_type = f64, minimum = 0.001, maximum = 100_000, example = 50)]
pub struct RateLimit(f64);

impl TryFrom<f64> for RateLimit {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        if !RATE.contains(&rate) {
            return Err(format!("must be {} to {}", RATE.start(), RATE.end()));
        }
        Ok(Self(rate))
    }
}

/// Requests in flight at once: 1 to 1,000.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = i32, minimum = 1, maximum = 1000, example = 16)]
pub struct MaxInFlight(i32);

impl TryFrom<i64> for MaxInFlight {
    type Error = String;

    fn try_from(requests: i64) -> Result<Self, String> {
        let requests = Some(requests).filter(|requests| IN_FLIGHT.contains(requests));
        requests
            .and_then(|requests| i32::try_from(requests).ok())
            .map(Self)
            .ok_or_else(|| format!("must be {} to {}", IN_FLIGHT.start(), IN_FLIGHT.end()))
    }
}

/// A CEL expression over `event`, the JSON object: an event is delivered where it is true. At most
/// 1,024 bytes. All numbers are doubles; there are `has`, `size`, `contains`, `startsWith`,
/// `endsWith`, `in`, `int`, `double`, `string` and `bool`, no loops and no regular expressions. An
/// event for which it has no answer, such as one without a field it uses, is not delivered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, max_length = 1024, example = "event.reading > 30 && event.city != \"Oslo\"")]
pub struct FilterSource(Compiled);

#[derive(Debug)]
struct Compiled {
    source: String,
    filter: Filter,
}

impl TryFrom<String> for FilterSource {
    type Error = String;

    fn try_from(source: String) -> Result<Self, String> {
        if source.contains('\0') {
            return Err("must not have the character NUL".into());
        }
        let filter = Filter::compile(&source).map_err(|error| error.to_string())?;
        Ok(Self(Compiled { source, filter }))
    }
}

impl From<FilterSource> for String {
    fn from(field: FilterSource) -> Self {
        field.0.source
    }
}

impl From<FilterSource> for Filter {
    fn from(field: FilterSource) -> Self {
        field.0.filter
    }
}

plain!(RetrySchedule: Vec<i64>, RateLimit: f64, MaxInFlight: i32);
