//! What handlers share.

use axum::extract::FromRef;
use common::secrets::Keyring;
use outbound::Egress;
use sqlx::PgPool;

use crate::access::Access;
use crate::log::Log;
use crate::statistics;
use crate::tester::Tester;

/// Each handler takes the part it needs.
#[derive(Clone, Debug, FromRef)]
pub struct AppState {
    /// Postgres.
    pub db: PgPool,
    /// The topic of the events.
    pub log: Log,
    /// How callers are known.
    pub access: Access,
    /// What makes test deliveries.
    pub tester: Tester,
    /// Where subscriptions may point.
    pub egress: Egress,
    /// What seals and opens their secrets.
    pub keyring: Keyring,
    /// What statistics are judged by.
    pub statistics: statistics::Settings,
}
