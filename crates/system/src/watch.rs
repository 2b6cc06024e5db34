//! Says how publishing goes: in `/readyz`, in the metrics and, now and then, in the log.
//!
//! Kafka is away when librdkafka says that all brokers are down, or when events have waited for
//! [`PATIENCE`] without any being acknowledged; it is back with the next acknowledgement.

use std::convert::Infallible;
use std::time::Duration;

use common::probes::Component;
use metrics::{describe_gauge, gauge};
use tokio::time::Instant;

use crate::publisher::Tally;

/// Events that were given to the producer and are not acknowledged.
const OPEN: &str = "system_events_open";

/// What is wrong when librdkafka can reach no broker.
const ALL_DOWN: &str = "no broker can be reached";

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long events may wait without any being acknowledged.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often the log says how many were published.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Watches for as long as it is polled.
pub async fn watch(tally: &Tally, kafka: &Component) -> Infallible {
    describe_gauge!(OPEN, "events given to the producer and not acknowledged");
    let open = gauge!(OPEN);
    let mut health = Health::new(Instant::now());
    let mut log_at = Instant::now() + LOG_INTERVAL;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = Instant::now();
        let glance = Glance::of(tally);
        open.set(u32::try_from(glance.open).unwrap_or(u32::MAX));
        tell(kafka, tally, health.judge(&glance, now));
        if now >= log_at {
            tracing::info!(
                published = glance.acknowledged,
                open = glance.open,
                "publishing"
            );
            log_at = now + LOG_INTERVAL;
        }
    }
}

fn tell(kafka: &Component, tally: &Tally, change: Option<Result<(), String>>) {
    match change {
        Some(Ok(())) => {
            kafka.up();
            tracing::info!("Kafka is back");
        }
        Some(Err(reason)) => {
            let reason = tally.trouble.explain(reason);
            tracing::warn!(reason, "Kafka is away; events wait");
            kafka.down(reason);
        }
        None => {}
    }
}

/// The tally at one moment.
struct Glance {
    acknowledged: u64,
    open: u64,
    all_down: bool,
}

impl Glance {
    fn of(tally: &Tally) -> Self {
        Self {
            acknowledged: tally.acknowledged(),
            open: tally.open(),
            all_down: tally.take_all_down(),
        }
    }
}

/// Whether Kafka is there, as far as the tally shows.
struct Health {
    well: bool,
    acknowledged: u64,
    /// When something was acknowledged, or nothing was open.
    content_at: Instant,
}

impl Health {
    fn new(now: Instant) -> Self {
        Self {
            well: true,
            acknowledged: 0,
            content_at: now,
        }
    }

    /// What has changed: it is well again, or it is not, and why.
    fn judge(&mut self, glance: &Glance, now: Instant) -> Option<Result<(), String>> {
        let progress = glance.acknowledged > self.acknowledged;
        self.acknowledged = glance.acknowledged;
        if progress || glance.open == 0 {
            self.content_at = now;
        }
        let stuck = now - self.content_at >= PATIENCE;
        let verdict = match (glance.all_down, stuck, progress) {
            (true, _, _) => Err(ALL_DOWN.to_owned()),
            (_, true, _) => Err(format!("nothing was acknowledged for {PATIENCE:?}")),
            (_, _, true) => Ok(()),
            _ => return None,
        };
        let was_well = std::mem::replace(&mut self.well, verdict.is_ok());
        (was_well != self.well).then_some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges one glance a second after the other, at acknowledged, open, all down.
    fn judge(glances: &[(u64, u64, bool)]) -> Vec<Option<Result<(), String>>> {
        let mut now = Instant::now();
        let mut health = Health::new(now);
        let judge = |&(acknowledged, open, all_down): &(u64, u64, bool)| {
            now += Duration::from_secs(1);
            let glance = Glance {
                acknowledged,
                open,
                all_down,
            };
            health.judge(&glance, now)
        };
        glances.iter().map(judge).collect()
    }

    #[test]
    fn trouble_is_told_once_and_ends_with_an_acknowledgement() {
        let told = judge(&[
            (1, 0, false),
            (1, 5, true),
            (1, 9, true),
            (1, 9, false),
            (2, 8, false),
        ]);
        let away = Some(Err(ALL_DOWN.to_owned()));
        assert_eq!(told, [None, away, None, None, Some(Ok(()))]);
    }

    #[test]
    fn events_that_wait_too_long_are_trouble() {
        let told = judge(&[(1, 3, false); 6]);
        assert_eq!(told[..5], [None, None, None, None, None]);
        assert_eq!(
            told[5],
            Some(Err("nothing was acknowledged for 5s".to_owned()))
        );
    }

    #[test]
    fn having_nothing_to_publish_is_no_trouble() {
        assert!(judge(&[(1, 0, false); 20]).iter().all(Option::is_none));
    }
}
