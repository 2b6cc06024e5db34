//! What does not stay as it is under a steady load: events on a timetable, of whose receivers a few
//! are dead, while it is looked at the processor and the database every so often.
//!
//! The second half of what was looked at says what grows: by then everything has been reached that is
//! reached once. Where a delivery to a healthy receiver is missing nothing else is told.

pub mod report;
pub mod sample;
pub mod trend;

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, interval_at};

use self::report::Report;
use self::sample::{Look, Sample};
use crate::case::Case;
use crate::figures::{Timetable, judge};
use crate::load::{Load, now_micros};
use crate::program::{Processor, Receiver};
use crate::run::{RUN_UP, Run, until_arrived};
use crate::stage::Stage;

/// How often it is looked: so many times over all, …
const LOOKS: u32 = 20;
/// … and no sooner than that after the look before.
const LEAST_PAUSE: Duration = Duration::from_secs(10);

/// The receiver remembers each event that arrived: so many at most.
const MOST_EVENTS: u64 = 20_000_000;

/// One soak.
#[derive(Clone, Debug)]
pub struct Soak {
    /// The servers, and the subscriptions: each has an event a second. What is measured is all.
    pub run: Run,
    /// How many receivers are dead, and how.
    pub case: Case,
}

impl Soak {
    /// Runs it. What is looked at is printed meanwhile.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn run(&self, machine: String) -> anyhow::Result<Report> {
        let rate = u64::try_from(self.run.subscriptions)?;
        let events = self.run.measured.as_secs() * rate;
        ensure!(
            events <= MOST_EVENTS,
            "{:?} at {rate} events a second are {events} events, and {MOST_EVENTS} can be told apart",
            self.run.measured
        );
        let stage = Stage::new(&self.run.server, &self.run.brokers).await?;
        let mut receiver = Receiver::start().await?;
        let urls = self.run.urls(&self.case, &receiver);
        stage.subscribe(&urls).await?;
        receiver.turn().await?;
        let mut processor = self.run.processor("soak", &stage)?;
        stage.until_owned(&mut processor).await?;
        let load = Load::new(&stage.kafka, rate)?;
        let timetable = Timetable {
            began_at: now_micros() + u64::try_from(RUN_UP.as_micros())?,
            rate,
            measured_from: 0,
            events,
        };
        let look = Look {
            stage: &stage,
            load: &load,
        };
        let ((), samples) = tokio::try_join!(
            load.publish(&timetable),
            self.watch(&look, &mut processor, &mut receiver),
        )?;
        let is_healthy = |event| self.run.is_healthy(&self.case, event);
        let healthy = (0..events).filter(|n| is_healthy(*n)).count();
        until_arrived(&mut receiver, healthy).await?;
        let (judged, _) = judge(&receiver.report().await?, &timetable, is_healthy);
        processor.check()?;
        let attempts = stage.attempts().await?;
        processor.kill().await?;
        Ok(Report {
            machine,
            minutes: self.run.measured.as_secs_f64() / 60.0,
            rate,
            dead_percent: self.case.share,
            judged,
            attempts,
            samples,
        })
    }

    /// Looks from one pause after the first event on, until the last.
    async fn watch(
        &self,
        look: &Look<'_>,
        processor: &mut Processor,
        receiver: &mut Receiver,
    ) -> anyhow::Result<Vec<Sample>> {
        let pause = (self.run.measured / LOOKS).max(LEAST_PAUSE);
        let began = Instant::now();
        let mut ticks = interval_at(began + pause, pause);
        let mut samples = Vec::new();
        println!("{}", Sample::HEAD);
        for _ in 0..self.run.measured.as_millis() / pause.as_millis() {
            ticks.tick().await;
            processor.check()?;
            let arrived = receiver.count().await?;
            let at = began.elapsed().as_secs_f64();
            let sample = look.now(at, processor.pid()?, arrived).await?;
            println!("{sample}");
            samples.push(sample);
        }
        Ok(samples)
    }
}
