//! Tokens for deliveries, by client credentials (RFC 6749, section 4.4).
//!
//! A [`Client`] is who asks, made of what a subscription holds. `Tokens` keeps what was given, for
//! all that ask as the same client: it is fetched by one task at a time, renewed while it is used,
//! and where the token endpoint fails, who asks is told when to ask again, at once and without a
//! request. What is decided about that is pure, in `source`. Token requests go through the same
//! connector as deliveries, and so by the same rules of egress. Neither an error nor a `Debug` shows
//! a token or a secret.

mod assertion;
mod error;
mod request;
mod response;
mod source;
mod tokens;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use common::oauth2::{ClientAuth, ClientCredentials, Invalid};
use http::Uri;
use ring::digest::{SHA256, digest};
use secrecy::ExposeSecret;

pub use self::error::{ErrorCode, TokenError, TokenFailure};
pub use self::request::basic;
pub use self::response::Grant;
pub(crate) use self::tokens::{Postponed, Renewal, Tokens};

use self::assertion::SigningKey;
use crate::target;

/// How long a request for a token may take.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells clients apart that do not ask for the same: by all they have, secrets included.
type Key = [u8; 32];

/// Who asks for tokens, where and how. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    credentials: ClientCredentials,
    uri: Uri,
    key: Key,
}

impl Client {
    /// The client of those credentials.
    ///
    /// # Errors
    /// That its token endpoint is none.
    ///
    /// # Panics
    /// Never: credentials have text keys only.
    pub fn new(credentials: &ClientCredentials) -> Result<Self, Invalid> {
        let uri = target::endpoint(&credentials.token_url)
            .map_err(|error| Invalid::new("token_url", error.to_string()))?;
        let plain = serde_json::to_vec(credentials).expect("it has text keys only");
        let mut key = Key::default();
        key.copy_from_slice(digest(&SHA256, &plain).as_ref());
        Ok(Self(Arc::new(Inner {
            credentials: credentials.clone(),
            uri,
            key,
        })))
    }
}

/// Whether the private key of that method is one that can sign, where it has one.
///
/// # Errors
/// Why it is none, without showing it.
pub fn check_private_key(auth: &ClientAuth) -> Result<(), Invalid> {
    let ClientAuth::PrivateKeyJwt { private_key, .. } = auth else {
        return Ok(());
    };
    SigningKey::from_pem(private_key.expose_secret())
        .map(drop)
        .map_err(|detail| Invalid::new("private_key", detail))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client")
            .field(&self.0.credentials.client_id)
            .finish()
    }
}
