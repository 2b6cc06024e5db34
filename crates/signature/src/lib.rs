//! Signatures of webhooks as Standard Webhooks 1.0.0 has them: made for who sends, verified for who
//! receives. Pure.
//!
//! What is signed is `{id}.{timestamp}.{body}`, by HMAC-SHA256 (`v1`) or Ed25519 (`v1a`). Keys are
//! read once and kept ready; none is ever printed. Where keys are stored, when they are exchanged
//! for others, and what becomes of a request that is not authentic, is the business of the callers.

mod key;
mod signer;
mod verifier;

/// The event's id, the same on every attempt (Standard Webhooks, "Webhook headers").
pub const WEBHOOK_ID: &str = "webhook-id";
/// When this attempt was made, in seconds since the Unix epoch.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// Proves who sent it, and that nothing was changed.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

pub use key::{Algorithm, InvalidKey, PublicKey, SigningKey, VerifyingKey};
pub use signer::Signer;
pub use verifier::{MAX_SIGNATURES, NotAuthentic, Verifier};
