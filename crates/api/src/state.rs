//! What handlers share.

use axum::extract::FromRef;
use sqlx::PgPool;

use crate::log::Log;

/// Each handler takes the part it needs.
#[derive(Clone, Debug, FromRef)]
pub struct AppState {
    /// Postgres.
    pub db: PgPool,
    /// The topic of the events.
    pub log: Log,
}
