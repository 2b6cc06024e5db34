//! Folds what replicas counted into minutes, minutes into hours and days, and removes what is too
//! old.
//!
//! Any replica may, one at a time: the one row of `statistics_state` is the lock, and each step is
//! one transaction that also removes, or marks, what it has counted. So a step that is cut off
//! counts nothing, and one that two begin is made by one. Where folding takes long it is done less
//! often: it takes about `SHARE` of the time of one connection, no more.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Days, DurationRound, TimeDelta, Utc};
use common::statistics::{Cell, Family, Granularity, Key, StatisticsArgs};
use common::store::statistics::{self, Row, Span};
use common::store::subscriptions;
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::merge::{Cells, also};
use super::packed;
use crate::store::{statistics_deltas, statistics_minutes};

/// The pauses between two looks lie between these, …
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// … and are so many times as long as the look before took.
const SHARE: u32 = 50;

/// After so many looks the tables are tidied.
const TIDY_EVERY: u32 = 60;

/// How many deltas are folded at once.
const DELTAS: i64 = 32;

/// How many minutes are rolled up at once; an hour has a whole number of these.
const STRETCH: TimeDelta = TimeDelta::minutes(5);

/// How long after its end a minute is rolled up: longer than a flush may take.
const GRACE: TimeDelta = TimeDelta::minutes(1);

/// How many days ahead have a partition; the one before today too.
const DAYS_AHEAD: u64 = 2;

/// How many rows are written, or removed, by one statement.
const ROWS: usize = 5000;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub kept: StatisticsArgs,
    /// How many cities a minute, an hour or a day counts by themselves.
    pub max_cities: usize,
}

/// Folds, until it is stopped.
#[derive(Clone, Debug)]
pub struct Folder {
    pub db: PgPool,
    pub settings: Settings,
}

impl Folder {
    /// What fails is told, and tried again at the next look.
    pub async fn run(self, stop: CancellationToken) {
        for look in (0..TIDY_EVERY).cycle() {
            let began = Instant::now();
            let looking = self.look(look == 0);
            if stop.run_until_cancelled(looking).await.is_none() {
                return;
            }
            let pause = (began.elapsed() * SHARE).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
            let pausing = tokio::time::sleep(pause);
            if stop.run_until_cancelled(pausing).await.is_none() {
                return;
            }
        }
    }

    async fn look(&self, tidies: bool) {
        if tidies && let Err(error) = self.tidy().await {
            tracing::warn!(%error, "the tables of statistics could not be tidied");
        }
        if let Err(error) = self.count().await {
            tracing::warn!(%error, "statistics could not be folded");
        }
    }

    async fn count(&self) -> sqlx::Result<()> {
        while self.fold().await? {}
        let now = statistics::state(&self.db).await?.now;
        while self.roll_up(now).await? {}
        Ok(())
    }

