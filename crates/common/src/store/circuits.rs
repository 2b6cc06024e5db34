//! The table `circuits`: what its receiver's failures say of a subscription, for all replicas.
//!
//! No row: it is closed, and nothing has failed since the last success. Who trips an open circuit
//! again doubles the wait for the next probe; all times are the database's.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

/// The wait for the first probe, in milliseconds.
pub const FIRST_DELAY_MS: i64 = 5_000;

/// The longest wait for a probe, in milliseconds.
pub const LONGEST_DELAY_MS: i64 = 600_000;

/// How long a probing replica has to find out, in seconds, before another may.
const PROBE_LEASE_SECONDS: f64 = 30.0;

/// How long the replicas with something to send have for themselves, in seconds.
const HEAD_START_SECONDS: f64 = 2.0;

/// Whether requests go to a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = CircuitState)]
pub enum State {
    /// They do.
    #[default]
    Closed,
    /// They do not, until it is probed.
    Open,
    /// One does, to find out.
    HalfOpen,
}

/// One row, as far as it concerns people.
#[derive(Clone, Debug)]
pub struct Row {
    /// Whose it is.
    pub subscription_id: Uuid,
    /// Whether requests go out.
    pub state: State,
    /// The first failure after the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// When the latest was.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// Its class.
    pub last_failure: Option<String>,
    /// When it opened.
    pub opened_at: Option<DateTime<Utc>>,
    /// Open: when it may be probed.
    pub probe_at: Option<DateTime<Utc>>,
}

/// Failures to note, column by column; each subscription once.
#[derive(Debug, Default)]
pub struct Failures {
    /// Whose they are.
    pub subscription_ids: Vec<Uuid>,
    /// How long ago the first after the last success was, in seconds.
    pub ages_seconds: Vec<f64>,
    /// The class of the latest.
    pub classes: Vec<&'static str>,
    /// How long to wait at least before a probe, in seconds, for those that tripped.
    pub waits_seconds: Vec<f64>,
    /// Of the wait, how much this one takes: between a half and one.
    pub jitters: Vec<f64>,
}

/// A circuit that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circuit {
    /// Whose it is.
    pub subscription_id: Uuid,
    /// The replica that probes; nobody, while it is open.
    pub prober: Option<String>,
}

/// Locks what there is of them, in the order of their keys: so that two replicas that write of the
/// same do not wait for each other for ever.
///
/// # Errors
/// The database's.
pub async fn lock_all(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "SELECT FROM circuits WHERE subscription_id = ANY($1) ORDER BY subscription_id FOR UPDATE",
        ids
    )
    .execute(db)
    .await
    .map(drop)
}

/// Opens them. One that another replica opened meanwhile stays as it is.
///
/// # Errors
/// The database's.
pub async fn trip_all(db: impl PgExecutor<'_>, batch: &Failures) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH tripped AS (
            SELECT * FROM UNNEST($1::uuid[], $2::float8[], $3::text[], $4::float8[], $5::float8[])
                AS tripped (id, age, class, wait, jitter)
        ), again AS (
            UPDATE circuits SET
                state = 'open', prober = NULL, updated_at = now(),
                failing_since = COALESCE(failing_since, now() - make_interval(secs => age)),
                last_failure_at = now(), last_failure = class,
                opened_at = COALESCE(opened_at, now()),
                probe_delay_ms = LEAST($7, GREATEST($6, probe_delay_ms * 2)),
                probe_at = now() + make_interval(secs => GREATEST(
                    wait, jitter * LEAST($7, GREATEST($6, probe_delay_ms * 2)) / 1000))
            FROM tripped WHERE subscription_id = id AND state <> 'open'
        )
        INSERT INTO circuits (subscription_id, state, failing_since, last_failure_at, last_failure,
                              opened_at, probe_at, probe_delay_ms)
        SELECT id, 'open', now() - make_interval(secs => age), now(), class, now(),
               now() + make_interval(secs => GREATEST(wait, jitter * $6::bigint / 1000)), $6
        FROM tripped ON CONFLICT DO NOTHING
        "#,
        &batch.subscription_ids,
        &batch.ages_seconds,
        &batch.classes as &[&str],
        &batch.waits_seconds,
        &batch.jitters,
        FIRST_DELAY_MS,
        LONGEST_DELAY_MS,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Notes failures that tripped nothing.
///
/// # Errors
/// The database's.
pub async fn note_failures(db: impl PgExecutor<'_>, batch: &Failures) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO circuits AS held (subscription_id, state, failing_since, last_failure_at, last_failure)
        SELECT id, 'closed', now() - make_interval(secs => age), now(), class
        FROM UNNEST($1::uuid[], $2::float8[], $3::text[]) AS failed (id, age, class)
        ON CONFLICT (subscription_id) DO UPDATE SET
            failing_since = COALESCE(held.failing_since, excluded.failing_since),
            last_failure_at = now(), last_failure = excluded.last_failure, updated_at = now()
        "#,
        &batch.subscription_ids,
        &batch.ages_seconds,
        &batch.classes as &[&str],
    )
    .execute(db)
    .await
    .map(drop)
}

