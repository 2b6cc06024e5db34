//! The table `circuits`: what its receiver's failures say of a subscription, for all replicas.
//!
//! No row means closed, with no failure since the last success.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

/// Whether requests go to a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
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
