//! Seals what is secret before it is stored, and opens it again: AES-256-GCM with a random nonce for
//! each sealing (NIST SP 800-38D).
//!
//! What is sealed belongs to one subscription, whose id is authenticated with it: moved to another's
//! row it does not open; what is none's is sealed for a [`Purpose`], and opens for no other. Several
//! keys can be in force, so that one can be exchanged for another: the first seals, each opens what it
//! sealed. No error and no `Debug` shows a key or what is sealed.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// What is authenticated with every secret of a subscription, before its id.
const PURPOSE: &[u8] = b"temperature-webhooks/subscription/";

/// What something is sealed for that is no subscription's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session of the console.
    Session,
    /// A sign-in that has begun, and not come back from the provider yet.
    SignIn,
}

impl Purpose {
    /// What is authenticated with it.
    fn label(self) -> Vec<u8> {
        match self {
            Self::Session => b"temperature-webhooks/session/".to_vec(),
            Self::SignIn => b"temperature-webhooks/sign-in/".to_vec(),
        }
    }
}

/// How long the id of a key may be, in bytes.
const MAX_ID_BYTES: usize = 64;

/// The keys with which secrets are sealed.
#[derive(Clone, Debug, clap::Args)]
pub struct SecretsArgs {
    /// The keys under which secrets are stored, as `ID:KEY` separated by commas. A key is 32 bytes in
    /// base64 (`openssl rand -base64 32`). The first seals; the others open what they sealed.
    #[arg(
        long,
        env = "SECRETS_KEYS",
        hide_env_values = true,
        value_name = "ID:KEY,…"
    )]
    pub secrets_keys: SecretString,
}

/// The keys in force. Cheap to clone.
#[derive(Clone)]
pub struct Keyring(Arc<[Key]>);

struct Key {
    id: String,
    aead: LessSafeKey,
}

/// Something sealed, with the id of the key that did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Opens it.
    pub key_id: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

impl Sealed {
    /// As a text that a cookie or a URL can have: base64url, a dot, base64url.
    pub fn to_text(&self) -> String {
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        format!(
            "{}.{}",
            encoded(self.key_id.as_bytes()),
            encoded(&self.bytes)
        )
    }

    /// What [`Self::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        let (id, bytes) = text.split_once('.')?;
        let decoded = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        Some(Self {
            key_id: String::from_utf8(decoded(id)?).ok()?,
            bytes: decoded(bytes)?,
        })
    }
}

/// Why a text is no keyring. It does not show the text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyring {
    /// A key without an id, or with a long one.
    #[error("key {0} of SECRETS_KEYS must be ID:KEY, with an ID of 1 to {MAX_ID_BYTES} bytes")]
    Id(usize),
    /// A key that is not 32 bytes.
    #[error(
        "key {0} of SECRETS_KEYS must be 32 bytes in base64: openssl rand -base64 32 makes one"
    )]
    Key(usize),
    /// An id that stands twice.
    #[error("key {0} of SECRETS_KEYS has the ID of one before it")]
    Repeated(usize),
}

/// Why something sealed does not open.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed under a key that is not there.
    #[error("SECRETS_KEYS has no key with the ID {0}")]
    NoKey(String),
    /// It was changed, is another subscription's, or was sealed under another key of that id.
    #[error("what is sealed under the key {0} is not what was sealed")]
    Forged(String),
}

impl Keyring {
    /// The keys of a text as `SECRETS_KEYS` has them.
    ///
    /// # Errors
    /// Which key is wrong, by its number, and why.
    pub fn new(keys: &SecretString) -> Result<Self, InvalidKeyring> {
        let mut ring: Vec<Key> = Vec::new();
        for (text, number) in keys.expose_secret().split(',').zip(1..) {
            let key = key(text.trim(), number)?;
            if ring.iter().any(|other| other.id == key.id) {
                return Err(InvalidKeyring::Repeated(number));
            }
            ring.push(key);
        }
        Ok(Self(ring.into()))
    }

    /// The id of the key that seals.
    pub fn current(&self) -> &str {
        &self.sealing().id
    }

    /// Seals a secret of that subscription.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, which Linux does not do once it has
    /// started.
    pub fn seal(&self, subscription_id: Uuid, secret: &[u8]) -> Sealed {
        self.seal_with(of(subscription_id), secret)
    }

    /// Opens what was sealed for that subscription.
    ///
    /// # Errors
    /// That its key is not there, or that it is not what was sealed.
    pub fn open(&self, subscription_id: Uuid, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
        self.open_with(of(subscription_id), sealed)
    }

    /// Seals what is no subscription's.
    ///
    /// # Panics
    /// As [`Self::seal`].
    pub fn seal_for(&self, purpose: Purpose, secret: &[u8]) -> Sealed {
        self.seal_with(Aad::from(purpose.label()), secret)
    }

