//! The case of a subscription that is far behind: paused while events are published that only it
//! wants, and resumed under the load of the others, which is held against the load before that.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::backlog;
use crate::behind::{Behind, Others, Progress, Times, parts};
use crate::case::SETTLING;
use crate::figures::{Arrivals, Timetable, percentile_ms};
use crate::load::{Load, now_micros};
use crate::program::{Processor, Receiver};
use crate::run::{LOOK, RUN_UP, Run};
use crate::stage::{PARTITIONS, Stage};

/// How long the processor may take to pass by what it has to catch up with later.
const PASSING_LIMIT: Duration = Duration::from_mins(5);

/// How long after the load the last of it is waited for.
const PATIENCE: Duration = Duration::from_mins(10);

/// And then, until its cursors are gone.
const CLOSING: Duration = Duration::from_secs(10);

const CURSORS: &str = "SELECT count(*) FROM cursors";

const PASSED: &str = "SELECT sum(next_offset)::bigint FROM progress";

/// A stage on which one subscription is paused and far behind.
struct Scene {
    stage: Stage,
    receiver: Receiver,
    processor: Processor,
    behind: Uuid,
}

impl Run {
    /// Measures what it costs the others that a subscription catches up with so many events.
    ///
    /// # Errors
    /// That it could not be run.
    pub async fn behind(&self, events: u64) -> anyhow::Result<Behind> {
        let mut scene = self.scene(events).await?;
        let rate = u64::try_from(self.subscriptions)?;
        let load = Load::new(&scene.stage.kafka, rate)?;
        let timetable = self.all_along(rate)?;
        let resumed_from = timetable.measured_from + self.measured.as_secs() * rate;
        let (published, resumed) = tokio::join!(
            load.publish(&timetable),
            scene.resume(timetable.due_at(resumed_from)),
        );
        published?;
        let (times, paused_memory_mib, cpu_time) = resumed?;
        let times = Times {
            ended_at: now_micros(),
            ..times
        };
        let used = scene.processor.cpu_time()?.saturating_sub(cpu_time);
        let elapsed = Duration::from_micros(times.ended_at - times.resumed_at);
        let arrivals = scene.until_arrived(timetable.events + events).await?;
        let progress = Progress::of(&arrivals, events, times);
        let parts = parts(&timetable, resumed_from, progress.seconds);
        let acknowledged = |part| percentile_ms(&load.acknowledged(part), 99);
        let behind = Behind {
            events,
            progress,
            others: Others::of(&arrivals, &parts),
            acknowledged_p99_ms: [&parts.paused, &parts.catching_up].map(acknowledged),
            pending: scene
                .stage
                .count("SELECT count(*) FROM pending_deliveries")
                .await?,
            cursors: scene.stage.count(CURSORS).await?,
            paused_memory_mib,
            peak_memory_mib: scene.processor.peak_memory_mib()?,
            cores: used.as_secs_f64() / elapsed.as_secs_f64(),
        };
        scene.processor.kill().await?;
        Ok(behind)
    }

    /// Sets it up: what the subscription has to catch up with is published, and passed by.
    async fn scene(&self, events: u64) -> anyhow::Result<Scene> {
        let stage = Stage::new(&self.server, &self.brokers).await?;
        let receiver = Receiver::start().await?;
        let url = |name: usize| format!("http://127.0.0.1:{}/{name}", receiver.ports.healthy);
        let others: Vec<String> = (0..self.subscriptions).map(url).collect();
        stage.subscribe(&others).await?;
        let url = url(self.subscriptions);
        let behind = stage.subscribe_to(&url, &backlog::cities()).await?;
        let mut processor = self.processor("behind", &stage)?;
        stage.until_owned(&mut processor).await?;
        stage.set_state(behind, "paused").await?;
        let partitions = PARTITIONS.into();
        stage
            .until(&mut processor, CURSORS, partitions, PASSING_LIMIT)
            .await?;
        backlog::publish(&stage.kafka, events).await?;
        let events = i64::try_from(events)?;
        stage
            .until(&mut processor, PASSED, events, PASSING_LIMIT)
            .await?;
        Ok(Scene {
            stage,
            receiver,
            processor,
            behind,
        })
    }

    /// First what is not measured, then as long with it paused as with it resumed.
    fn all_along(&self, rate: u64) -> anyhow::Result<Timetable> {
        Ok(Timetable {
            began_at: now_micros() + u64::try_from(RUN_UP.as_micros())?,
            rate,
            measured_from: SETTLING.as_secs() * rate,
            events: (SETTLING + 2 * self.measured).as_secs() * rate,
        })
    }
}

impl Scene {
    /// Resumes it at that time: when that was, and what the processor had taken by then of memory,
    /// in MiB, and of time.
    async fn resume(&self, at: u64) -> anyhow::Result<(Times, u64, Duration)> {
        sleep(Duration::from_micros(at.saturating_sub(now_micros()))).await;
        let before = (
            self.processor.peak_memory_mib()?,
            self.processor.cpu_time()?,
        );
        let times = Times {
            resumed_at: now_micros(),
            ended_at: u64::MAX,
        };
        self.stage.set_state(self.behind, "active").await?;
        Ok((times, before.0, before.1))
    }

    /// Waits for so many events, and for the cursors to be gone.
    async fn until_arrived(&mut self, events: u64) -> anyhow::Result<Arrivals> {
        let events = usize::try_from(events)?;
        let deadline = Instant::now() + PATIENCE;
        while self.receiver.count().await? < events && Instant::now() < deadline {
            self.processor.check()?;
            sleep(LOOK).await;
        }
        let deadline = Instant::now() + CLOSING;
        while self.stage.count(CURSORS).await? > 0 && Instant::now() < deadline {
            self.processor.check()?;
            sleep(LOOK).await;
        }
        self.receiver.report().await
    }
}
