//! The weather of many cities, simulated without end: a yearly and a daily cycle, and noise that
//! drifts over hours, as weather does. Pure: a seed and a start repeat it on the same build.
//!
//! Simulated time goes on in steps of a minute; at each step every city is read once, and a
//! reading that differs from the city's last is an event. So simulated time passes as fast as
//! events are taken: the rate of publishing sets it, and timestamps run ahead of the clock when
//! that is faster than the weather (at 10 events a second by about a factor of ten).

use std::f64::consts::TAU;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::cities::{self, City};
use crate::reading::Reading;

/// The time between two readings of a city.
const STEP: TimeDelta = TimeDelta::minutes(1);

/// The warmest hour of the day, by the sun.
const WARMEST_HOUR: f64 = 15.0;

/// The warmest day of the year in the north; in the south it is half a year later.
const WARMEST_DAY: f64 = 200.0;

const DAYS_A_YEAR: f64 = 365.25;
const SECONDS_A_DAY: f64 = 86_400.0;

/// The largest push that the noise of a city gets in a step, in degrees.
const PUSH: f64 = 0.12;

/// What is left of the noise after a step: half of it is gone in about eight hours. With [`PUSH`]
/// it stays within a few degrees.
const PERSISTENCE: f64 = 0.9986;

/// The weather, as an endless iterator of readings that changed.
#[derive(Debug)]
pub struct Simulation {
    stations: Vec<Station>,
    /// The station to be read next.
    next: usize,
    time: DateTime<Utc>,
    rng: SmallRng,
    unit: Arc<str>,
}

#[derive(Debug)]
struct Station {
    city: City,
    name: Arc<str>,
    noise: f64,
    /// The last reading that was an event, in tenths of a degree.
    published: Option<i32>,
}

impl Simulation {
    /// The weather from `start` on.
    pub fn new(seed: u64, start: DateTime<Utc>) -> Self {
        Self {
            stations: cities::all().map(Station::new).collect(),
            next: 0,
            time: start.with_nanosecond(0).unwrap_or(start),
            rng: SmallRng::seed_from_u64(seed),
            unit: "C".into(),
        }
    }

    /// Reads the next station; whether its temperature changed.
    fn read(&mut self) -> Option<Reading> {
        if self.next == self.stations.len() {
            self.next = 0;
            self.time += STEP;
        }
        let station = &mut self.stations[self.next];
        let timestamp = self.time;
        self.next += 1;
        let push = self.rng.random_range(-PUSH..=PUSH);
        let (reading, previous) = station.read(timestamp, push)?;
        Some(Reading {
            timestamp,
            city: station.name.clone(),
            value: degrees(reading),
            unit: self.unit.clone(),
            previous: previous.map(degrees),
        })
    }
}

impl Iterator for Simulation {
    type Item = Reading;

    fn next(&mut self) -> Option<Reading> {
        loop {
            if let Some(reading) = self.read() {
                return Some(reading);
            }
        }
    }
}

impl Station {
    fn new(city: City) -> Self {
        Self {
            city,
            name: city.name.into(),
            noise: 0.0,
            published: None,
        }
    }

    /// The temperature in tenths, and the one before it, if they differ.
    fn read(&mut self, time: DateTime<Utc>, push: f64) -> Option<(i32, Option<i32>)> {
        self.noise = self.noise * PERSISTENCE + push;
        let reading = tenths(temperature(&self.city, time) + self.noise);
        if self.published == Some(reading) {
            return None;
        }
        Some((reading, self.published.replace(reading)))
    }
}

/// The temperature of a city without the noise.
#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 fit the mantissa"
)]
fn temperature(city: &City, time: DateTime<Utc>) -> f64 {
    let days = time.timestamp() as f64 / SECONDS_A_DAY;
    let solar_hour = (days.fract() + city.longitude / 360.0) * 24.0;
    let daily = city.daily * cycle(solar_hour - WARMEST_HOUR, 24.0);
    let season = cycle(days % DAYS_A_YEAR - WARMEST_DAY, DAYS_A_YEAR);
    city.mean + city.seasonal * season * city.latitude.signum() + daily
}

/// A cosine: 1 at 0 and after each period.
fn cycle(at: f64, period: f64) -> f64 {
    (TAU * at / period).cos()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "no temperature has that many tenths"
)]
fn tenths(temperature: f64) -> i32 {
    (temperature * 10.0).round() as i32
}

fn degrees(tenths: i32) -> f64 {
    f64::from(tenths) / 10.0
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn simulation(seed: u64) -> Simulation {
        Simulation::new(seed, at("2026-03-01T00:00:00Z"))
    }

    fn city(name: &str) -> City {
        cities::all().find(|city| city.name == name).unwrap()
    }

    #[test]
    fn a_seed_repeats_the_weather_and_another_does_not() {
        let weather = |seed| simulation(seed).take(5_000).collect::<Vec<_>>();
        assert_eq!(weather(1), weather(1));
        assert_ne!(weather(1), weather(2));
    }

    #[test]
    fn a_reading_is_an_event_only_if_it_differs_from_the_one_before() {
        let mut last: HashMap<Arc<str>, f64> = HashMap::new();
        for reading in simulation(3).take(50_000) {
            let before = last.insert(reading.city.clone(), reading.value);
            assert_eq!(reading.previous, before, "{reading:?}");
            let changed = before.is_none_or(|before| (before - reading.value).abs() > 0.099);
            assert!(changed, "{reading:?}");
        }
        assert_eq!(last.len(), cities::all().len());
    }

    #[test]
    fn readings_have_one_decimal_and_times_never_go_back() {
        let mut time = DateTime::<Utc>::MIN_UTC;
        for reading in simulation(4).take(20_000) {
            assert!(
                reading
                    .value
                    .to_string()
                    .split('.')
                    .nth(1)
                    .is_none_or(|d| d.len() == 1)
            );
            assert!(time <= reading.timestamp);
            time = reading.timestamp;
        }
        assert!(time > at("2026-03-01T01:00:00Z"));
    }

    #[test]
    fn the_afternoon_is_warmer_than_the_night_and_summer_than_winter() {
        for (name, warm, cold) in [
            ("Tokyo", "2026-05-01T06:00:00Z", "2026-04-30T18:00:00Z"),
            ("New York", "2026-05-01T20:00:00Z", "2026-05-01T08:00:00Z"),
            ("Berlin", "2026-07-20T12:00:00Z", "2026-01-20T12:00:00Z"),
            ("Sydney", "2026-01-20T12:00:00Z", "2026-07-20T12:00:00Z"),
        ] {
            let [warm, cold] = [warm, cold].map(|time| temperature(&city(name), at(time)));
            assert!(warm > cold + 5.0, "{name}: {warm} and {cold}");
        }
    }

    #[test]
    fn the_noise_stays_within_a_few_degrees() {
        let berlin = city("Berlin");
        for reading in simulation(5)
            .take(500_000)
            .filter(|reading| &*reading.city == "Berlin")
        {
            let usual = temperature(&berlin, reading.timestamp);
            assert!(
                (reading.value - usual).abs() < 6.0,
                "{reading:?}, usually {usual}"
            );
        }
    }
}
