//! Runs a case.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

use super::case::{Case, address};
use super::ceiling::Posts;
use super::sink::{COUNT, FORGET, Listening, REPORT};
use super::table::{Costs, Drained, Figures, Latency, Row};
use super::taken::{Deliveries, Taken};
use crate::backlog;
use crate::figures::Timetable;
use crate::load::{Load, city, now_micros, payload};
use crate::processes;
use crate::program::{Processor, Ruled};
use crate::run::{RUN_UP, processor};
use crate::stage::Stage;

/// What is measured of a drain: neither its beginning nor its end.
const FROM_PERCENT: usize = 10;
const TO_PERCENT: usize = 90;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);

/// How long nothing may arrive before what is missing is missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The load under which latencies are measured, as a part of the throughput.
const PART: u64 = 2;

/// What all cases of a run have in common.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Postgres, with a database to connect to.
    pub server: String,
    /// Kafka.
    pub brokers: String,
    /// How many deliveries a drain is of, about.
    pub deliveries: usize,
    /// For how long latencies are measured.
    pub latency: Duration,
    /// For how long each bare loop posts.
    pub ceiling: Duration,
    /// Where logs and certificates go.
    pub directory: PathBuf,
}

/// Where a case takes place.
struct Scene {
    case: Case,
    stage: Stage,
    sink: Ruled,
    urls: Vec<String>,
    certificate: Option<PathBuf>,
}

impl Bench {
    /// Runs a case.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn case(&self, case: Case) -> anyhow::Result<Row> {
        let mut scene = self.scene(case).await?;
        let posts = Posts {
            urls: scene.urls.clone(),
            event_bytes: case.event_bytes(),
            certificate: scene.certificate.clone(),
            length: self.ceiling,
        };
        let ceiling = posts.ceiling().await.context("the bare loops")?;
        scene.sink.ask(FORGET).await?;
        let events = case.events(self.deliveries);
        let wanted = events * case.fan_out();
        self.fill(&scene, events).await?;
        let mut processor = self.processor(&scene)?;
        let drained = self.drain(&mut scene, &mut processor, wanted).await?;
        let deliveries = scene.taken().await?;
        let missing = deliveries.missing(0..u64::try_from(events)?, case.fan_out());
        if missing > 0 {
            return Ok(Row::missing(case, missing));
        }
        scene.sink.ask(FORGET).await?;
        let latency = self.latency(&mut scene, drained.per_second).await?;
        processor.check()?;
        let figures = Figures {
            repeated: deliveries.repeated,
            peak_memory_mib: processor.peak_memory_mib()?,
            drained,
            latency,
            ceiling,
        };
        processor.kill().await?;
        Ok(Row::complete(case, figures))
    }

    async fn scene(&self, case: Case) -> anyhow::Result<Scene> {
        let stage = Stage::new(&self.server, &self.brokers).await?;
        let arguments = case.tls().then(|| "--tls".to_owned());
        let (sink, listening) =
            Ruled::start("bench-sink", &arguments.into_iter().collect::<Vec<_>>()).await?;
        let Listening { port, certificate } = serde_json::from_str(&listening)?;
        let certificate = certificate.map(|pem| {
            let file = self.directory.join(format!("{}.pem", Uuid::new_v4()));
            std::fs::write(&file, pem).context("writing a certificate")?;
            anyhow::Ok(file)
        });
        let scheme = if case.tls() { "https" } else { "http" };
        let url = |n: usize| {
            let [a, b, c, d] = address(n);
            format!("{scheme}://{a}.{b}.{c}.{d}:{port}/{n}")
        };
        let urls: Vec<String> = (0..case.subscriptions()).map(url).collect();
        let cities: Vec<_> = (0..urls.len()).map(|n| case.city_of(n)).collect();
        stage.subscribe_each(&urls, &cities).await?;
        Ok(Scene {
            case,
            stage,
            sink,
            urls,
            certificate: certificate.transpose()?,
        })
    }

    /// Publishes the events that are drained.
    async fn fill(&self, scene: &Scene, events: usize) -> anyhow::Result<()> {
        let case = scene.case;
        let event = |n: u64| {
            let city = city(n % case.cities() as u64);
            let value = payload(n, &city, case.event_bytes());
            (city, value)
        };
        let events = (0..u64::try_from(events)?).map(event);
        backlog::publish_all(&scene.stage.kafka, events).await
    }

    fn processor(&self, scene: &Scene) -> anyhow::Result<Processor> {
        let file = scene.certificate.as_deref().and_then(Path::to_str);
        let own: Vec<_> = file
            .map(|file| ("EGRESS_CA_FILE", file))
            .into_iter()
            .collect();
        let name: String = scene.case.name().replace(['-', '.'], "");
        processor(&self.directory, &name, &scene.stage, &own)
    }

    /// Lets the processor get through what was published.
    async fn drain(
        &self,
        scene: &mut Scene,
        processor: &mut Processor,
        wanted: usize,
    ) -> anyhow::Result<Drained> {
        let watched = self.watched(processor, &scene.sink)?;
        let look = |count| Look::now(&watched, count);
        let from = look(scene.until(processor, wanted * FROM_PERCENT / 100).await?)?;
        let to = look(scene.until(processor, wanted * TO_PERCENT / 100).await?)?;
        scene.until(processor, wanted).await?;
        Ok(from.until(&to))
    }

    /// The processes that a delivery costs time, as far as they can be seen.
    fn watched(&self, processor: &Processor, sink: &Ruled) -> anyhow::Result<Watched> {
        let at = |url: &str, default| -> Option<u32> {
            let port = Url::parse(url).ok()?.port().unwrap_or(default);
            processes::listening_at(port)
        };
        let broker = self.brokers.split(',').next().unwrap_or_default();
        Ok(Watched {
            processor: processor.pid()?,
            sink: sink.pid()?,
            postgres: at(&self.server, 5432),
            kafka: at(&format!("kafka://{broker}"), 9092),
        })
    }

    /// Publishes on a timetable, at half of what was drained a second.
    async fn latency(&self, scene: &mut Scene, per_second: f64) -> anyhow::Result<Option<Latency>> {
        let case = scene.case;
        let rate = rate(per_second, case.fan_out());
        let load = Load::new(&scene.stage.kafka, case.cities() as u64)?;
        let load = load.of_bytes(case.event_bytes());
        let timetable = Timetable {
            began_at: now_micros() + u64::try_from(RUN_UP.as_micros())?,
            rate,
            measured_from: rate,
            events: rate * (1 + self.latency.as_secs()),
        };
        load.publish(&timetable).await?;
        let wanted = usize::try_from(timetable.events)? * case.fan_out();
        scene.until_arrived(wanted).await?;
        let deliveries = scene.taken().await?;
        if deliveries.missing(0..timetable.events, case.fan_out()) > 0 {
            return Ok(None);
        }
        let acknowledged = load.acknowledged_at(&timetable);
        let measured = timetable.measured_from..timetable.events;
        let since = measured
            .clone()
            .filter_map(|n| Some((n, *acknowledged.get(&n)?)));
        let due = measured.map(|n| (n, timetable.due_at(n)));
        Ok(Some(Latency::of(
            rate * case.fan_out() as u64,
            &deliveries.late(since),
            &deliveries.late(due),
        )))
    }
}

