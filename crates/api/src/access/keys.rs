//! API keys: how one is made, how it looks, and what of it is kept.
//!
//! A key is `tw_live_`, 8 characters that people may see, and 256 random bits. Its form is its own,
//! so that scanners find one that was published by mistake. Only its SHA-256 is kept, and it is
//! looked up by that: to a slow hash, which protects what people choose, 256 random bits give
//! nothing to protect; and how long the look-up takes tells of the hash, from which no key follows.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

/// How every key begins.
const BEGINNING: &str = "tw_live_";

/// The fewest characters of an admin key that a person chose.
pub const MIN_ADMIN_KEY_CHARS: usize = 32;

/// Whether a key that a person chose is long enough, and fits in a header.
pub fn is_strong(key: &str) -> bool {
    (MIN_ADMIN_KEY_CHARS..=1024).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
}

/// A key that was just made.
#[derive(Debug)]
pub struct NewKey {
    /// What people may see of it.
    pub prefix: String,
    /// The key itself, shown once.
    pub text: SecretString,
}

impl NewKey {
    /// Makes one.
    pub fn new() -> Self {
        let visible = u32::from_be_bytes(random());
        let prefix = format!("{BEGINNING}{visible:08x}");
        let secret = BASE64_URL_SAFE_NO_PAD.encode(random::<32>());
        Self {
            text: format!("{prefix}_{secret}").into(),
            prefix,
        }
    }
}

/// Bytes that nobody guesses.
pub fn random<const N: usize>() -> [u8; N]
where
    [u8; N]: ring::rand::RandomlyConstructable,
{
    ring::rand::generate(&ring::rand::SystemRandom::new())
        .expect("the system has random numbers")
        .expose()
}

/// What is kept of a key.
pub fn hash(key: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, key.as_bytes())
        .as_ref()
        .to_vec()
}

/// Whether it can be a key at all; what cannot is not looked up.
pub fn looks_like_one(key: &str) -> bool {
    key.starts_with(BEGINNING) && key.len() < 100
}

/// A key that is known without a database. What it is compared with is compared in constant time.
#[derive(Clone, Debug)]
pub struct KnownKey {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl KnownKey {
    /// Keeps no more of it than it takes to know it again.
    pub fn new(secret: &SecretString) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random::<32>());
        let tag = hmac::sign(&key, secret.expose_secret().as_bytes());
        Self { key, tag }
    }

    /// Whether `candidate` is this key.
    pub fn is(&self, candidate: &str) -> bool {
        hmac::verify(&self.key, candidate.as_bytes(), self.tag.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_by_its_form_and_no_two_are_alike() {
        let (one, other) = (NewKey::new(), NewKey::new());
        let text = one.text.expose_secret();
        assert!(looks_like_one(text) && text.starts_with(&one.prefix));
        assert_eq!(text.len(), "tw_live_".len() + 8 + 1 + 43);
        assert_ne!(text, other.text.expose_secret());
        assert!(!looks_like_one("Bearer") && !looks_like_one(&format!("tw_live_{:0200}", 0)));
    }

    #[test]
    fn a_known_key_is_known_again_and_does_not_print() {
        let secret = SecretString::from("a-key-that-somebody-has-chosen-himself");
        let known = KnownKey::new(&secret);
        assert!(known.is(secret.expose_secret()));
        assert!(!known.is("a-key-that-somebody-has-chosen-herself") && !known.is(""));
        assert!(!format!("{known:?}").contains("chosen"));
    }
}
