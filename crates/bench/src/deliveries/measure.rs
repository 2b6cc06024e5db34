//! Runs a case.

use std::path::{Path, PathBuf};
use std::slice::{from_mut, from_ref};
use std::time::Duration;

use anyhow::Context;
use uuid::Uuid;

use super::case::{Case, Scheme, address, log_name};
use super::ceiling::Posts;
use super::costs::{Drained, Look, Watched};
use super::drain::{AllOr, Drain};
use super::figures::{Figures, Latency, Percentiles, Result, Run};
use super::sink::Listening;
use super::sink_process::SinkProcess;
use crate::backlog;
use crate::figures::Timetable;
use crate::load::{Load, city, now_micros, payload};
use crate::program::Processor;
use crate::run::{RUN_UP, processor};
use crate::stage::Stage;

/// How long events are published before latencies count: a broker that has just been started compiles
/// its way for single events meanwhile, which takes half a processor.
const WARM_UP_SECONDS: u64 = 5;

/// The load under which latencies are measured, as a part of the throughput.
const PART: u64 = 2;

/// The number of the first event that is drained: no other event has one as high, so that one that
/// comes late is not taken for another.
const DRAINED_FROM: u64 = 1 << 32;

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
    /// At how many deliveries a second; `None`: half of what was drained.
    pub latency_at: Option<u64>,
    /// For how long each bare loop posts.
    pub ceiling: Duration,
    /// Where logs and certificates go.
    pub directory: PathBuf,
}

/// Where a case takes place.
struct Scene {
    case: Case,
    stage: Stage,
    sink: SinkProcess,
    urls: Vec<String>,
    certificate: Option<PathBuf>,
}

