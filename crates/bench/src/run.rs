//! One case, from an empty stage to its row.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::case::Case;
use crate::figures::{Late, Latencies, Timetable, after_acknowledgement, judge, percentile_ms};
use crate::kind::Kind;
use crate::load::{Load, now_micros};
use crate::program::{Processor, Receiver};
use crate::report::{Remains, Row};
use crate::stage::{SECRETS_KEYS, Stage};

/// How long after the last event deliveries to healthy receivers are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether all have come.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// Between the decision to begin and the first event.
pub(crate) const RUN_UP: Duration = Duration::from_millis(500);

/// What all cases of a run have in common.
#[derive(Clone, Debug)]
pub struct Run {
    /// Postgres, with a database to connect to.
    pub server: String,
    /// Kafka.
    pub brokers: String,
    /// Each has a city of its own, with an event a second.
    pub subscriptions: usize,
    /// How long is measured, with bad receivers.
    pub measured: Duration,
    /// Where the processor's logs go.
    pub logs: PathBuf,
}

impl Run {
    /// Runs a case; its row, and the latencies behind it.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn case(&self, case: &Case) -> anyhow::Result<(Row, Latencies)> {
        let stage = Stage::new(&self.server, &self.brokers).await?;
        let mut receiver = Receiver::start().await?;
        stage.subscribe(&self.urls(case, &receiver)).await?;
        let mut processor = self.processor(&case.name(), &stage)?;
        stage.until_owned(&mut processor).await?;
        let rate = u64::try_from(self.subscriptions)?;
        let load = Load::new(&stage.kafka, rate)?;
        let timetable = self.timetable(case, rate)?;
        let before = (Instant::now(), processor.cpu_time()?);
        tokio::try_join!(
            load.publish(&timetable),
            turn(case, &timetable, &mut receiver, &stage),
        )?;
        let remains = remains(&stage, &processor, before).await?;
        let is_healthy = |event| self.is_healthy(case, event);
        let healthy = (0..timetable.events).filter(|n| is_healthy(*n)).count();
        until_arrived(&mut receiver, healthy).await?;
        let arrivals = receiver.report().await?;
        processor.check()?;
        processor.kill().await?;
        let (judged, late) = judge(&arrivals, &timetable, is_healthy);
        let at = load.acknowledged_at(&timetable);
        let at = |event| at.get(&event).copied();
        let acknowledged = after_acknowledgement(&arrivals, &timetable, at, is_healthy);
        let row = Row {
            case: case.name(),
            share_bad_percent: case.share,
            judged,
            none_bad: None,
            remains,
            acknowledged_p99_ms: percentile_ms(&load.acknowledged(&timetable), 99),
            after: Late::of(&acknowledged),
            none_bad_after: None,
        };
        Ok((row, Latencies { late, acknowledged }))
    }

    /// How long a case takes, about.
    pub fn length(&self, case: &Case) -> Duration {
        const AROUND: Duration = Duration::from_secs(5);
        case.measured_after() + case.measured_for(self.measured) + AROUND
    }

    fn timetable(&self, case: &Case, rate: u64) -> anyhow::Result<Timetable> {
        let within = |time: Duration| time.as_secs() * rate;
        let run_up = u64::try_from(RUN_UP.as_micros())?;
        Ok(Timetable {
            began_at: now_micros() + run_up,
            rate,
            measured_from: within(case.measured_after()),
            events: within(case.measured_after() + case.measured_for(self.measured)),
        })
    }

    /// Whether an event's receiver is healthy.
    pub(crate) fn is_healthy(&self, case: &Case, event: u64) -> bool {
        let event = usize::try_from(event).unwrap_or(usize::MAX);
        case.badness(event % self.subscriptions).is_none()
    }

    /// Each subscription's endpoint.
    pub(crate) fn urls(&self, case: &Case, receiver: &Receiver) -> Vec<String> {
        let url = |n| {
            let port = case
                .badness(n)
                .map_or(receiver.ports.healthy, |kind| receiver.ports.bad[&kind]);
            format!("http://127.0.0.1:{port}/{n}")
        };
        (0..self.subscriptions).map(url).collect()
    }

    /// With the settings that everybody has who sets none.
    pub(crate) fn processor(&self, case: &str, stage: &Stage) -> anyhow::Result<Processor> {
        processor(None, (&self.logs, case), stage, &[])
    }
}

/// A processor on that stage, with the settings that everybody has who sets none, but these: that
/// program, or the one that was built with this one.
pub(crate) fn processor(
    program: Option<&Path>,
    (logs, case): (&Path, &str),
    stage: &Stage,
    own: &[(&str, &str)],
) -> anyhow::Result<Processor> {
    let mut settings = vec![
        ("PROCESSOR_ADMIN_LISTEN", "127.0.0.1:0"),
        ("DATABASE_URL", &stage.database_url),
        ("KAFKA_BROKERS", &stage.kafka.kafka_brokers),
        ("KAFKA_TOPIC", &stage.kafka.kafka_topic),
        ("SECRETS_KEYS", SECRETS_KEYS),
        ("KAFKA_GROUP", &stage.kafka.kafka_topic),
        ("RUST_LOG", "warn"),
    ];
    settings.extend_from_slice(own);
    let name = case.replace([' ', ',', '%'], "");
    let log = logs.join(format!("processor-{name}.log"));
    Processor::start(program, &settings, &log)
}

/// At its time, the bad receivers turn bad.
async fn turn(
    case: &Case,
    timetable: &Timetable,
    receiver: &mut Receiver,
    stage: &Stage,
) -> anyhow::Result<()> {
    let run_up = Duration::from_micros(timetable.began_at.saturating_sub(now_micros()));
    let turns_after = case.turns_after();
    if !turns_after.is_zero() {
        tokio::time::sleep(run_up + turns_after).await;
    }
    receiver.turn().await?;
    stage
        .ask_for_tls(receiver.ports.bad[&Kind::BrokenTls])
        .await
}

async fn remains(
    stage: &Stage,
    processor: &Processor,
    (since, cpu_time): (Instant, Duration),
) -> anyhow::Result<Remains> {
    let used = processor.cpu_time()?.saturating_sub(cpu_time);
    Ok(Remains {
        peak_memory_mib: processor.peak_memory_mib()?,
        cores: used.as_secs_f64() / since.elapsed().as_secs_f64(),
        pending: stage
            .count("SELECT count(*) FROM pending_deliveries")
            .await?,
        cursors: stage.count("SELECT count(*) FROM cursors").await?,
        attempts: stage.attempts().await?,
        open_circuits: stage
            .count("SELECT count(*) FROM circuits WHERE state <> 'closed'")
            .await?,
    })
}

/// Waits until so many events have arrived at healthy receivers, or the time for that is over.
pub(crate) async fn until_arrived(receiver: &mut Receiver, healthy: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while receiver.count().await? < healthy && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
