//! Makes test deliveries: one POST each, to see what a receiver does with it; and asks for tokens, to
//! see whether deliveries would be given one.
//!
//! A POST is made as the processor makes an attempt, by the same crate, but over a connection of its
//! own; nothing is recorded of it, and no circuit counts it.

use std::sync::Arc;
use std::time::Duration;

use common::secrets::Keyring;
use common::store::subscriptions::Row;
use outbound::oauth2::{Grant, TokenError};
use outbound::{Attempt, Egress, Outgoing, Sender, Target};
use tokio::sync::Semaphore;
use tokio::time::Instant;

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
    pub fn new(timeout: Duration, egress: &Egress) -> anyhow::Result<Self> {
        Ok(Self {
            sender: Sender::new(egress)?.unpooled(),
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
        keyring: &Keyring,
        outgoing: &Outgoing<'_>,
    ) -> Result<Attempt, ApiError> {
        let target = self
            .target(subscription, keyring)
            .map_err(ApiError::Internal)?;
        let place = self.places.acquire().await;
        let _place = place.expect("nobody closes it");
        Ok(self.sender.attempt(&target, outgoing).await)
    }

    /// Asks for a token as the subscription's deliveries do, and says how long that took; `None`
    /// where they need none.
    ///
    /// # Errors
    /// That the row holds what no request may.
    pub(crate) async fn token(
        &self,
        subscription: &Row,
        keyring: &Keyring,
    ) -> Result<Option<(Result<Grant, TokenError>, Duration)>, ApiError> {
        let target = self
            .target(subscription, keyring)
            .map_err(ApiError::Internal)?;
        let place = self.places.acquire().await;
        let _place = place.expect("nobody closes it");
        let began_at = Instant::now();
        let result = self.sender.test_token(&target).await;
        Ok(result.map(|result| (result, began_at.elapsed())))
    }

    fn target(&self, subscription: &Row, keyring: &Keyring) -> anyhow::Result<Target> {
        let mut target = Target::of(subscription, keyring, self.timeout)?;
        target.mark_as_test();
        Ok(target)
    }
}
