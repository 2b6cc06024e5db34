//! What handlers share.

use axum::extract::FromRef;
use common::attempt_log::AttemptLog;
use common::secrets::Keyring;
use outbound::Egress;
use sqlx::PgPool;

use crate::access::Access;
use crate::live::Live;
use crate::log::Log;
use crate::sessions;
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
    /// What the record has, as the processor is told.
    pub attempt_log: AttemptLog,
    /// What is recorded, as it is.
    pub live: Live,
    /// How people sign in.
    pub sessions: sessions::Settings,
    /// What statistics are judged by.
    pub statistics: statistics::Settings,
}
