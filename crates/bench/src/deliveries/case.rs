//! The cases: what an event is, how many want it, and what is kept of it. Pure.

use std::fmt;

use clap::{Args, ValueEnum, value_parser};
use common::attempt_log::AttemptLog;
use serde::Serialize;

use crate::load::city;

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// How many subscriptions want each event.
    pub fan_out: usize,
    /// How long an event is.
    pub event_bytes: usize,
    /// How endpoints are spoken to.
    pub scheme: Scheme,
    /// Which attempts leave a row.
    pub attempt_log: AttemptLog,
    /// How many endpoints there are, each at an address of its own.
    pub origins: usize,
}

/// How endpoints are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// In plain text.
    Http,
    /// Over TLS.
    Https,
}

/// The case that the others differ from in one thing, and of which the goals are.
pub const BASE: Case = Case {
    fan_out: 10,
    event_bytes: 400,
    scheme: Scheme::Http,
    attempt_log: AttemptLog::All,
    origins: 10,
};

/// The largest event that is one, in bytes.
const LARGEST: usize = 64 * 1024;

/// Which cases: all combinations of what is given, where what is not is as in the first case. If
/// nothing is, the first case and those that differ from it in one thing.
#[derive(Clone, Debug, Default, Args)]
pub struct Choice {
    /// How many subscriptions want each event: 1, 10, 100, 1000.
    #[arg(long, value_delimiter = ',', value_parser = value_parser!(u64).range(1..=10_000))]
    pub fan_out: Vec<u64>,
    /// How long an event is, in KB: 0.4, 4, 64.
    #[arg(long, value_delimiter = ',', value_parser = kilobytes)]
    pub payload: Vec<usize>,
    /// How endpoints are spoken to.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub scheme: Vec<Scheme>,
    /// Which attempts leave a row.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub attempt_log: Vec<AttemptLog>,
    /// How many endpoints there are at least, each at an address of its own: 10, 10000.
    #[arg(long, value_delimiter = ',', value_parser = value_parser!(u64).range(1..=100_000))]
    pub origins: Vec<u64>,
}

impl Choice {
    /// The cases.
    pub fn cases(&self) -> Vec<Case> {
        if self.is_nothing() {
            return star();
        }
        let fan_outs = sizes(&self.fan_out, BASE.fan_out);
        let payloads = or(&self.payload, BASE.event_bytes);
        let origins = sizes(&self.origins, BASE.origins);
        let mut cases = Vec::new();
        for scheme in or(&self.scheme, BASE.scheme) {
            for attempt_log in or(&self.attempt_log, BASE.attempt_log) {
                for origins in &origins {
                    for event_bytes in &payloads {
                        cases.extend(fan_outs.iter().map(|fan_out| Case {
                            fan_out: *fan_out,
                            event_bytes: *event_bytes,
                            scheme,
                            attempt_log,
                            origins: *origins.max(fan_out),
                        }));
                    }
                }
            }
        }
        cases
    }

    fn is_nothing(&self) -> bool {
        self.fan_out.is_empty()
            && self.payload.is_empty()
            && self.scheme.is_empty()
            && self.attempt_log.is_empty()
            && self.origins.is_empty()
    }
}

fn star() -> Vec<Case> {
    let fan_out = |fan_out| Case {
        fan_out,
        origins: BASE.origins.max(fan_out),
        ..BASE
    };
    let payload = |event_bytes| Case {
        event_bytes,
        ..BASE
    };
    vec![
        BASE,
        fan_out(1),
        fan_out(100),
        fan_out(1000),
        payload(4 * 1024),
        payload(LARGEST),
        Case {
            scheme: Scheme::Https,
            ..BASE
        },
        Case {
            attempt_log: AttemptLog::Failures,
            ..BASE
        },
        Case {
            origins: 10_000,
            ..BASE
        },
    ]
}

fn or<T: Copy>(given: &[T], otherwise: T) -> Vec<T> {
    if given.is_empty() {
        vec![otherwise]
    } else {
        given.to_vec()
    }
}

/// They are in range on every machine.
fn sizes(given: &[u64], otherwise: usize) -> Vec<usize> {
    let given: Vec<usize> = given
        .iter()
        .filter_map(|n| usize::try_from(*n).ok())
        .collect();
    or(&given, otherwise)
}

