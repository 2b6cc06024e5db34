//! The table `operations`: what happened to subscriptions, for those who operate them. Rows are
//! written with what they tell of, and published from here.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// A subscription was disabled.
pub const DISABLED: &str = "subscription.disabled";
/// Its circuit opened.
pub const CIRCUIT_OPENED: &str = "subscription.circuit_opened";
/// Its circuit closed.
pub const CIRCUIT_CLOSED: &str = "subscription.circuit_closed";
/// It has caught up with all that it missed.
pub const RECOVERED: &str = "subscription.recovered";
/// A delivery of it is dead.
pub const DEAD_LETTERED: &str = "delivery.dead_lettered";

/// Events to be told, column by column.
#[derive(Debug, Default)]
pub struct Columns {
    pub ids: Vec<Uuid>,
    pub event_types: Vec<&'static str>,
    pub subscription_ids: Vec<Uuid>,
    /// JSON objects: what each tells besides.
    pub details: Vec<String>,
}

impl Columns {
    pub fn push(
        &mut self,
        event_type: &'static str,
        subscription_id: Uuid,
        details: &serde_json::Value,
    ) {
        self.ids.push(Uuid::now_v7());
        self.event_types.push(event_type);
        self.subscription_ids.push(subscription_id);
        self.details.push(details.to_string());
    }
}

/// An event that waits to be published.
#[derive(Debug)]
pub struct Unpublished {
    pub id: Uuid,
    pub subscription_id: Uuid,
    pub body: String,
}

/// Adds events; of one kind and subscription no more than one a minute.
pub async fn insert_all(db: impl PgExecutor<'_>, batch: &Columns) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO operations (id, event_type, subscription_id, body)
        SELECT told.id, told.event_type, told.subscription_id, (jsonb_build_object(
                   'id', told.id, 'type', told.event_type,
                   'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                   'subscription_id', told.subscription_id, 'subscription_name', name
               ) || told.details::jsonb)::text
        FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::text[])
            AS told (id, event_type, subscription_id, details)
        JOIN subscriptions ON subscriptions.id = told.subscription_id
        WHERE NOT EXISTS (
            SELECT FROM operations AS before
            WHERE before.subscription_id = told.subscription_id
              AND before.event_type = told.event_type
              AND before.created_at > now() - interval '1 minute')
        "#,
        &batch.ids,
        &batch.event_types as &[&str],
        &batch.subscription_ids,
        &batch.details,
    )
    .execute(db)
    .await
    .map(drop)
}

/// Those of the subscriptions that have nothing to catch up with any more, after their circuit was
/// closed. One that only did not keep up for a moment is nothing to tell of.
pub async fn caught_up(db: impl PgExecutor<'_>, ids: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        SELECT id FROM subscriptions
        WHERE id = ANY($1) AND NOT EXISTS (SELECT FROM cursors WHERE subscription_id = id)
          AND (SELECT max(created_at) FROM operations
               WHERE subscription_id = subscriptions.id AND event_type = $2)
            > COALESCE((SELECT max(created_at) FROM operations
                        WHERE subscription_id = subscriptions.id AND event_type = $3), '-infinity')
        "#,
        ids,
        CIRCUIT_CLOSED,
        RECOVERED,
    )
    .fetch_all(db)
    .await
}

/// Up to `limit` events that wait, oldest first, locked for this transaction.
pub async fn lock_unpublished(db: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Unpublished>> {
    sqlx::query_as!(
        Unpublished,
        r#"
        SELECT id, subscription_id, body FROM operations WHERE published_at IS NULL
        ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
        "#,
        limit,
    )
    .fetch_all(db)
    .await
}

/// The broker has them.
pub async fn note_published(db: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE operations SET published_at = now() WHERE id = ANY($1)",
        ids
    )
    .execute(db)
    .await
    .map(drop)
}

/// Removes what was published more than a day ago.
pub async fn delete_old(db: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!("DELETE FROM operations WHERE published_at < now() - interval '1 day'")
        .execute(db)
        .await
        .map(drop)
}

/// Disables those that have done nothing but fail for too long, by their own measure or else by
/// `default_ms`; which.
pub async fn disable_failing(db: &mut PgConnection, default_ms: i64) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        UPDATE subscriptions SET state = 'disabled', disabled_at = now(), updated_at = now(),
               disabled_reason = 'nothing but failures since ' || to_char(
                   failing_since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                   || ', the last: ' || COALESCE(last_failure, 'unknown')
        FROM circuits
        WHERE circuits.subscription_id = id AND subscriptions.state = 'active'
          AND last_failure_at - failing_since
              >= make_interval(secs => COALESCE(disable_after_ms, $1)::float8 / 1000)
        RETURNING id
        "#,
        default_ms,
    )
    .fetch_all(db)
    .await
}
