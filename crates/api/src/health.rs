//! Whether Postgres and Kafka answer, asked again and again, for `/readyz`.

use std::time::Duration;

use common::probes::Component;
use common::store;
use sqlx::{Connection, PgPool};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::log::Log;

/// How often Postgres is asked.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How often Kafka is asked, which few requests need.
const KAFKA_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps `postgres` up to date until `stop`.
pub async fn watch_postgres(
    db: PgPool,
    postgres: Component,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut watched = Watched::new("postgres", postgres);
    let mut ticks = ticks(PING_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        watched.say(&ping(&db).await);
        store::observe_pool(&db);
    }
    Ok(())
}

/// Keeps `kafka` up to date until `stop`.
pub async fn watch_kafka(
    log: Log,
    kafka: Component,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut watched = Watched::new("kafka", kafka);
    let mut ticks = ticks(KAFKA_INTERVAL);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(answer) = stop.run_until_cancelled(log.ping()).await else {
            break;
        };
        watched.say(&answer.map_err(|error| {
            let error = anyhow::Error::new(error);
            format!("replays and previews wait for it: {error:#}")
        }));
    }
    Ok(())
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A component that is asked again and again; what changes is logged.
struct Watched {
    name: &'static str,
    component: Component,
    /// `None` until it was asked.
    answered: Option<bool>,
}

impl Watched {
    fn new(name: &'static str, component: Component) -> Self {
        Self {
            name,
            component,
            answered: None,
        }
    }

    fn say(&mut self, pong: &Result<(), String>) {
        let name = self.name;
        match pong {
            Ok(()) if self.answered != Some(true) => tracing::info!("{name} answers"),
            Err(reason) if self.answered != Some(false) => {
                tracing::error!(reason, "{name} does not answer");
            }
            Ok(()) | Err(_) => {}
        }
        self.answered = Some(pong.is_ok());
        // Anybody may ask for this; the reason is in the log.
        match pong {
            Ok(()) => self.component.up(),
            Err(_) => self.component.down("it does not answer"),
        }
    }
}

async fn ping(db: &PgPool) -> Result<(), String> {
    let asking = async { db.acquire().await?.ping().await };
    match timeout(PING_TIMEOUT, asking).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {PING_TIMEOUT:?}")),
    }
}