/// KB as bytes: those of the smallest events are 1,000, as they are below what 1,024 would mean.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "it is within the bounds that are checked first"
)]
fn kilobytes(text: &str) -> Result<usize, String> {
    let kilobytes: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    let bytes = kilobytes * if kilobytes < 1.0 { 1000.0 } else { 1024.0 };
    if !(300.0..=LARGEST as f64).contains(&bytes) {
        return Err("events have 0.3 to 64 KB".to_owned());
    }
    Ok(bytes.round() as usize)
}

/// A length in KB, as `kilobytes` reads it.
#[allow(clippy::cast_precision_loss, reason = "lengths are far below 2^53")]
pub fn shown_kilobytes(bytes: usize) -> String {
    let unit = if bytes < 1000 { 1000.0 } else { 1024.0 };
    format!("{}", (bytes as f64 / unit * 10.0).round() / 10.0)
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "fan-out {}, {} KB, {}, log {}, {} origins",
            self.fan_out,
            shown_kilobytes(self.event_bytes),
            self.scheme.name(),
            log_name(self.attempt_log),
            self.origins
        )
    }
}

impl Scheme {
    /// As URLs begin with it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// As the setting has it.
pub fn log_name(log: AttemptLog) -> &'static str {
    match log {
        AttemptLog::All => "all",
        AttemptLog::Failures => "failures",
    }
}

impl Case {
    /// How many cities events are of, spread over the partitions.
    pub fn cities(self) -> usize {
        const FEW: usize = 120;
        if self.has_own_cities() {
            self.origins / self.fan_out
        } else {
            FEW
        }
    }

    /// How many events make so many deliveries; of large events fewer are published, so that the
    /// disk of the broker is not what is measured.
    pub fn events(self, deliveries: usize) -> usize {
        let deliveries = match self.event_bytes {
            LARGEST.. => deliveries / 8,
            _ => deliveries,
        };
        (deliveries / self.fan_out).max(1)
    }

    /// The city a subscription wants; `None`: all.
    pub fn city_of(self, subscription: usize) -> Option<String> {
        let city = || city((subscription / self.fan_out % self.cities()) as u64);
        self.has_own_cities().then(city)
    }

    /// How many subscriptions there are: as many as make the fan-out the same for each city.
    pub fn subscriptions(self) -> usize {
        if self.has_own_cities() {
            self.cities() * self.fan_out
        } else {
            self.fan_out
        }
    }

    /// Whether there are more endpoints than want an event.
    fn has_own_cities(self) -> bool {
        self.origins > self.fan_out
    }
}

/// The address of the `n`th endpoint: all of 127.0.0.0/8 is this machine.
pub fn address(n: usize) -> [u8; 4] {
    const LAST: usize = 250;
    let byte = |n: usize| u8::try_from(n % LAST + 1).unwrap_or_default();
    [
        127,
        byte(n / (LAST * LAST)) - 1,
        byte(n / LAST) - 1,
        byte(n),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_event_goes_to_as_many_as_its_fan_out() {
        for case in star() {
            let event_city = city(7 % case.cities() as u64);
            let wants = |n: &usize| case.city_of(*n).is_none_or(|own| own == event_city);
            let wanting = (0..case.subscriptions()).filter(wants).count();
            assert_eq!(wanting, case.fan_out, "{case}");
        }
    }

    #[test]
    fn what_is_given_is_combined_and_the_rest_is_as_in_the_first_case() {
        assert_eq!(Choice::default().cases()[0], BASE);
        let choice = Choice {
            fan_out: vec![1, 100],
            payload: vec![400, 4096],
            ..Choice::default()
        };
        let shown: Vec<String> = choice.cases().iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 4);
        assert_eq!(shown[3], "fan-out 100, 4 KB, http, log all, 100 origins");
    }

    #[test]
    fn lengths_are_read_as_they_are_shown() {
        for (text, bytes) in [("0.4", 400), ("4", 4096), ("64", LARGEST)] {
            assert_eq!(kilobytes(text).unwrap(), bytes);
            assert_eq!(shown_kilobytes(bytes), text);
        }
        kilobytes("65").unwrap_err();
        kilobytes("x").unwrap_err();
    }

    #[test]
    fn no_two_endpoints_have_an_address_in_common() {
        let addresses: HashSet<_> = (0..100_000).map(address).collect();
        assert_eq!(addresses.len(), 100_000);
        assert_eq!(address(0), [127, 0, 0, 1]);
    }
}
