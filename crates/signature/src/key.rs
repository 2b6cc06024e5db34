//! Keys, as the text in which they are exchanged (Standard Webhooks, "Signature scheme").
//!
//! | text | what it is | base64 of |
//! | --- | --- | --- |
//! | `whsec_…` | the secret of both sides, for HMAC-SHA256 | 24 to 64 bytes |
//! | `whsk_…` | an Ed25519 key pair, the sender's | a seed of 32 bytes, with or without the public key |
//! | `whpk_…` | an Ed25519 public key, the receiver's | 32 bytes |
//!
//! No error and no `Debug` shows a secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use ring::{error::KeyRejected, hmac};
use secrecy::SecretString;

const SECRET: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";

const SEED_BYTES: usize = 32;
const PUBLIC_BYTES: usize = 32;

/// How many bytes a new `whsec_` secret has.
const NEW_SECRET_BYTES: usize = 32;

/// Padding is written; where it was left out it is not missed.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a webhook is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `v1`: both sides have the secret.
    HmacSha256,
    /// `v1a`: only the sender can sign.
    Ed25519,
}

impl Algorithm {
    /// What its signatures begin with, before the comma.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::HmacSha256 => "v1",
            Self::Ed25519 => "v1a",
        }
    }
}

/// Signs: the secret of an HMAC, or an Ed25519 key pair.
pub enum SigningKey {
    /// Read from `whsec_…`.
    HmacSha256(hmac::Key),
    /// Read from `whsk_…`.
    Ed25519(Ed25519KeyPair),
}

/// Verifies what a [`SigningKey`] signed.
#[derive(Clone)]
pub enum VerifyingKey {
    /// Read from `whsec_…`: the same secret.
    HmacSha256(hmac::Key),
    /// Read from `whpk_…`.
    Ed25519(PublicKey),
}

/// An Ed25519 public key. Displayed as `whpk_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_BYTES]);

/// Why a text is no key. It does not show the text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// It is of none of the kinds that are asked for.
    #[error("it must begin with {0}")]
    Prefix(&'static str),
    /// What follows the prefix is broken.
    #[error("what follows {0} is not base64")]
    Encoding(&'static str),
    /// It has too few or too many bytes.
    #[error("what follows {0} must be {1} bytes in base64, not {2}")]
    Length(&'static str, &'static str, usize),
    /// Seed and public key are not of one pair.
    #[error("the two halves of this {PRIVATE} key do not belong together")]
    Mismatch,
}

impl SigningKey {
    /// A new random key, as text.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, which Linux does not do once it has
    /// started.
    pub fn generate(algorithm: Algorithm) -> SecretString {
        match algorithm {
            Algorithm::HmacSha256 => text(SECRET, &random::<NEW_SECRET_BYTES>()),
            Algorithm::Ed25519 => {
                let seed = random::<SEED_BYTES>();
                let pair = Ed25519KeyPair::from_seed_unchecked(&seed);
                let pair = pair.expect("a seed of this length is one");
                text(PRIVATE, &[&seed, pair.public_key().as_ref()].concat())
            }
        }
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::HmacSha256(_) => Algorithm::HmacSha256,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// What receivers need to verify its signatures; a secret has none that could be told.
    ///
    /// # Panics
    /// Never: a public key has 32 bytes.
    pub fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::HmacSha256(_) => None,
            Self::Ed25519(pair) => {
                let bytes = pair.public_key().as_ref().try_into();
                Some(PublicKey(bytes.expect("public keys have this length")))
            }
        }
    }
}

impl PublicKey {
    /// The 32 bytes of RFC 8032, as `x` of a JWK has them (RFC 8037).
    pub fn as_bytes(&self) -> &[u8; PUBLIC_BYTES] {
        &self.0
    }
}

impl FromStr for SigningKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if let Some(encoded) = text.strip_prefix(SECRET) {
            return secret(encoded).map(Self::HmacSha256);
        }
        let encoded = text.strip_prefix(PRIVATE);
        let encoded = encoded.ok_or(InvalidKey::Prefix("whsec_ or whsk_"))?;
        pair(&decode(PRIVATE, encoded)?).map(Self::Ed25519)
    }
}

impl FromStr for VerifyingKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        if let Some(encoded) = text.strip_prefix(SECRET) {
            return secret(encoded).map(Self::HmacSha256);
        }
        let public = text.parse().map(Self::Ed25519);
        public.map_err(|error| match error {
            InvalidKey::Prefix(_) => InvalidKey::Prefix("whsec_ or whpk_"),
            error => error,
        })
    }
}

impl FromStr for PublicKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let encoded = text.strip_prefix(PUBLIC);
        let bytes = decode(PUBLIC, encoded.ok_or(InvalidKey::Prefix(PUBLIC))?)?;
        Self::try_from(&*bytes)
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = InvalidKey;

    /// From the 32 bytes of [`PublicKey::as_bytes`].
    fn try_from(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let sized = bytes.try_into().map(Self);
        sized.map_err(|_| InvalidKey::Length(PUBLIC, "32", bytes.len()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", BASE64.encode(self.0))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.algorithm())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HmacSha256(_) => f.write_str("VerifyingKey(HmacSha256)"),
            Self::Ed25519(key) => write!(f, "VerifyingKey({key})"),
        }
    }
}

