//! Senders that show a certificate of their own: one for each that is in use, so that no connection
//! and no TLS session is shared between two.
//!
//! Kept by their certificates, so that reading a subscription anew costs it no connection.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Sender;
use crate::identity::{ClientIdentity, Digest};

/// After how long without an attempt one is forgotten; by then its connections are closed.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// How many are kept; beyond that the one that was idle for longest is forgotten.
const KEPT: usize = 10_000;

/// Those in use.
#[derive(Debug)]
pub(super) struct Identified {
    most: usize,
    all: Mutex<HashMap<Digest, Kept>>,
}

impl Default for Identified {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

#[derive(Debug)]
struct Kept {
    sender: Sender,
    used_at: Instant,
}

impl Identified {
    /// None yet, and no more than `most` ever.
    pub(super) fn keeping(most: usize) -> Self {
        Self {
            most,
            all: Mutex::default(),
        }
    }

    /// The one of that identity, which `make` makes if there is none.
    pub(super) fn get(&self, identity: &ClientIdentity, make: impl FnOnce() -> Sender) -> Sender {
        let now = Instant::now();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = all.get_mut(identity.digest()) {
            kept.used_at = now;
            return kept.sender.clone();
        }
        all.retain(|_, kept| now - kept.used_at < FORGOTTEN_AFTER);
        if all.len() >= self.most {
            let oldest = all.iter().min_by_key(|(_, kept)| kept.used_at);
            let oldest = oldest.map(|(digest, _)| *digest);
            oldest.and_then(|digest| all.remove(&digest));
        }
        let sender = make();
        let kept = Kept {
            sender: sender.clone(),
            used_at: now,
        };
        all.insert(*identity.digest(), kept);
        sender
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.all.lock().unwrap().len()
    }
}
