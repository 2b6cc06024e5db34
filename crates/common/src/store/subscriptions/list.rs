//! Subscriptions as a list, all or those that somebody looks for.

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use utoipa::ToSchema;

use super::{AuthKind, Coalesce, Ordering, Row, State};

/// What a subscription suffers from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionHealth)]
pub enum Health {
    /// It is active, and nothing has succeeded since its last failure.
    Failing,
    /// Its circuit is open or half-open: it gets probes at most.
    CircuitOpen,
    /// Events wait for it in the log.
    HeldBack,
}

/// Which to list: those that fit everything that is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Of this owner only.
    pub owner: Option<&'a str>,
    /// Whose name, URL or owner has this in it, in upper or lower case, or whose id it is.
    pub text: Option<&'a str>,
    /// In this state only.
    pub state: Option<State>,
    /// Which suffer from that.
    pub health: Option<Health>,
}

/// A page of them, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(
    db: impl PgExecutor<'_>,
    wanted: Wanted<'_>,
    skip: i64,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    rows!(
        "SELECT",
        "FROM subscriptions
         WHERE ($1::text IS NULL OR owner = $1)
           AND ($4::text IS NULL OR strpos(lower(name), lower($4)) > 0
                OR strpos(lower(url), lower($4)) > 0 OR strpos(lower(owner), lower($4)) > 0
                OR id::text = lower($4))
           AND ($5::text IS NULL OR state = $5)
           AND ($6::text IS NULL
                OR $6 = 'failing' AND state = 'active' AND EXISTS (
                    SELECT FROM circuits
                    WHERE subscription_id = subscriptions.id AND failing_since IS NOT NULL)
                OR $6 = 'circuit_open' AND EXISTS (
                    SELECT FROM circuits
                    WHERE subscription_id = subscriptions.id AND circuits.state <> 'closed')
                OR $6 = 'held_back' AND EXISTS (
                    SELECT FROM cursors
                    WHERE subscription_id = subscriptions.id AND end_offset IS NULL))
         ORDER BY id OFFSET $2 LIMIT $3",
        wanted.owner,
        skip,
        limit,
        wanted.text,
        wanted.state as Option<State>,
        wanted.health as Option<Health>,
    )
    .fetch_all(db)
    .await
}
