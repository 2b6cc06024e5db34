//! The assertion by which a client proves who it is without a secret that travels (RFC 7523, section
//! 2.2): a JWT that it signs with ES256 or RS256 (RFC 7518, section 3.1).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// How long an assertion is good, in seconds.
const LIFE_SECONDS: i64 = 60;

/// A private key of a kind that signs.
pub enum SigningKey {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

/// What an assertion says.
pub struct Claims<'a> {
    /// Whose it is.
    pub client_id: &'a str,
    /// For whom it is: the token endpoint.
    pub audience: &'a str,
    /// By which the token endpoint finds the public key.
    pub key_id: Option<&'a str>,
    pub now: DateTime<Utc>,
}

impl SigningKey {
    /// Reads a key in PEM.
    ///
    /// # Errors
    /// Why it is none that signs, without showing it.
    pub fn from_pem(pem: &str) -> Result<Self, &'static str> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes());
        match key.map_err(|_| "must be a private key in PEM")? {
            PrivateKeyDer::Pkcs8(der) => Self::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der())
                .map(Self::Rs256)
                .map_err(|_| "must be an RSA key of 2048 to 4096 bits"),
            _ => Err("must be in PKCS #8: `openssl pkcs8 -topk8 -nodes` makes it so"),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, &'static str> {
        let random = SystemRandom::new();
        let ecdsa = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
        ecdsa
            .map(Self::Es256)
            .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Self::Rs256))
            .map_err(|_| "must be a key of P-256, or of RSA with 2048 to 4096 bits")
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        }
    }

    fn sign(&self, content: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Es256(key) => {
                let signature = key.sign(&random, content).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, content, &mut signature)
                    .ok()?;
                Some(signature)
            }
        }
    }

    /// The assertion, which is good once; `None` where the key signs nothing.
    pub fn assertion(&self, claims: &Claims<'_>) -> Option<String> {
        let mut header = Map::from_iter([
            ("alg".to_owned(), json!(self.algorithm())),
            ("typ".to_owned(), json!("JWT")),
        ]);
        if let Some(key_id) = claims.key_id {
            header.insert("kid".into(), json!(key_id));
        }
        let issued_at = claims.now.timestamp();
        let body = json!({
            "iss": claims.client_id, "sub": claims.client_id, "aud": claims.audience,
            "jti": Uuid::new_v4(), "iat": issued_at, "exp": issued_at + LIFE_SECONDS,
        });
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let content = format!("{}.{}", part(&Value::Object(header)), part(&body));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(content.as_bytes())?);
        Some(format!("{content}.{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_assertion_says_who_asks_whom_once_and_for_a_minute() {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let key = SigningKey::from_pem(&pair.serialize_pem()).unwrap();
        let claims = Claims {
            client_id: "sensor",
            audience: "https://id.example.com/token",
            key_id: Some("k1"),
            now: DateTime::from_timestamp(1_000, 0).unwrap(),
        };
        let assertion = key.assertion(&claims).unwrap();
        let parts: Vec<&str> = assertion.split('.').collect();
        let part = |at: usize| URL_SAFE_NO_PAD.decode(parts[at]).unwrap();
        let json = |at| serde_json::from_slice::<Value>(&part(at)).unwrap();
        assert_eq!(json(0), json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}));
        let mut body = json(1);
        let id = body["jti"].take();
        assert_eq!(
            body,
            json!({
                "iss": "sensor", "sub": "sensor", "aud": "https://id.example.com/token",
                "jti": null, "iat": 1000, "exp": 1060
            })
        );
        let content = format!("{}.{}", parts[0], parts[1]);
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key_raw());
        public.verify(content.as_bytes(), &part(2)).unwrap();
        let again = key.assertion(&claims).unwrap();
        let body = URL_SAFE_NO_PAD.decode(again.split('.').nth(1).unwrap());
        assert_ne!(
            serde_json::from_slice::<Value>(&body.unwrap()).unwrap()["jti"],
            id
        );
    }

    #[test]
    fn what_is_no_key_that_signs_is_refused_and_not_shown() {
        let ed25519 = KeyPair::generate_for(&PKCS_ED25519)
            .unwrap()
            .serialize_pem();
        for (pem, why) in [
            ("hunter2", "in PEM"),
            (
                "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n",
                "P-256",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\naHVudGVyMg==\n-----END RSA PRIVATE KEY-----\n",
                "2048",
            ),
            (
                "-----BEGIN EC PRIVATE KEY-----\naHVudGVyMg==\n-----END EC PRIVATE KEY-----\n",
                "PKCS #8",
            ),
            (&*ed25519, "P-256"),
        ] {
            let error = SigningKey::from_pem(pem).err().unwrap();
            assert!(error.contains(why) && !error.contains("hunter"), "{error}");
        }
    }
}
