//! What deliveries are signed with: which algorithm, and a key for it.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use signature::{Algorithm, PublicKey, SigningKey};
use utoipa::ToSchema;

use super::SigningSecret;
use crate::error::ApiError;

/// How deliveries are signed (Standard Webhooks, "Signature scheme").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SigningAlgorithm {
    /// `v1`: both sides have the secret.
    #[default]
    HmacSha256,
    /// `v1a`: the private key stays here, the public one is shown to everybody.
    Ed25519,
}

impl From<Algorithm> for SigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::HmacSha256 => Self::HmacSha256,
            Algorithm::Ed25519 => Self::Ed25519,
        }
    }
}

/// A key that is to sign.
pub struct NewKey {
    text: SecretString,
    public: Option<PublicKey>,
}

impl NewKey {
    /// The secret that is given, or a key that is made now.
    ///
    /// # Errors
    /// That one is given where none may be: an Ed25519 key is nobody's but ours.
    pub fn of(algorithm: SigningAlgorithm, given: Option<SigningSecret>) -> Result<Self, ApiError> {
        match (algorithm, given) {
            (SigningAlgorithm::HmacSha256, given) => {
                let secret = given.unwrap_or_else(SigningSecret::generate);
                Ok(Self {
                    text: secret.into_inner(),
                    public: None,
                })
            }
            (SigningAlgorithm::Ed25519, None) => Ok(Self::ed25519()),
            (SigningAlgorithm::Ed25519, Some(_)) => Err(ApiError::InvalidField {
                pointer: "/signing_secret".into(),
                detail: "must not be given for ed25519, whose key is made here: say \
                         `\"signing_algorithm\": \"hmac_sha256\"` to sign with a secret"
                    .into(),
            }),
        }
    }

    fn ed25519() -> Self {
        let text = SigningKey::generate(Algorithm::Ed25519);
        let key: Result<SigningKey, _> = text.expose_secret().parse();
        let public = key.expect("a key that was just made is one").public_key();
        Self { text, public }
    }

    /// How it signs.
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.public {
            Some(_) => SigningAlgorithm::Ed25519,
            None => SigningAlgorithm::HmacSha256,
        }
    }

    /// As text.
    pub fn text(&self) -> SecretString {
        self.text.clone()
    }

    /// The half of it that is no secret, where it has one.
    pub fn public(&self) -> Option<PublicKey> {
        self.public
    }

    /// What the caller is told this once: a secret that both sides need.
    pub fn shared(&self) -> Option<String> {
        let is_shared = self.public.is_none();
        is_shared.then(|| self.text.expose_secret().to_owned())
    }
}