impl Bench {
    /// Runs a case, with another build of the processor if there is one to compare.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn case(&self, case: Case, before: Option<&Path>) -> anyhow::Result<Run> {
        let mut scene = self.scene(case).await?;
        let posts = Posts {
            urls: scene.urls.clone(),
            event_bytes: case.event_bytes,
            certificate: scene.certificate.clone(),
            length: self.ceiling,
        };
        let ceiling = posts.ceiling().await.context("the bare loops")?;
        scene.sink.forget().await?;
        let events = u64::try_from(case.events(self.deliveries))?;
        fill(&scene, events).await?;
        let mut processor = self.processor(&scene, before)?;
        let missing = |missing| Run {
            case,
            before: before.is_some(),
            result: Result::Missing(missing),
        };
        let (drained, repeated) = match self.drain(&mut scene, &mut processor, events).await? {
            Ok(drained) => drained,
            Err(count) => return Ok(missing(count)),
        };
        scene.sink.forget().await?;
        let (latency, again) = match self
            .latency(&mut scene, &processor, drained.per_second)
            .await?
        {
            Ok(latency) => latency,
            Err(count) => return Ok(missing(count)),
        };
        processor.check()?;
        let figures = Figures {
            duplicates: repeated + again,
            peak_memory_mib: processor.peak_memory_mib()?,
            drained,
            latency,
            ceiling,
        };
        processor.kill().await?;
        let result = Result::Figures(Box::new(figures));
        Ok(Run {
            case,
            before: before.is_some(),
            result,
        })
    }

    async fn scene(&self, case: Case) -> anyhow::Result<Scene> {
        let stage = Stage::new(&self.server, &self.brokers).await?;
        let sink = SinkProcess::start(case.scheme == Scheme::Https).await?;
        let Listening { port, certificate } = sink.listening.clone();
        let certificate = certificate.map(|pem| {
            let file = self.directory.join(format!("{}.pem", Uuid::new_v4()));
            std::fs::write(&file, pem).context("writing a certificate")?;
            anyhow::Ok(file)
        });
        let url = |n: usize| {
            let [a, b, c, d] = address(n);
            format!("{}://{a}.{b}.{c}.{d}:{port}/{n}", case.scheme.name())
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

    fn processor(&self, scene: &Scene, program: Option<&Path>) -> anyhow::Result<Processor> {
        let file = scene.certificate.as_deref().and_then(Path::to_str);
        let mut own = vec![("ATTEMPT_LOG", log_name(scene.case.attempt_log))];
        own.extend(file.map(|file| ("EGRESS_CA_FILE", file)));
        let name = scene.case.to_string().replace(['-', '.'], "");
        processor(program, (&self.directory, &name), &scene.stage, &own)
    }

    /// Lets the processor get through what was published. Also how many arrived twice.
    async fn drain(
        &self,
        scene: &mut Scene,
        processor: &mut Processor,
        events: u64,
    ) -> anyhow::Result<AllOr<(Drained, usize)>> {
        let drain = Drain {
            events: DRAINED_FROM..DRAINED_FROM + events,
            fan_out: scene.case.fan_out,
            watched: self.watched(scene, processor)?,
        };
        drain.run(&mut scene.sink, from_mut(processor)).await
    }

    fn watched(&self, scene: &Scene, processor: &Processor) -> anyhow::Result<Watched> {
        Watched::find(
            from_ref(processor),
            &scene.sink,
            (&self.server, &self.brokers),
        )
    }

    /// Publishes on a timetable, at the rate that was asked for, or half of what was drained. Also how
    /// many arrived twice.
    async fn latency(
        &self,
        scene: &mut Scene,
        processor: &Processor,
        per_second: f64,
    ) -> anyhow::Result<AllOr<(Latency, usize)>> {
        let case = scene.case;
        let rate = match self.latency_at {
            Some(at) => (at / case.fan_out as u64).max(1),
            None => rate(per_second, case.fan_out),
        };
        let load = Load::new(&scene.stage.kafka, case.cities() as u64)?;
        let load = load.of_bytes(case.event_bytes);
        let timetable = Timetable {
            began_at: now_micros() + u64::try_from(RUN_UP.as_micros())?,
            rate,
            measured_from: rate * WARM_UP_SECONDS,
            events: rate * (WARM_UP_SECONDS + self.latency.as_secs()),
        };
        let watched = self.watched(scene, processor)?;
        let before = Look::now(&watched, 0)?;
        load.publish(&timetable).await?;
        let wanted = usize::try_from(timetable.events)? * case.fan_out;
        let count = scene.sink.until_arrived(wanted).await?;
        let meanwhile = before.until(&Look::now(&watched, count)?);
        let deliveries = scene.sink.taken().await?;
        let missing = deliveries.missing(0..timetable.events, case.fan_out);
        if missing > 0 {
            return Ok(Err(missing));
        }
        let acknowledged = load.acknowledged_at(&timetable);
        let measured = timetable.measured_from..timetable.events;
        let since = measured
            .clone()
            .filter_map(|n| Some((n, *acknowledged.get(&n)?)));
        let due = measured.map(|n| (n, timetable.due_at(n)));
        let latency = Latency {
            at_per_second: rate * case.fan_out as u64,
            others_percent: meanwhile.and_then(|all| all.others_percent),
            since_acknowledged_ms: Percentiles::of(&deliveries.late(since)),
            since_due_ms: Percentiles::of(&deliveries.late(due)),
        };
        Ok(Ok((latency, deliveries.repeated)))
    }
}

/// Publishes the events that are drained.
async fn fill(scene: &Scene, events: u64) -> anyhow::Result<()> {
    let case = scene.case;
    let event = |n: u64| {
        let city = city(n % case.cities() as u64);
        let value = payload(DRAINED_FROM + n, &city, case.event_bytes);
        (city, value)
    };
    backlog::publish_all(&scene.stage.kafka, (0..events).map(event)).await
}

/// How many events a second make half of so many deliveries.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and far below 2^53"
)]
fn rate(per_second: f64, fan_out: usize) -> u64 {
    (per_second as u64 / PART / fan_out as u64).max(1)
}
