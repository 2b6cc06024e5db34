//! Who has asked too often: by address, by key, and with wrong keys.
//!
//! In memory, so each replica of `api` counts for itself. An IPv6 address counts as its /64. Who has
//! shown too many wrong keys is refused before the next is looked at, so that a right guess is of
//! no use either; a key that was right from the same address lately is looked at nevertheless, or
//! one who guesses would lock out whoever shares the address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, describe_counter};
use ring::digest::{SHA256, digest};
use tokio::time::Instant;

use super::DoorArgs;
use super::rate::{Buckets, MAX_BUCKETS};
use super::source::limited_as;
use crate::error::ApiError;

const LIMITED: &str = "api_limited_total";

/// For how long a key that was right from an address is looked at whatever others there have shown.
const KNOWN_FOR: Duration = Duration::from_hours(1);

/// Tells the metrics recorder what the metrics mean.
pub fn describe_metrics() {
    describe_counter!(
        LIMITED,
        "Requests refused for their rate, by what was counted"
    );
}

/// The limits of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Limits(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    by_address: Buckets<IpAddr>,
    by_key: Buckets<String>,
    wrong_keys: Buckets<IpAddr>,
    known: Mutex<HashMap<Shown, Instant>>,
}

/// A key and the address that it came from, as a hash.
type Shown = [u8; 32];

/// A key that is being looked at.
#[derive(Debug)]
pub struct Guess<'a> {
    counted: &'a Counted,
    address: IpAddr,
    shown: Shown,
}

impl Limits {
    /// As the settings say.
    pub fn new(args: &DoorArgs) -> Self {
        let now = Instant::now();
        Self(Arc::new(Counted {
            by_address: Buckets::new(args.rate_limit_per_address, now),
            by_key: Buckets::new(args.rate_limit_per_key, now),
            wrong_keys: Buckets::new(args.rate_limit_wrong_keys, now),
            known: Mutex::default(),
        }))
    }

    /// A request from that address.
    ///
    /// # Errors
    /// That there were too many.
    pub fn request(&self, source: IpAddr) -> Result<(), ApiError> {
        let taken = self.0.by_address.take(limited_as(source), Instant::now());
        taken.map_err(|wait| limited("address", "from this address", wait))
    }

    /// A request of that caller.
    ///
    /// # Errors
    /// That there were too many.
    pub fn caller(&self, who: &str) -> Result<(), ApiError> {
        let taken = self.0.by_key.take(who.to_owned(), Instant::now());
        taken.map_err(|wait| limited("key", "with this key", wait))
    }

    /// A key that somebody shows, before it is looked at.
    ///
    /// # Errors
    /// That too many were wrong.
    pub fn guess(&self, source: IpAddr, token: &str) -> Result<Guess<'_>, ApiError> {
        let guess = Guess {
            counted: &self.0,
            address: limited_as(source),
            shown: shown(source, token),
        };
        let now = Instant::now();
        match self.0.wrong_keys.look(guess.address, now) {
            Err(wait) if !self.0.knows(&guess.shown, now) => Err(limited(
                "wrong_keys",
                "with wrong keys from this address",
                wait,
            )),
            _ => Ok(guess),
        }
    }
}

impl Guess<'_> {
    /// It is a key.
    pub fn right(self) {
        self.counted.remember(self.shown, Instant::now());
    }

    /// It is none.
    pub fn wrong(self) {
        self.counted.wrong_keys.charge(self.address, Instant::now());
    }
}

impl Counted {
    fn knows(&self, shown: &Shown, now: Instant) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(shown).is_some_and(|until| *until > now)
    }

    /// Where there is no place it is not, and counts as any other.
    fn remember(&self, shown: Shown, now: Instant) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_BUCKETS && !known.contains_key(&shown) {
            known.retain(|_, until| *until > now);
        }
        if known.len() < MAX_BUCKETS || known.contains_key(&shown) {
            known.insert(shown, now + KNOWN_FOR);
        }
    }
}

fn shown(source: IpAddr, token: &str) -> Shown {
    let text = format!("{source} {token}");
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

fn limited(counted: &'static str, which: &'static str, wait: Duration) -> ApiError {
    counter!(LIMITED, "by" => counted).increment(1);
    ApiError::RateLimited { which, wait }
}