/// Notes that a delivery succeeded: those that are closed have nothing to tell any more, and of
/// the others no failure counts from before.
///
/// # Errors
/// The database's.
pub async fn note_successes(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        WITH gone AS (
            DELETE FROM circuits WHERE subscription_id = ANY($1) AND state = 'closed'
        )
        UPDATE circuits SET failing_since = NULL WHERE subscription_id = ANY($1) AND state <> 'closed'
        "#,
        ids,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Closes them.
///
/// # Errors
/// The database's.
pub async fn close_all(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM circuits WHERE subscription_id = ANY($1)", ids)
        .execute(db)
        .await
        .map(drop)
}

/// All that are not closed.
///
/// # Errors
/// The database's.
pub async fn all_open(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Circuit>> {
    sqlx::query_as!(
        Circuit,
        "SELECT subscription_id, prober FROM circuits WHERE state <> 'closed'"
    )
    .fetch_all(db)
    .await
}

/// That of a subscription, unless it is closed.
///
/// # Errors
/// The database's.
pub async fn open(db: impl PgExecutor<'_>, id: Uuid) -> sqlx::Result<Option<Circuit>> {
    sqlx::query_as!(
        Circuit,
        "SELECT subscription_id, prober FROM circuits WHERE state <> 'closed' AND subscription_id = $1",
        id,
    )
    .fetch_optional(db)
    .await
}

/// Takes up to `limit` circuits that are due to be probed; how many. First those of which
/// something waits in the partitions owned: there is something to send.
///
/// # Errors
/// The database's.
pub async fn take_probes(
    db: impl PgExecutor<'_>,
    (topic, partitions): (&str, &[i32]),
    prober: &str,
    limit: i64,
) -> sqlx::Result<u64> {
    let taken = sqlx::query!(
        r#"
        WITH due AS MATERIALIZED (
            SELECT subscription_id FROM circuits
            WHERE state <> 'closed' AND probe_at <= now()
              AND EXISTS (SELECT FROM subscriptions
                          WHERE id = circuits.subscription_id AND subscriptions.state = 'active')
              AND (probe_at <= now() - make_interval(secs => $5) OR EXISTS (
                  SELECT FROM pending_deliveries AS waiting
                  WHERE waiting.subscription_id = circuits.subscription_id
                    AND waiting.topic = $1 AND waiting.partition = ANY($2)))
            ORDER BY probe_at LIMIT $4 FOR UPDATE SKIP LOCKED
        )
        UPDATE circuits SET state = 'half_open', prober = $3, updated_at = now(),
               probe_at = now() + make_interval(secs => $6)
        FROM due WHERE circuits.subscription_id = due.subscription_id
        "#,
        topic,
        partitions,
        prober,
        limit,
        HEAD_START_SECONDS,
        PROBE_LEASE_SECONDS,
    )
    .execute(db)
    .await?;
    Ok(taken.rows_affected())
}

/// Removes those whose subscription is gone.
///
/// # Errors
/// The database's.
pub async fn sweep_orphans(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        DELETE FROM circuits
        WHERE NOT EXISTS (SELECT FROM subscriptions WHERE id = circuits.subscription_id)
        "#
    )
    .execute(db)
    .await
    .map(drop)
}

/// The rows of those subscriptions that have one.
///
/// # Errors
/// The database's.
pub async fn get_all(db: impl PgExecutor<'_>, subscription_ids: &[Uuid]) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        SELECT subscription_id, state AS "state: State", failing_since, last_failure_at,
               last_failure, opened_at, probe_at
        FROM circuits WHERE subscription_id = ANY($1)
        "#,
        subscription_ids,
    )
    .fetch_all(db)
    .await
}

/// Opens it for a subscription that is enabled again: a probe comes first, after `cool_down`, and
/// failures of before do not count. The latest of them is kept, to be looked at.
///
/// # Errors
/// The database's.
pub async fn start_over(
    db: impl PgExecutor<'_>,
    subscription_id: Uuid,
    cool_down: Duration,
) -> sqlx::Result<()> {
    let cool_down_ms = i64::try_from(cool_down.as_millis()).unwrap_or(i64::MAX);
    sqlx::query!(
        r#"
        INSERT INTO circuits AS circuit (subscription_id, state, opened_at, probe_at, probe_delay_ms)
        VALUES ($1, 'open', now(), now() + make_interval(secs => $2), $3)
        ON CONFLICT (subscription_id) DO UPDATE
        SET state = 'open', failing_since = NULL, prober = NULL, updated_at = now(),
            opened_at = COALESCE(circuit.opened_at, EXCLUDED.opened_at),
            probe_at = EXCLUDED.probe_at, probe_delay_ms = EXCLUDED.probe_delay_ms
        "#,
        subscription_id,
        cool_down.as_secs_f64(),
        cool_down_ms,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Lets an open one be probed now: what its failures told of was changed.
///
/// # Errors
/// The database's.
pub async fn probe_now(db: impl PgExecutor<'_>, subscription_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE circuits SET probe_at = now(), updated_at = now()
         WHERE subscription_id = $1 AND state = 'open' AND probe_at > now()",
        subscription_id,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes that of a subscription that was deleted.
///
/// # Errors
/// The database's.
pub async fn delete(db: impl PgExecutor<'_>, subscription_id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "DELETE FROM circuits WHERE subscription_id = $1",
        subscription_id
    )
    .execute(db)
    .await
    .map(drop)
}
