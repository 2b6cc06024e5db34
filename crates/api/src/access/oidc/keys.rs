//! The provider's keys: asked for again by age, and when a token names one that is not among them.
//!
//! The provider is asked by one at a time, and not again for a while, whatever tokens come. While it
//! does not answer its keys from before are used, for `OIDC_KEYS_KEPT` at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::fetch::Provider;
use super::jwk::Key;
use super::token::Unverified;

/// How often the provider is asked, and for how long its answer is good.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After how long it is asked again.
    pub age: Duration,
    /// How soon at most: for an unknown key, or after a failure.
    pub pause: Duration,
    /// How long an answer is used while there is no other.
    pub kept: Duration,
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The provider has none of that name.
    Unknown,
    /// The provider does not answer, so nobody can tell.
    Away,
}

/// What is known of them.
#[derive(Debug)]
pub struct Keys {
    provider: Arc<Provider>,
    pace: Pace,
    known: Mutex<Known>,
    asking: AsyncMutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    keys: Arc<[Key]>,
    answered_at: Option<Instant>,
    asked_at: Option<Instant>,
    answers: bool,
}

impl Known {
    /// The key for a token; one that names none takes the only one of its kind.
    fn find(&self, token: &Unverified<'_>) -> Option<Key> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithm == token.algorithm && (token.key.is_none() || token.key == key.id)
        });
        let first = fitting.next()?;
        let is_clear = token.key.is_some() || fitting.next().is_none();
        is_clear.then(|| first.clone())
    }

    fn may_ask(&self, pace: &Pace, now: Instant) -> bool {
        self.asked_at.is_none_or(|asked| now >= asked + pace.pause)
    }

    /// How long until they should be asked for again.
    fn due_in(&self, pace: &Pace, now: Instant) -> Duration {
        let after = if self.answers { pace.age } else { pace.pause };
        let due = self.asked_at.map(|asked| asked + after);
        due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

impl Keys {
    /// None yet.
    pub fn new(provider: Arc<Provider>, pace: Pace) -> Self {
        Self {
            provider,
            pace,
            known: Mutex::default(),
            asking: AsyncMutex::default(),
        }
    }

    /// The key that a token names, asked for if it is not known.
    pub async fn find(&self, token: &Unverified<'_>) -> Result<Key, Missing> {
        if let Some(key) = self.usable().find(token) {
            return Ok(key);
        }
        let _one = self.asking.lock().await;
        if self.usable().may_ask(&self.pace, Instant::now()) {
            self.ask().await;
        }
        let known = self.usable();
        known.find(token).ok_or(if known.answers {
            Missing::Unknown
        } else {
            Missing::Away
        })
    }

    /// Asks again and again, until `stop`.
    pub async fn keep_fresh(&self, stop: CancellationToken) {
        let asking = async {
            loop {
                sleep(self.usable().due_in(&self.pace, Instant::now())).await;
                let _one = self.asking.lock().await;
                if self.usable().due_in(&self.pace, Instant::now()).is_zero() {
                    self.ask().await;
                }
            }
        };
        stop.run_until_cancelled(asking).await;
    }

    /// What is known and not too old.
    fn usable(&self) -> Known {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = known.clone();
        let is_in_time = |answered: Instant| answered.elapsed() < self.pace.kept;
        if !known.answered_at.is_some_and(is_in_time) {
            known.keys = Arc::default();
        }
        known
    }

    async fn ask(&self) {
        let answer = self.provider.keys().await;
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.asked_at = Some(now);
        match answer {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "the OIDC provider told its keys");
                known.keys = keys.into();
                known.answered_at = Some(now);
                known.answers = true;
            }
            Err(error) => {
                tracing::error!("the OIDC provider does not tell its keys: {error:#}");
                known.answers = false;
            }
        }
    }
}
