//! Deliveries that were sent again on request, found by when that was.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Outcome, list};

/// The latest rows of the deliveries that were sent again at that moment, newest first; up to `limit`,
/// each once. Of an owner's subscriptions, unless that is `None`.
///
/// What was parked has a row of the same kind, but that one names its city. That it is not delivered is
/// said beside that it is pending, for the index is of the former.
///
/// # Errors
/// The database's.
pub async fn latest(
    db: impl PgExecutor<'_>,
    owner: Option<&str>,
    at: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<list::Row>> {
    sqlx::query_as!(
        list::Row,
        r#"
        SELECT latest.attempted_at, requeued.subscription_id AS "subscription_id!: Uuid",
               requeued.replay_id, requeued.topic AS "topic!", requeued.partition AS "partition!",
               requeued.event_offset AS "event_offset!", requeued.event_id AS "event_id!",
               latest.event_key, latest.number, latest.outcome::text AS "outcome!: Outcome",
               latest.status, latest.failure, latest.total_us
        FROM (
            SELECT DISTINCT subscription_id, replay_id, topic, partition, event_offset, event_id
            FROM attempts
            WHERE attempted_at = $1 AND outcome <> 'delivered' AND outcome = 'pending'
              AND number = 0 AND event_key IS NULL
              AND ($2::text IS NULL
                   OR subscription_id IN (SELECT id FROM subscriptions WHERE owner = $2))
            LIMIT $3
        ) AS requeued
        CROSS JOIN LATERAL (
            SELECT later.attempted_at, later.event_key, later.number, later.outcome, later.status,
                   later.failure, later.total_us
            FROM attempts AS later
            WHERE later.attempted_at >= $1 AND later.event_id = requeued.event_id
              AND later.subscription_id = requeued.subscription_id
              AND later.topic = requeued.topic AND later.partition = requeued.partition
              AND later.event_offset = requeued.event_offset
              AND later.replay_id IS NOT DISTINCT FROM requeued.replay_id
            ORDER BY later.attempted_at DESC, later.number DESC LIMIT 1
        ) AS latest
        ORDER BY latest.attempted_at DESC, requeued.subscription_id, requeued.event_offset
        "#,
        at,
        owner,
        limit,
    )
    .fetch_all(db)
    .await
}