fn secret(encoded: &str) -> Result<hmac::Key, InvalidKey> {
    let bytes = decode(SECRET, encoded)?;
    match bytes.len() {
        24..=64 => Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
        length => Err(InvalidKey::Length(SECRET, "24 to 64", length)),
    }
}

/// The public half, where it is there, is held against the seed.
fn pair(bytes: &[u8]) -> Result<Ed25519KeyPair, InvalidKey> {
    let mismatch = |_: KeyRejected| InvalidKey::Mismatch;
    match bytes.split_at_checked(SEED_BYTES) {
        Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed).map_err(mismatch),
        Some((seed, public)) if public.len() == PUBLIC_BYTES => {
            Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(mismatch)
        }
        _ => Err(InvalidKey::Length(PRIVATE, "32 or 64", bytes.len())),
    }
}

fn decode(prefix: &'static str, encoded: &str) -> Result<Vec<u8>, InvalidKey> {
    let decoded = BASE64.decode(encoded);
    decoded.map_err(|_| InvalidKey::Encoding(prefix))
}

fn text(prefix: &str, bytes: &[u8]) -> SecretString {
    format!("{prefix}{}", BASE64.encode(bytes)).into()
}

fn random<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.expect("the system has randomness once it has started");
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;

    fn encoded(prefix: &str, bytes: usize) -> String {
        format!("{prefix}{}", BASE64.encode(vec![7; bytes]))
    }

    #[test]
    fn a_new_key_is_one_and_no_two_are_the_same() {
        for algorithm in [Algorithm::HmacSha256, Algorithm::Ed25519] {
            let one = SigningKey::generate(algorithm);
            let key: SigningKey = one.expose_secret().parse().unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let another = SigningKey::generate(algorithm);
            assert_ne!(one.expose_secret(), another.expose_secret());
        }
    }

    #[test]
    fn a_pair_is_read_with_its_public_half_and_without() {
        let text = SigningKey::generate(Algorithm::Ed25519);
        let bytes = BASE64
            .decode(&text.expose_secret()[PRIVATE.len()..])
            .unwrap();
        let seed = format!("{PRIVATE}{}", BASE64.encode(&bytes[..SEED_BYTES]));
        let [whole, half] = [text.expose_secret(), &seed].map(|text| {
            let key: SigningKey = text.parse().unwrap();
            key.public_key().unwrap()
        });
        assert_eq!(whole, half);
        assert_eq!(whole.as_bytes(), &bytes[SEED_BYTES..]);
        assert_eq!(whole.to_string().parse(), Ok(whole));
    }

    #[test]
    fn halves_of_two_pairs_are_no_key() {
        let [one, other] = [0, 1].map(|_| SigningKey::generate(Algorithm::Ed25519));
        let bytes = |text: &SecretString| {
            BASE64
                .decode(&text.expose_secret()[PRIVATE.len()..])
                .unwrap()
        };
        let mixed = [&bytes(&one)[..SEED_BYTES], &bytes(&other)[SEED_BYTES..]].concat();
        let refused = text(PRIVATE, &mixed).expose_secret().parse::<SigningKey>();
        assert_eq!(refused.unwrap_err(), InvalidKey::Mismatch);
    }

    #[test]
    fn what_is_no_key_is_told_why() {
        for (text, why) in [
            ("", "must begin with whsec_ or whsk_"),
            ("secret", "must begin with whsec_ or whsk_"),
            ("whpk_AAAA", "must begin with whsec_ or whsk_"),
            ("whsec_not base64!", "what follows whsec_ is not base64"),
            (&encoded(SECRET, 23), "24 to 64 bytes in base64, not 23"),
            (&encoded(SECRET, 65), "24 to 64 bytes in base64, not 65"),
            (&encoded(PRIVATE, 31), "32 or 64 bytes in base64, not 31"),
            (&encoded(PRIVATE, 63), "32 or 64 bytes in base64, not 63"),
        ] {
            let error = text.parse::<SigningKey>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        for (text, why) in [
            (&*encoded(PRIVATE, 32), "must begin with whsec_ or whpk_"),
            (&encoded(PUBLIC, 33), "32 bytes in base64, not 33"),
        ] {
            let error = text.parse::<VerifyingKey>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn both_ends_of_the_length_of_a_secret_are_taken_and_padding_is_not_missed() {
        for bytes in [24, 25, 64] {
            let text = encoded(SECRET, bytes);
            text.parse::<SigningKey>().unwrap();
            text.trim_end_matches('=').parse::<VerifyingKey>().unwrap();
        }
    }

    #[test]
    fn no_key_is_printed() {
        for algorithm in [Algorithm::HmacSha256, Algorithm::Ed25519] {
            let text = SigningKey::generate(algorithm);
            let key: SigningKey = text.expose_secret().parse().unwrap();
            assert_eq!(format!("{key:?}"), format!("SigningKey({algorithm:?})"));
            assert!(!format!("{text:?}").contains("wh"));
        }
    }

    proptest! {
        #[test]
        fn no_text_does_harm_and_no_error_shows_it(secret in "[a-zA-Z0-9+/=]{9,120}") {
            for prefix in [SECRET, PRIVATE, PUBLIC, ""] {
                let text = format!("{prefix}{secret}");
                if let Err(error) = text.parse::<SigningKey>() {
                    prop_assert!(!error.to_string().contains(&secret));
                }
                if let Err(error) = text.parse::<VerifyingKey>() {
                    prop_assert!(!error.to_string().contains(&secret));
                }
            }
        }
    }
}