    /// Adds some of what was counted to the minutes; whether there may be more.
    ///
    /// # Errors
    /// The database's.
    pub async fn fold(&self) -> sqlx::Result<bool> {
        let mut transaction = self.db.begin().await?;
        let Some(state) = statistics::lock(&mut *transaction).await? else {
            return Ok(false);
        };
        let deltas = statistics_deltas::take(&mut *transaction, packed::VERSION, DELTAS).await?;
        let is_all = i64::try_from(deltas.len()).is_ok_and(|count| count < DELTAS);
        let minutes = by_minute(&deltas, state.rolled_until);
        let owners = if minutes.is_empty() {
            HashMap::new()
        } else {
            subscriptions::owners(&mut *transaction).await?
        };
        for (minute, cells) in minutes {
            let all = with_owners(cells, &owners);
            self.add(&mut transaction, Granularity::Minute, minute, all)
                .await?;
        }
        if is_all {
            statistics::folded(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(!is_all)
    }

    /// Adds the next minutes to their hour and day, if they have ended; whether there may be more.
    ///
    /// # Errors
    /// The database's.
    pub async fn roll_up(&self, now: DateTime<Utc>) -> sqlx::Result<bool> {
        let mut transaction = self.db.begin().await?;
        let Some(state) = statistics::lock(&mut *transaction).await? else {
            return Ok(false);
        };
        let ended = stretch_of(now - GRACE);
        let first = statistics::first_minute(&mut *transaction, state.rolled_until).await?;
        let begin = first.map_or(ended, stretch_of).max(state.rolled_until);
        if begin + STRETCH > ended {
            let passed = begin.min(ended).max(state.rolled_until);
            statistics::rolled(&mut *transaction, passed).await?;
            transaction.commit().await?;
            return Ok(false);
        }
        let minutes = Span {
            granularity: Granularity::Minute,
            since: begin,
            until: begin + STRETCH,
        };
        let rows = statistics::all(&mut *transaction, minutes).await?;
        for granularity in [Granularity::Hour, Granularity::Day] {
            let cells = rows.iter().map(|row| (row.key.clone(), row.cell.clone()));
            let at = granularity.begin(begin);
            self.add(&mut transaction, granularity, at, cells.collect())
                .await?;
        }
        statistics::rolled(&mut *transaction, minutes.until).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Adds cells to those that are there.
    async fn add(
        &self,
        db: &mut PgConnection,
        granularity: Granularity,
        at: DateTime<Utc>,
        added: Vec<(Key, Cell)>,
    ) -> sqlx::Result<()> {
        let there = Span {
            granularity,
            since: at,
            until: at + granularity.step(),
        };
        let there = statistics::all(&mut *db, there).await?;
        let there = there.into_iter().map(|Row { key, cell, .. }| (key, cell));
        let mut cells = Cells::holding(there, self.settings.max_cities);
        for (key, cell) in added {
            cells.add(key, &cell);
        }
        for some in cells.into_changed().chunks(ROWS) {
            statistics::put_all(&mut *db, granularity, at, some).await?;
        }
        Ok(())
    }

    /// Makes the days to come, and removes what is too old.
    ///
    /// # Errors
    /// The database's.
    pub async fn tidy(&self) -> sqlx::Result<()> {
        let now = statistics::state(&self.db).await?.now;
        self.keep_days(now).await?;
        for granularity in [Granularity::Minute, Granularity::Hour, Granularity::Day] {
            let before = self.oldest(granularity, now);
            let limit = i64::try_from(ROWS).unwrap_or(i64::MAX);
            let full = ROWS as u64;
            while statistics::delete_before(&self.db, granularity, before, limit).await? == full {}
        }
        Ok(())
    }

    /// Where the first cell begins that is kept; of minutes, the first day.
    fn oldest(&self, granularity: Granularity, now: DateTime<Utc>) -> DateTime<Utc> {
        let kept = TimeDelta::from_std(self.settings.kept.kept(granularity));
        let oldest = kept.ok().and_then(|kept| now.checked_sub_signed(kept));
        let whole = match granularity {
            Granularity::Minute => Granularity::Day,
            other => other,
        };
        whole.begin(oldest.unwrap_or(DateTime::UNIX_EPOCH))
    }

    async fn keep_days(&self, now: DateTime<Utc>) -> sqlx::Result<()> {
        let mut transaction = self.db.begin().await?;
        if statistics::lock(&mut *transaction).await?.is_none() {
            return Ok(());
        }
        let today = now.date_naive();
        let days = statistics_minutes::days(&mut *transaction).await?;
        let wanted = (today - Days::new(1)).iter_days();
        let wanted = wanted.take_while(|day| *day <= today + Days::new(DAYS_AHEAD));
        for day in wanted.filter(|day| !days.contains(day)) {
            statistics_minutes::add_day(&mut *transaction, day).await?;
        }
        let oldest = self.oldest(Granularity::Minute, now).date_naive();
        for day in days.iter().filter(|day| **day < oldest) {
            statistics_minutes::drop_day(&mut *transaction, *day).await?;
            tracing::info!(%day, "dropped a day of minutes of statistics");
        }
        transaction.commit().await
    }
}

/// Where the stretch begins in which a time lies.
fn stretch_of(time: DateTime<Utc>) -> DateTime<Utc> {
    // Fails for times of before 1677 and after 2262 only.
    time.duration_trunc(STRETCH).unwrap_or(time)
}

/// What was counted, by the minute in which it was written; what comes later than that is rolled
/// up counts in the first that is not.
fn by_minute(
    deltas: &[statistics_deltas::Row],
    open: DateTime<Utc>,
) -> BTreeMap<DateTime<Utc>, Vec<(Key, Cell)>> {
    let mut minutes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for delta in deltas {
        let minute = Granularity::Minute.begin(delta.created_at).max(open);
        match packed::unpack(&delta.tally) {
            Ok(cells) => minutes.entry(minute).or_default().extend(cells),
            Err(error) => tracing::error!(
                %error, replica = %delta.replica, number = delta.number,
                "what a replica counted cannot be read, and is not counted"
            ),
        }
    }
    minutes
}

/// The same, and what it counts for besides.
fn with_owners(cells: Vec<(Key, Cell)>, owners: &HashMap<String, String>) -> Vec<(Key, Cell)> {
    let mut all = Vec::with_capacity(2 * cells.len());
    for (key, cell) in cells {
        if key.family == Family::Subscription {
            let owner = owners.get(&key.key).map(String::as_str);
            all.extend(also(&key, owner).map(|key| (key, cell.clone())));
        }
        all.push((key, cell));
    }
    all
}
