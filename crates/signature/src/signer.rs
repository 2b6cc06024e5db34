//! Signs for one receiver, with each key that is in force: two while one is exchanged for another.

use std::sync::Arc;

use base64::Engine;
use chrono::{DateTime, Utc};
use http::HeaderValue;
use ring::hmac;

use crate::key::{BASE64, SigningKey};

/// Longer than a signature with its version, in base64.
const SIGNATURE_CHARS: usize = 96;

/// The keys of one receiver, ready to sign. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signer(Arc<[Timed]>);

#[derive(Debug)]
struct Timed {
    key: SigningKey,
    ends_at: Option<DateTime<Utc>>,
}

impl Signer {
    /// One that signs with these keys, in this order; with those that have an end, until then.
    pub fn new(keys: impl IntoIterator<Item = (SigningKey, Option<DateTime<Utc>>)>) -> Self {
        let timed = |(key, ends_at)| Timed { key, ends_at };
        Self(keys.into_iter().map(timed).collect())
    }

    /// The value of `webhook-signature` (Standard Webhooks, "Webhook headers"); `None` where no key
    /// is in force. `timestamp` is that of `webhook-timestamp`, in seconds since the Unix epoch.
    ///
    /// An `id` with a full stop in it leaves open where it ends and `timestamp` begins: who may
    /// choose ids can have one signature fit two requests.
    ///
    /// # Panics
    /// Never: base64 fits in a header.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<HeaderValue> {
        let metadata = format!("{id}.{timestamp}.");
        let mut header = String::with_capacity(self.0.len() * SIGNATURE_CHARS);
        for timed in self.0.iter().filter(|timed| timed.signs_at(timestamp)) {
            if !header.is_empty() {
                header.push(' ');
            }
            timed.key.sign(metadata.as_bytes(), body, &mut header);
        }
        let header = (!header.is_empty()).then_some(header)?;
        Some(HeaderValue::try_from(header).expect("base64 fits in a header"))
    }
}

impl Timed {
    fn signs_at(&self, timestamp: i64) -> bool {
        self.ends_at.is_none_or(|end| timestamp < end.timestamp())
    }
}

impl SigningKey {
    /// Appends its version and its signature.
    fn sign(&self, metadata: &[u8], body: &[u8], header: &mut String) {
        header.push_str(self.algorithm().version());
        header.push(',');
        match self {
            Self::HmacSha256(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(metadata);
                context.update(body);
                BASE64.encode_string(context.sign(), header);
            }
            Self::Ed25519(pair) => {
                let signature = pair.sign(&[metadata, body].concat());
                BASE64.encode_string(signature, header);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector that the libraries of Standard Webhooks share.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn key(text: &str) -> SigningKey {
        text.parse().unwrap()
    }

    #[test]
    fn the_published_test_vector_is_met() {
        let signer = Signer::new([(key(SECRET), None)]);
        assert_eq!(signer.sign(ID, TIMESTAMP, BODY).unwrap(), SIGNATURE);
    }

    #[test]
    fn an_ed25519_signature_is_that_of_rfc_8032_over_the_same_content() {
        // RFC 8032, section 7.1, test 2: the seed.
        let text = "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=";
        let signer = Signer::new([(key(text), None)]);
        let header = signer.sign("a", 1, b"{}").unwrap();
        let signature = header.to_str().unwrap().strip_prefix("v1a,").unwrap();
        let public = key(text).public_key().unwrap();
        assert_eq!(
            public.to_string(),
            "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="
        );
        let verifying =
            ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public.as_bytes());
        let signature = BASE64.decode(signature).unwrap();
        verifying.verify(b"a.1.{}", &signature).unwrap();
    }

    #[test]
    fn a_key_signs_until_its_end_and_each_that_is_in_force_does() {
        let old = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let end = DateTime::from_timestamp(TIMESTAMP, 0);
        let signer = Signer::new([(key(SECRET), None), (key(old), end)]);
        let header_at = |timestamp| {
            let header = signer.sign(ID, timestamp, BODY).unwrap();
            header.to_str().unwrap().to_owned()
        };
        assert_eq!(header_at(TIMESTAMP), SIGNATURE);
        assert_eq!(header_at(TIMESTAMP - 1).matches("v1,").count(), 2);
        assert_eq!(header_at(TIMESTAMP - 1).split(' ').count(), 2);
    }

    #[test]
    fn where_no_key_is_in_force_nothing_is_header_at() {
        let over = DateTime::from_timestamp(TIMESTAMP, 0);
        for keys in [vec![], vec![(key(SECRET), over)]] {
            assert_eq!(Signer::new(keys).sign(ID, TIMESTAMP, BODY), None);
        }
    }
}