    /// Opens what was sealed for that purpose.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_for(&self, purpose: Purpose, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
        self.open_with(Aad::from(purpose.label()), sealed)
    }

    fn seal_with(&self, what: Aad<Vec<u8>>, secret: &[u8]) -> Sealed {
        let mut nonce = [0; NONCE_LEN];
        let filled = SystemRandom::new().fill(&mut nonce);
        filled.expect("the system has randomness once it has started");
        let key = self.sealing();
        let mut sealed = secret.to_vec();
        let nonce_once = Nonce::assume_unique_for_key(nonce);
        let tag = key
            .aead
            .seal_in_place_separate_tag(nonce_once, what, &mut sealed)
            .expect("secrets are shorter than 64 GiB");
        Sealed {
            key_id: key.id.clone(),
            bytes: [&nonce, &*sealed, tag.as_ref()].concat(),
        }
    }

    fn open_with(&self, what: Aad<Vec<u8>>, sealed: &Sealed) -> Result<Vec<u8>, OpenError> {
        let key = self.0.iter().find(|key| key.id == sealed.key_id);
        let key = key.ok_or_else(|| OpenError::NoKey(sealed.key_id.clone()))?;
        let forged = || OpenError::Forged(key.id.clone());
        let (nonce, rest) = sealed.bytes.split_first_chunk().ok_or_else(forged)?;
        let mut rest = rest.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key.aead.open_in_place(nonce, what, &mut rest);
        opened.map(|secret| secret.to_vec()).map_err(|_| forged())
    }

    fn sealing(&self) -> &Key {
        self.0.first().expect("a keyring has at least one key")
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|key| &key.id);
        f.debug_set().entries(ids).finish()
    }
}

fn key(text: &str, number: usize) -> Result<Key, InvalidKeyring> {
    let (id, key) = text.split_once(':').ok_or(InvalidKeyring::Id(number))?;
    if !(1..=MAX_ID_BYTES).contains(&id.len()) {
        return Err(InvalidKeyring::Id(number));
    }
    let key = STANDARD.decode(key).ok();
    let key = key.and_then(|key| UnboundKey::new(&AES_256_GCM, &key).ok());
    Ok(Key {
        id: id.to_owned(),
        aead: LessSafeKey::new(key.ok_or(InvalidKeyring::Key(number))?),
    })
}

fn of(subscription_id: Uuid) -> Aad<Vec<u8>> {
    Aad::from([PURPOSE, subscription_id.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn keyring(keys: &str) -> Keyring {
        Keyring::new(&keys.into()).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_subscription_and_for_no_other() {
        let (ring, id) = (keyring(OLD), Uuid::now_v7());
        let sealed = ring.seal(id, b"secret");
        assert_eq!(ring.open(id, &sealed).unwrap(), b"secret");
        assert!(!sealed.bytes.windows(6).any(|bytes| bytes == b"secret"));
        let other = ring.open(Uuid::now_v7(), &sealed).unwrap_err();
        assert_eq!(other, OpenError::Forged("old".into()));
        assert_ne!(ring.seal(id, b"secret"), sealed, "each has a nonce");
    }

    #[test]
    fn what_is_sealed_for_one_purpose_opens_for_no_other() {
        let (ring, id) = (keyring(OLD), Uuid::nil());
        let session = ring.seal_for(Purpose::Session, b"session");
        assert_eq!(
            ring.open_for(Purpose::Session, &session).unwrap(),
            b"session"
        );
        ring.open_for(Purpose::SignIn, &session).unwrap_err();
        ring.open(id, &session).unwrap_err();
        let secret = ring.seal(id, b"secret");
        ring.open_for(Purpose::Session, &secret).unwrap_err();
        let sealed = Sealed::from_text(&session.to_text()).unwrap();
        assert_eq!(sealed, session);
        assert_eq!(Sealed::from_text("no"), None);
        assert_eq!(Sealed::from_text("b2xk.?"), None);
    }

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let (ring, id) = (keyring(OLD), Uuid::now_v7());
        let sealed = ring.seal(id, b"secret");
        for at in 0..sealed.bytes.len() {
            let mut forged = sealed.clone();
            forged.bytes[at] ^= 1;
            ring.open(id, &forged).unwrap_err();
        }
        for length in 0..sealed.bytes.len() {
            let mut short = sealed.clone();
            short.bytes.truncate(length);
            ring.open(id, &short).unwrap_err();
        }
    }

    #[test]
    fn the_first_key_seals_and_each_opens_what_it_sealed() {
        let (id, both) = (Uuid::now_v7(), keyring(&format!("{NEW}, {OLD}")));
        let sealed = keyring(OLD).seal(id, b"secret");
        assert_eq!(both.open(id, &sealed).unwrap(), b"secret");
        assert_eq!(both.seal(id, b"secret").key_id, "new");
        let missing = keyring(NEW).open(id, &sealed).unwrap_err();
        assert_eq!(missing, OpenError::NoKey("old".into()));
    }

    #[test]
    fn what_is_no_keyring_is_told_by_its_number_and_not_shown() {
        let short = format!("{NEW},hunter2:AAAA");
        let twice = format!("{NEW},{NEW}");
        for (keys, why) in [
            ("", InvalidKeyring::Id(1)),
            ("hunter2", InvalidKeyring::Id(1)),
            (":AAAA", InvalidKeyring::Id(1)),
            (&*short, InvalidKeyring::Key(2)),
            (&*twice, InvalidKeyring::Repeated(2)),
        ] {
            let error = Keyring::new(&keys.into()).unwrap_err();
            assert_eq!(error, why);
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(format!("{:?}", keyring(OLD)), r#"{"old"}"#);
    }
}
