//! Keeps the engine's subscriptions as Postgres has them: by notification, and by looking at all of
//! them again now and then, and after every time the connection was gone. Of those only what has
//! changed is read: to read and unseal all is what a start costs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use common::event::is_operational;
use common::secrets::Keyring;
use common::store::subscriptions::{self, Row, Version};
use common::store::{circuits, replays};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::{All, Change};
use crate::event::Kind;
use crate::subscription::Subscription;

/// How often all are looked at again.
const RELOAD_INTERVAL: Duration = Duration::from_secs(30);

/// How many rows are read at once. The next are read while these are made use of, so twice as many are
/// in memory.
const ROWS: usize = 250;

/// The pause after Postgres did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// The one follower of this process.
#[derive(Debug)]
pub struct Follower {
    pub db: PgPool,
    pub topic: String,
    pub kind: Kind,
    pub engine: mpsc::Sender<Change>,
    pub attempt_timeout: Duration,
    /// Opens what is secret of them.
    pub keyring: Keyring,
    /// Of which version what the engine knows is.
    pub known: HashMap<Uuid, i64>,
}

impl Follower {
    /// Follows until stopped. Postgres away is told, and waited out.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.follow()).await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "subscriptions cannot be followed"
                );
                // A stop ends the pause, and the loop with it.
                stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
            }
        }
    }

    /// Listens first and reads then, so that no change falls between.
    async fn follow(&mut self) -> anyhow::Result<()> {
        let mut listener = PgListener::connect_with(&self.db)
            .await
            .context("connecting the listener")?;
        listener
            .listen_all([subscriptions::CHANGED, replays::CHANGED])
            .await
            .context("listening")?;
        loop {
            let all = self.all().await?;
            self.tell(all).await?;
            self.read_replays().await?;
            // Only received from, which is cancel-safe.
            while let Ok(told) = tokio::time::timeout(RELOAD_INTERVAL, listener.try_recv()).await {
                let Some(notification) = told.context("waiting for a change")? else {
                    break;
                };
                match (notification.channel(), notification.payload().parse()) {
                    (replays::CHANGED, _) => self.read_replays().await?,
                    (_, Ok(id)) => self.read_again(id).await?,
                    (_, Err(_)) => {}
                }
            }
        }
    }

    async fn read_replays(&self) -> anyhow::Result<()> {
        let running = replays::running(&self.db, &self.topic)
            .await
            .context("reading the replays")?;
        self.tell(Change::Replays(running)).await
    }

    async fn read_again(&self, id: Uuid) -> anyhow::Result<()> {
        let row = subscriptions::get(&self.db, id)
            .await
            .context("reading a subscription")?;
        match row {
            None => self.tell(Change::Removed(id)).await,
            Some(row) if !self.concerns(&row) => self.tell(Change::Removed(id)).await,
            Some(row) => match self.usable(&row) {
                Usable::Yes(subscription) => {
                    let circuit = circuits::open(&self.db, id)
                        .await
                        .context("reading a circuit")?;
                    self.tell(Change::Upsert(subscription, circuit)).await
                }
                Usable::Held(subscription) => self.tell(Change::Held(vec![subscription])).await,
                Usable::No => Ok(()),
            },
        }
    }

    async fn tell(&self, change: Change) -> anyhow::Result<()> {
        let told = self.engine.send(change).await;
        told.ok().context("the engine is gone")
    }

    /// All subscriptions that can be delivered to, those that changed since this was asked last as they
    /// are now, and the circuits that are not closed.
    ///
    /// # Errors
    /// The database's.
    pub async fn all(&mut self) -> anyhow::Result<Change> {
        let unowned = self.kind == Kind::Operations;
        let versions = subscriptions::versions(&self.db, unowned)
            .await
            .context("reading which subscriptions changed")?;
        let is_known = |it: &Version| self.known.get(&it.id) == Some(&it.written_in);
        let (unchanged, changed): (Vec<_>, Vec<_>) = versions.into_iter().partition(is_known);
        let mut all = All {
            unchanged: unchanged.iter().map(|version| version.id).collect(),
            ..All::default()
        };
        let mut known = unchanged.iter().map(|it| (it.id, it.written_in)).collect();
        let mut parts = changed.chunks(ROWS).map(<[Version]>::to_vec);
        let mut begin = |reading: &mut JoinSet<_>| {
            if let Some(part) = parts.next() {
                reading.spawn(read(self.db.clone(), part));
            }
        };
        let mut reading = JoinSet::new();
        begin(&mut reading);
        while let Some(read) = reading.join_next().await {
            begin(&mut reading);
            let (part, rows) = read.context("reading panicked")??;
            self.take(&part, &rows, &mut all, &mut known);
        }
        all.circuits = circuits::all_open(&self.db)
            .await
            .context("reading the circuits")?;
        self.known = known;
        Ok(Change::All(all))
    }

    fn take(
        &self,
        changed: &[Version],
        rows: &[Row],
        all: &mut All,
        known: &mut HashMap<Uuid, i64>,
    ) {
        let versions: HashMap<_, _> = changed.iter().map(|it| (it.id, it.written_in)).collect();
        for row in rows.iter().filter(|row| self.concerns(row)) {
            match self.usable(row) {
                Usable::Yes(subscription) => {
                    // A row that has changed since is of another version, and read again.
                    known.extend(versions.get(&row.id).map(|version| (row.id, *version)));
                    all.subscriptions.push(subscription);
                }
                Usable::Held(subscription) => all.held.push(subscription),
                Usable::No => all.unusable.push(row.id),
            }
        }
    }

    /// Whether a subscription can get anything of this topic: what is never matched there is not
    /// held back there either. Operational events tell of everybody's subscriptions, so they are for
    /// those of nobody but the admins.
    fn concerns(&self, row: &Row) -> bool {
        let named = |types: &Vec<String>| types.iter().any(|named| is_operational(named));
        match self.kind {
            Kind::Readings => true,
            Kind::Operations => row.owner.is_none() && row.event_types.as_ref().is_some_and(named),
        }
    }

    fn usable(&self, row: &Row) -> Usable {
        match Subscription::new(row, &self.keyring, self.attempt_timeout) {
            Ok(subscription) => Usable::Yes(Arc::new(subscription)),
            Err(why) => {
                let why = format!("{why:#}");
                tracing::error!(subscription.id = %row.id, why, "a subscription cannot be delivered to");
                let held = Subscription::held(row, self.attempt_timeout).ok();
                held.map_or(Usable::No, |held| Usable::Held(Arc::new(held)))
            }
        }
    }
}

/// These subscriptions' rows.
async fn read(db: PgPool, changed: Vec<Version>) -> anyhow::Result<(Vec<Version>, Vec<Row>)> {
    let ids: Vec<Uuid> = changed.iter().map(|version| version.id).collect();
    let rows = subscriptions::get_all(&db, &ids)
        .await
        .context("reading the subscriptions")?;
    Ok((changed, rows))
}

/// What can be made of a row.
enum Usable {
    Yes(Arc<Subscription>),
    /// It gets nothing for now.
    Held(Arc<Subscription>),
    No,
}
