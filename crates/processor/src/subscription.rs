//! A subscription as the engine holds it: where to send, and what it wants.

use std::time::Duration;

use common::filter::Filter;
use common::secrets::Keyring;
use common::store::subscriptions::{Row, State};
use outbound::Target;
use uuid::Uuid;

use crate::policy::Policy;

/// Made once per change, shared by all its deliveries.
#[derive(Debug)]
pub struct Subscription {
    pub id: Uuid,
    /// Whether it gets events; pending deliveries of one that does not wait.
    pub active: bool,
    /// Whether what it has yet to get is saved from retention.
    pub spills: bool,
    pub policy: Policy,
    pub target: Target,
    pub event_types: Option<Vec<String>>,
    pub cities: Option<Vec<String>>,
    /// What an event must be besides.
    pub filter: Option<Filter>,
}

impl Subscription {
    /// The subscription of that row, each attempt for which takes no longer than `timeout`, unless
    /// it has a time-out of its own.
    ///
    /// # Errors
    /// What is wrong with a row that `api` would not have written, or that its secrets do not open.
    pub fn new(row: Row, keyring: &Keyring, timeout: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            target: Target::of(&row, keyring, timeout)?,
            id: row.id,
            active: row.state == State::Active,
            spills: row.state != State::Disabled,
            policy: Policy::try_from(&row).map_err(anyhow::Error::msg)?,
            event_types: row.event_types,
            cities: row.cities,
            filter: row.filter.as_deref().map(Filter::compile).transpose()?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An active subscription to everything.
    pub(crate) fn subscription(url: &str) -> Subscription {
        Subscription {
            id: Uuid::now_v7(),
            active: true,
            spills: true,
            policy: Policy::default(),
            target: Target::new(url, Duration::from_secs(10)).unwrap(),
            event_types: None,
            cities: None,
            filter: None,
        }
    }
}
