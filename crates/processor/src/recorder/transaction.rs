//! The one transaction by which outcomes become durable.
//!
//! Either all of it is committed, progress included, or none. A partition that has a new owner
//! refuses it.

use common::store::dead_letters::Malformed;
use common::store::{
    attempts, cursors, dead_letters, pending_deliveries, replays, subscriptions, undelivered,
};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::batch::Rows;
use super::circuits;
use super::operations;
use super::partitions::Moves;
use super::stretches::Cursors;
use crate::event::{Record, derived_id};
use crate::store::statistics_deltas::{self, Delta};
use crate::store::{self, progress, settled_ahead};

/// A record that is no event, and why.
#[derive(Debug)]
pub struct NoEvent {
    pub record: Record,
    pub why: String,
}

/// What is written at once.
#[derive(Debug)]
pub struct Flush<'a> {
    pub id: Uuid,
    pub topic: &'a str,
    pub moves: &'a Moves,
    pub rows: &'a Rows,
    pub malformed: &'a [NoEvent],
    pub cursors: &'a Cursors,
    pub circuits: &'a circuits::Rows,
    /// What was counted before.
    pub counted: Option<Delta<'a>>,
    /// Whether dead letters are told of.
    pub tells_dead: bool,
}

impl Flush<'_> {
    /// Commits it, and returns no partition; or nothing at all, and returns those partitions
    /// that have a new owner.
    pub async fn commit(
        &self,
        mut transaction: Transaction<'_, Postgres>,
    ) -> sqlx::Result<Vec<i32>> {
        let fenced = self.advance(&mut transaction).await?;
        if fenced.is_empty() {
            self.write_cursors(&mut transaction).await?;
            self.write_deliveries(&mut transaction).await?;
            self.write_circuits(&mut transaction).await?;
            self.write_record(&mut transaction).await?;
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(fenced)
    }

    /// Whether it was committed after all, though its end was not seen.
    pub async fn was_committed(&self, db: &PgPool) -> sqlx::Result<bool> {
        match self.moves.partitions.first() {
            Some(partition) => progress::was_flushed(db, self.topic, *partition, self.id).await,
            // Without progress there are only leased deliveries in it, whose leases tell.
            None => Ok(false),
        }
    }

    async fn advance(&self, db: &mut PgConnection) -> sqlx::Result<Vec<i32>> {
        let moves = self.moves;
        if moves.partitions.is_empty() {
            return Ok(Vec::new());
        }
        let columns = (&*moves.partitions, &*moves.epochs, &*moves.next_offsets);
        let owned = progress::advance(db, self.topic, columns, self.id).await?;
        let mut fenced = moves.partitions.clone();
        fenced.retain(|partition| !owned.contains(partition));
        Ok(fenced)
    }

    async fn write_cursors(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        let Cursors { detached, replays } = self.cursors;
        if !detached.ids.is_empty() {
            cursors::upsert_all(&mut *db, self.topic, detached).await?;
            self.end_cursors(&mut *db, &detached.ids).await?;
        }
        if !replays.ids.is_empty() {
            replays::advance_all(&mut *db, self.topic, replays).await?;
            replays::complete(db, &replays.ids).await?;
        }
        Ok(())
    }

    /// Cursors that came to their end go; who has none left has caught up.
    async fn end_cursors(&self, db: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
        let ended = cursors::delete_done(&mut *db, self.topic, ids).await?;
        if ended.is_empty() {
            return Ok(());
        }
        let mut told = store::operations::Columns::default();
        for id in store::operations::caught_up(&mut *db, &ended).await? {
            told.push(store::operations::RECOVERED, id, &serde_json::json!({}));
        }
        store::operations::insert_all(db, &told).await
    }

    async fn write_circuits(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        let circuits::Rows {
            failed,
            tripped,
            again: _,
            succeeded,
            recovered,
        } = self.circuits;
        let mut all = [
            &*failed.subscription_ids,
            &*tripped.subscription_ids,
            succeeded,
            recovered,
        ]
        .concat();
        if all.is_empty() {
            return Ok(());
        }
        all.sort_unstable();
        common::store::circuits::lock_all(&mut *db, &all).await?;
        if !failed.subscription_ids.is_empty() {
            common::store::circuits::note_failures(&mut *db, failed).await?;
        }
        if !tripped.subscription_ids.is_empty() {
            common::store::circuits::trip_all(&mut *db, tripped).await?;
        }
        if !succeeded.is_empty() {
            common::store::circuits::note_successes(&mut *db, succeeded).await?;
        }
        if !recovered.is_empty() {
            common::store::circuits::close_all(db, recovered).await?;
        }
        Ok(())
    }

    /// Dead letters before the pending rows they take the place of go.
    async fn write_deliveries(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        let (rows, topic) = (self.rows, self.topic);
        if !rows.added.deliveries.keys.is_empty() {
            pending_deliveries::insert_all(&mut *db, topic, &rows.added).await?;
        }
        if !rows.dead.deliveries.keys.is_empty() {
            dead_letters::insert_all(&mut *db, topic, &rows.dead).await?;
        }
        if !rows.ended.keys.is_empty() {
            pending_deliveries::delete_all(&mut *db, topic, &rows.ended.keys, &rows.ended.leases)
                .await?;
        }
        if !rows.newest.keys.is_empty() {
            pending_deliveries::supersede_all(&mut *db, topic, &rows.newest).await?;
        }
        let again = &rows.rescheduled;
        if !again.keys.is_empty() {
            let waits = (&*again.attempts, &*again.delays_seconds);
            pending_deliveries::reschedule_all(db, topic, &again.keys, &again.leases, waits)
                .await?;
        }
        Ok(())
    }

    async fn write_record(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        for malformed in self.malformed {
            self.bury(&mut *db, malformed).await?;
        }
        if !self.rows.ahead.offsets.is_empty() {
            settled_ahead::insert_all(&mut *db, self.topic, &self.rows.ahead).await?;
        }
        for (id, why) in &self.rows.gone {
            subscriptions::disable_all(&mut *db, &[*id], why).await?;
        }
        let told = operations::of(self.rows, self.circuits, self.tells_dead);
        if !told.ids.is_empty() {
            store::operations::insert_all(&mut *db, &told).await?;
        }
        if !self.rows.undelivered.is_empty() {
            undelivered::add_all(&mut *db, &self.rows.undelivered()).await?;
        }
        if !self.rows.attempts.keys.is_empty() {
            attempts::insert_all(&mut *db, self.topic, &self.rows.attempts).await?;
        }
        if let Some(delta) = self.counted {
            statistics_deltas::insert(db, delta).await?;
        }
        Ok(())
    }

    async fn bury(&self, db: &mut PgConnection, malformed: &NoEvent) -> sqlx::Result<()> {
        let record = &malformed.record;
        let row = Malformed {
            partition: record.partition,
            offset: record.offset,
            event_id: &derived_id(record, self.topic),
            payload: record.value.as_deref().unwrap_or_default(),
            content_type: record.content_type.as_deref(),
            traceparent: record.traceparent.as_deref(),
            error: &malformed.why,
        };
        dead_letters::insert_malformed(db, self.topic, &row).await
    }
}