/// How many events a second make half of so many deliveries.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and far below 2^53"
)]
fn rate(per_second: f64, fan_out: usize) -> u64 {
    (per_second as u64 / PART / fan_out as u64).max(1)
}

impl Scene {
    async fn count(&mut self) -> anyhow::Result<usize> {
        Ok(self.sink.ask(COUNT).await?.parse()?)
    }

    async fn taken(&mut self) -> anyhow::Result<Deliveries> {
        let taken: Vec<Taken> = serde_json::from_str(&self.sink.ask(REPORT).await?)?;
        Ok(Deliveries::of(&taken))
    }

    /// Waits until so many have arrived: how many have.
    async fn until(&mut self, processor: &mut Processor, wanted: usize) -> anyhow::Result<usize> {
        processor.check()?;
        let count = self.until_arrived(wanted).await?;
        if count < wanted {
            bail!("{count} of {wanted} deliveries came, and then none for {PATIENCE:?}");
        }
        Ok(count)
    }

    /// Waits until so many have arrived, or none has for long.
    async fn until_arrived(&mut self, wanted: usize) -> anyhow::Result<usize> {
        let mut last = (0, Instant::now());
        loop {
            let count = self.count().await?;
            if count >= wanted || (count == last.0 && last.1.elapsed() > PATIENCE) {
                return Ok(count);
            }
            if count > last.0 {
                last = (count, Instant::now());
            }
            sleep(LOOK).await;
        }
    }
}

/// Their process ids.
struct Watched {
    processor: u32,
    sink: u32,
    postgres: Option<u32>,
    kafka: Option<u32>,
}

/// How far a drain is, and what it has taken.
struct Look {
    at: Instant,
    count: usize,
    costs: Costs<Duration>,
}

impl Look {
    fn now(watched: &Watched, count: usize) -> anyhow::Result<Self> {
        let all = |pid: Option<u32>| pid.map(processes::cpu_time_of_all).transpose();
        Ok(Self {
            at: Instant::now(),
            count,
            costs: Costs {
                processor: processes::cpu_time(watched.processor)?,
                sink: processes::cpu_time(watched.sink)?,
                postgres: all(watched.postgres)?,
                kafka: all(watched.kafka)?,
            },
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn until(&self, later: &Self) -> Drained {
        let deliveries = (later.count - self.count) as f64;
        let micros =
            |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e6 / deliveries;
        let seen = |from: Option<Duration>, to: Option<Duration>| Some(micros(from?, to?));
        let (from, to) = (&self.costs, &later.costs);
        Drained {
            per_second: deliveries / (later.at - self.at).as_secs_f64(),
            cpu_micros: Costs {
                processor: micros(from.processor, to.processor),
                sink: micros(from.sink, to.sink),
                postgres: seen(from.postgres, to.postgres),
                kafka: seen(from.kafka, to.kafka),
            },
        }
    }
}
