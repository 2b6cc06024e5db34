//! An event before the filters of subscriptions: read for them once, and only if one has any. Pure.

use std::cell::OnceCell;

use bytes::Bytes;
use common::filter::Event;
use metrics::counter;

use crate::observe;
use crate::subscription::Subscription;

/// One event.
#[derive(Debug)]
pub struct Filtered {
    payload: Bytes,
    event: OnceCell<Option<Event>>,
}

impl Filtered {
    pub fn new(payload: Bytes) -> Self {
        Self {
            payload,
            event: OnceCell::new(),
        }
    }

    /// Whether the subscription's filter, if it has one, lets the event pass. One that cannot be
    /// evaluated, as for want of a field, does not; that is counted.
    pub fn passes(&self, subscription: &Subscription) -> bool {
        let Some(filter) = &subscription.filter else {
            return true;
        };
        let event = self.event.get_or_init(|| Event::parse(&self.payload).ok());
        let Some(event) = event else {
            return false;
        };
        filter.matches(event).unwrap_or_else(|error| {
            tracing::debug!(subscription.id = %subscription.id, %error, "a filter cannot be evaluated");
            counter!(observe::FILTER_ERRORS).increment(1);
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use common::filter::Filter;

    use super::*;
    use crate::subscription::tests::subscription;

    #[test]
    fn an_event_passes_where_the_filter_is_true_or_there_is_none() {
        let mut wanting = subscription("http://localhost:9099");
        let warm = Filtered::new(Bytes::from_static(br#"{"city":"Oslo","reading":31}"#));
        assert!(warm.passes(&wanting));
        for (filter, passes) in [
            ("event.reading > 30", true),
            ("event.reading > 31", false),
            ("event.humidity > 1", false),
        ] {
            wanting.filter = Some(Box::new(Filter::compile(filter).unwrap()));
            assert_eq!(warm.passes(&wanting), passes, "{filter}");
        }
    }
}
