//! A subscription as the engine holds it: where to send, and what it wants.

use std::time::Duration;

use common::filter::Filter;
use common::secrets::Keyring;
use common::store::subscriptions::{Row, State};
use outbound::Target;
use uuid::Uuid;

use crate::policy::Policy;

/// A list that does not grow, nor do its names: there may be very many subscriptions.
pub type Names = Box<[Box<str>]>;

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
    pub event_types: Option<Names>,
    pub cities: Option<Names>,
    /// What an event must be besides. Boxed, as few have one.
    pub filter: Option<Box<Filter>>,
}

impl Subscription {
    /// The subscription of that row, each attempt for which takes no longer than `timeout`, unless
    /// it has a time-out of its own.
    ///
    /// # Errors
    /// What is wrong with a row that `api` would not have written, or that its secrets do not open.
    pub fn new(row: &Row, keyring: &Keyring, timeout: Duration) -> anyhow::Result<Self> {
        let target = Target::of(row, keyring, timeout)?;
        Self::at(row, target, row.state == State::Active)
    }

    /// The same of a row whose secrets do not open: it gets nothing until they do, and all it is
    /// owed then.
    ///
    /// # Errors
    /// What else is wrong with it.
    pub fn held(row: &Row, timeout: Duration) -> anyhow::Result<Self> {
        Self::at(row, Target::new(&row.url, timeout)?, false)
    }

    fn at(row: &Row, target: Target, active: bool) -> anyhow::Result<Self> {
        let filter = row.filter.as_deref().map(Filter::compile);
        Ok(Self {
            target,
            id: row.id,
            active,
            spills: row.state != State::Disabled,
            policy: Policy::try_from(row).map_err(anyhow::Error::msg)?,
            event_types: row.event_types.as_deref().map(names),
            cities: row.cities.as_deref().map(names),
            filter: filter.transpose()?.map(Box::new),
        })
    }
}

fn names(of: &[String]) -> Names {
    of.iter().map(|name| name.as_str().into()).collect()
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
