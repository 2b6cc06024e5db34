//! Public keys of an issuer, as it publishes them (RFC 7517), and what they verify. Pure.
//!
//! A key verifies by one algorithm, which follows from what it is: RSA by RS256, P-256 by ES256,
//! Ed25519 by EdDSA. So no token chooses how a key is used; what is of another kind, or for another
//! use, is left out.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;

/// How many keys of a set are read.
const MAX_KEYS: usize = 100;

/// One of them, with what says which tokens it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub id: Option<String>,
    pub algorithm: Algorithm,
    public: Public,
}

/// How a token may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Es256,
    EdDsa,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Algorithm {
    /// The one of that name; `none`, HS* and all others are none.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            // The second name is RFC 9864's.
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

impl Key {
    /// Whether it signed that.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.public {
            Public::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
            Public::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Public::Ed25519(point) => {
                UnparsedPublicKey::new(&ED25519, point).verify(message, signature)
            }
        };
        verified.is_ok()
    }

    fn of(jwk: Jwk) -> Option<Self> {
        let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
        let verifies = jwk.key_ops.as_ref();
        let verifies = verifies.is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        let (algorithm, public) = Public::of(&jwk)?;
        let named = jwk.alg.as_deref().map(Algorithm::named);
        let agrees = named.is_none_or(|named| named == Some(algorithm));
        (signs && verifies && agrees).then_some(Self {
            id: jwk.kid,
            algorithm,
            public,
        })
    }
}

impl Public {
    fn of(jwk: &Jwk) -> Option<(Algorithm, Self)> {
        match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (number(jwk.n.as_ref()?)?, number(jwk.e.as_ref()?)?);
                Some((Algorithm::Rs256, Self::Rsa { n, e }))
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (coordinate(jwk.x.as_ref()?)?, coordinate(jwk.y.as_ref()?)?);
                // An uncompressed point (SEC 1, section 2.3.3).
                Some((Algorithm::Es256, Self::P256([vec![4], x, y].concat())))
            }
            ("OKP", Some("Ed25519")) => {
                let point = coordinate(jwk.x.as_ref()?)?;
                Some((Algorithm::EdDsa, Self::Ed25519(point)))
            }
            _ => None,
        }
    }
}

fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    Some(bytes[zeros..].to_vec())
}

fn coordinate(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    (bytes.len() == 32).then_some(bytes)
}

/// The keys of a set that are of use. What cannot be read among them is left out (RFC 7517,
/// section 5).
///
/// # Errors
/// That it is no set.
pub fn read(set: &[u8]) -> serde_json::Result<Vec<Key>> {
    let set: Set = serde_json::from_slice(set)?;
    let keys = set.keys.into_iter().take(MAX_KEYS);
    Ok(keys
        .filter_map(|key| Key::of(serde_json::from_value(key).ok()?))
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read_one(key: &Value) -> Option<Key> {
        let set = json!({"keys": [key]}).to_string();
        read(set.as_bytes()).expect("a set").pop()
    }

    fn with(field: &str, value: Value) -> Value {
        let x = BASE64_URL_SAFE_NO_PAD.encode([7; 32]);
        let mut key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": x});
        key[field] = value;
        key
    }

    #[test]
    fn a_key_for_something_else_is_left_out() {
        assert!(read_one(&with("use", json!("sig"))).is_some());
        assert!(read_one(&with("alg", json!("EdDSA"))).is_some());
        assert!(read_one(&with("key_ops", json!(["verify"]))).is_some());
        for (field, value) in [
            ("use", json!("enc")),
            ("alg", json!("HS256")),
            ("alg", json!("none")),
            ("alg", json!("RS256")),
            ("key_ops", json!(["sign"])),
            ("kty", json!("oct")),
            ("kty", json!("EC")),
            ("crv", json!("X25519")),
            ("crv", json!("P-256")),
            ("x", json!("short")),
            ("x", json!(null)),
            ("x", json!(1)),
        ] {
            assert_eq!(
                read_one(&with(field, value.clone())),
                None,
                "{field} {value}"
            );
        }
        assert_eq!(
            read_one(&json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a"})),
            None
        );
        assert_eq!(read_one(&json!("nonsense")), None);
    }

    #[test]
    fn what_is_no_set_is_an_error_and_a_long_one_is_cut() {
        for text in ["", "[]", "{}", r#"{"keys":1}"#] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        let many = vec![with("kid", json!("b")); MAX_KEYS + 1];
        let set = json!({"keys": many}).to_string();
        assert_eq!(read(set.as_bytes()).expect("a set").len(), MAX_KEYS);
    }
}
