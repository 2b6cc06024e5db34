//! How a subscription's deliveries are signed, as far as that is no secret.

use chrono::{DateTime, Utc};
use serde::Serialize;
use signature::PublicKey;
use utoipa::ToSchema;

use crate::fields::SigningAlgorithm;
use crate::store::public_keys::Row;
use crate::webhook_keys;

/// A part of a subscription.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignedBy {
    /// By which the newest key signs.
    signing_algorithm: SigningAlgorithm,
    /// The Ed25519 keys that sign now, the newest first: each signs every delivery.
    public_keys: Vec<ShownKey>,
    /// Where they are for receivers, as a JWK Set, on this host; `null` where there are none.
    public_keys_url: Option<String>,
}

/// A public key of a subscription.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownKey {
    /// By which the JWK Set names it.
    kid: String,
    /// `whpk_…` (Standard Webhooks).
    key: String,
    /// When it no longer signs; `null`: not before another takes its place.
    ends_at: Option<DateTime<Utc>>,
}

impl From<Vec<Row>> for SignedBy {
    /// Of those of one subscription.
    fn from(rows: Vec<Row>) -> Self {
        // A key that has no end is the newest; without one a secret took the place of all.
        let signing_algorithm = match rows.first() {
            Some(Row { ends_at: None, .. }) => SigningAlgorithm::Ed25519,
            _ => SigningAlgorithm::HmacSha256,
        };
        Self {
            signing_algorithm,
            public_keys_url: rows.first().map(|row| webhook_keys::path(row.key_set)),
            public_keys: rows.into_iter().map(ShownKey::from).collect(),
        }
    }
}

impl From<Row> for ShownKey {
    fn from(row: Row) -> Self {
        let key = PublicKey::try_from(&*row.key).expect("the column holds 32 bytes");
        Self {
            kid: row.kid,
            key: key.to_string(),
            ends_at: row.ends_at,
        }
    }
}
