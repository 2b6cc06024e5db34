//! A subscription as the engine holds it: where to send, with which headers, and what it wants.

use common::event::USER_AGENT;
use common::store::subscriptions::{Row, State};
use reqwest::Url;
use reqwest::header::{self, HeaderMap, HeaderValue};
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
    pub url: Url,
    /// What every POST to it carries, whatever the event.
    pub headers: HeaderMap,
    pub event_types: Option<Vec<String>>,
    pub cities: Option<Vec<String>>,
}

impl TryFrom<Row> for Subscription {
    type Error = String;

    /// Fails for a row that `api` would not have written.
    fn try_from(row: Row) -> Result<Self, String> {
        let url = Url::parse(&row.url).map_err(|error| format!("its URL is broken: {error}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(auth_key) = &row.auth_key {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", auth_key.expose()))
                .map_err(|_| "its auth_key does not fit in a header".to_owned())?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        Ok(Self {
            id: row.id,
            active: row.state == State::Active,
            spills: row.state != State::Disabled,
            policy: Policy::try_from(&row)?,
            url,
            headers,
            event_types: row.event_types,
            cities: row.cities,
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
            url: Url::parse(url).unwrap(),
            headers: HeaderMap::new(),
            event_types: None,
            cities: None,
        }
    }
}
