//! Makes test deliveries: one POST each, to see what a receiver does with it. Asks receivers whether
//! they want deliveries, and token endpoints whether deliveries would be given a token.
//!
//! A POST is made as the processor makes an attempt, by the same crate, but over a connection of its
//! own; nothing is recorded of it, and no circuit counts it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::secrets::Keyring;
use common::store::subscriptions::{Row, Secrets, Settings};
use outbound::oauth2::{Grant, TokenError};
use outbound::{Attempt, Egress, NotPermitted, Outgoing, Permission, Sender, Target};
use tokio::time::Instant;

use crate::access::Caller;
use crate::error::ApiError;
use crate::seats::{Seat, Seats};

/// How many are made at once; more are refused, since each holds its request for as long as the
/// receiver likes.
const AT_ONCE: usize = 16;

/// How many of these for one owner.
const AT_ONCE_PER_OWNER: usize = 4;

/// After how long one is worth another try.
const BUSY: Duration = Duration::from_secs(2);

/// The one tester of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tester {
    sender: Sender,
    timeout: Duration,
    seats: Arc<Seats>,
    origin: Arc<str>,
}

impl Tester {
    /// One whose deliveries take no longer than `timeout`, unless a subscription has a time-out of
    /// its own, and that asks receivers as `origin`.
    ///
    /// # Errors
    /// That TLS cannot be set up.
    pub fn new(timeout: Duration, egress: &Egress, origin: &str) -> anyhow::Result<Self> {
        Ok(Self {
            sender: Sender::new(egress)?.unpooled(),
            timeout,
            seats: Arc::new(Seats::new(AT_ONCE, AT_ONCE_PER_OWNER)),
            origin: origin.into(),
        })
    }

    /// Posts to the subscription's endpoint, whatever its state.
    ///
    /// # Errors
    /// That the row holds what no request may, or that as many are made as may be.
    pub(crate) async fn attempt(
        &self,
        caller: &Caller,
        subscription: &Row,
        keyring: &Keyring,
        outgoing: &Outgoing<'_>,
    ) -> Result<Attempt, ApiError> {
        let target = Target::of(subscription, keyring, self.timeout);
        let target = target.map_err(ApiError::Internal)?;
        self.post(caller, target, outgoing).await
    }

    /// Asks for a token as the subscription's deliveries do, and says how long that took; `None`
    /// where they need none.
    ///
    /// # Errors
    /// That the row holds what no request may, or that as many are made as may be.
    pub(crate) async fn token(
        &self,
        caller: &Caller,
        subscription: &Row,
        keyring: &Keyring,
    ) -> Result<Option<(Result<Grant, TokenError>, Duration)>, ApiError> {
        let target = Target::of(subscription, keyring, self.timeout);
        let target = target.map_err(ApiError::Internal)?;
        let _seat = self.seat(caller)?;
        let began_at = Instant::now();
        let result = self.sender.test_token(&target).await;
        Ok(result.map(|result| (result, began_at.elapsed())))
    }

    /// Posts to the endpoint of a subscription as it is to be.
    ///
    /// # Errors
    /// That it holds what no request may, or that as many are made as may be.
    pub(crate) async fn try_out(
        &self,
        caller: &Caller,
        settings: &Settings,
        secrets: &Secrets,
        outgoing: &Outgoing<'_>,
    ) -> Result<Attempt, ApiError> {
        let target = Target::of_draft(settings, secrets, self.timeout);
        let target = target.map_err(ApiError::Internal)?;
        self.post(caller, target, outgoing).await
    }

    /// Asks the endpoint of a subscription as it is to be whether it wants deliveries, so many a
    /// minute.
    ///
    /// # Errors
    /// That it holds what no request may, or that as many are made as may be.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        settings: &Settings,
        secrets: &Secrets,
        rate: Option<NonZeroU32>,
    ) -> Result<Result<Permission, NotPermitted>, ApiError> {
        let target = Target::of_draft(settings, secrets, self.timeout);
        let target = target.map_err(ApiError::Internal)?;
        let _seat = self.seat(caller)?;
        Ok(self.sender.ask(&target, rate).await)
    }

    /// As whom receivers are asked.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    async fn post(
        &self,
        caller: &Caller,
        mut to: Target,
        outgoing: &Outgoing<'_>,
    ) -> Result<Attempt, ApiError> {
        to.mark_as_test();
        let _seat = self.seat(caller)?;
        Ok(self.sender.attempt(&to, outgoing).await)
    }

    fn seat(&self, caller: &Caller) -> Result<Seat, ApiError> {
        let seat = Seats::take(&self.seats, caller.owner.clone());
        seat.ok_or(ApiError::RateLimited {
            which: "that ask receivers",
            wait: BUSY,
        })
    }
}
