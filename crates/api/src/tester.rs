//! Makes test deliveries: one POST each, to see what a receiver does with it.
//!
//! It is made as the processor makes an attempt, by the same crate, but over a connection of its
//! own; nothing is recorded of it, and no circuit counts it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use common::store::subscriptions::Row;
use outbound::{Attempt, Outgoing, Sender, Target};
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// How many are made at once; others wait for them.
const AT_ONCE: usize = 16;

/// The one tester of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tester {
    sender: Sender,
    timeout: Duration,
    places: Arc<Semaphore>,
}

impl Tester {
    /// One whose deliveries take no longer than `timeout`, unless a subscription has a time-out of
    /// its own.
    ///
    /// # Errors
    /// That TLS cannot be set up.
    pub fn new(timeout: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            sender: Sender::new()?.unpooled(),
            timeout,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Posts to the subscription's endpoint, whatever its state.
    ///
    /// # Errors
    /// That the row holds what no request may.
    pub(crate) async fn attempt(
        &self,
        subscription: &Row,
        outgoing: &Outgoing<'_>,
    ) -> Result<Attempt, ApiError> {
        let target = self.target(subscription).map_err(ApiError::Internal)?;
        let place = self.places.acquire().await;
        let _place = place.expect("nobody closes it");
        Ok(self.sender.attempt(&target, outgoing).await)
    }

    fn target(&self, subscription: &Row) -> anyhow::Result<Target> {
        let own = subscription.timeout_ms.map(i64::unsigned_abs);
        let timeout = own.map_or(self.timeout, Duration::from_millis);
        let mut target = Target::new(&subscription.url, timeout)?;
        if let Some(auth_key) = &subscription.auth_key {
            let authorized = target.authorize(auth_key.expose());
            authorized.context("its auth_key does not fit in a header")?;
        }
        target.mark_as_test();
        Ok(target)
    }
}
