//! What is taken, and that nothing else is.

use http::HeaderValue;
use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use crate::{Signer, SigningKey};

const TOLERANCE: Duration = Duration::from_mins(5);
const NOW: i64 = 1_764_000_000;
const BODY: &[u8] = br#"{"city":"Tokyo"}"#;

/// A new key: to sign with, and to verify with.
fn keys(algorithm: Algorithm) -> (SigningKey, VerifyingKey) {
    let text = SigningKey::generate(algorithm);
    let signing: SigningKey = text.expose_secret().parse().unwrap();
    let verifying = match signing.public_key() {
        Some(public) => public.to_string(),
        None => text.expose_secret().to_owned(),
    };
    (signing, verifying.parse().unwrap())
}

fn signed(signer: &Signer, timestamp: i64) -> HeaderMap {
    let signature = signer.sign("event-1", timestamp, BODY).unwrap();
    [
        (WEBHOOK_ID, HeaderValue::from_static("event-1")),
        (WEBHOOK_TIMESTAMP, timestamp.into()),
        (WEBHOOK_SIGNATURE, signature),
    ]
    .into_iter()
    .map(|(name, value)| (http::HeaderName::from_static(name), value))
    .collect()
}

fn verify(verifier: &Verifier, headers: &HeaderMap) -> Result<(), NotAuthentic> {
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    verifier.verify(headers, BODY, now)
}

#[test]
fn what_was_signed_with_either_kind_is_taken_and_with_another_key_is_not() {
    for algorithm in [Algorithm::HmacSha256, Algorithm::Ed25519] {
        let (signing, verifying) = keys(algorithm);
        let headers = signed(&Signer::new([(signing, None)]), NOW);
        assert_eq!(
            verify(&Verifier::new([verifying], TOLERANCE), &headers),
            Ok(())
        );
        for other in [Algorithm::HmacSha256, Algorithm::Ed25519] {
            let verifier = Verifier::new([keys(other).1], TOLERANCE);
            assert_eq!(verify(&verifier, &headers), Err(NotAuthentic::Signature));
        }
    }
}

#[test]
fn while_keys_are_exchanged_a_receiver_with_either_takes_it() {
    let (old, old_verifying) = keys(Algorithm::HmacSha256);
    let (new, new_verifying) = keys(Algorithm::Ed25519);
    let end = DateTime::from_timestamp(NOW, 0);
    let signer = Signer::new([(new, None), (old, end)]);
    let [with_old, with_new] =
        [old_verifying, new_verifying].map(|key| Verifier::new([key], TOLERANCE));
    let during = signed(&signer, NOW - 1);
    assert_eq!(verify(&with_old, &during), Ok(()));
    assert_eq!(verify(&with_new, &during), Ok(()));
    let after = signed(&signer, NOW);
    assert_eq!(verify(&with_old, &after), Err(NotAuthentic::Signature));
    assert_eq!(verify(&with_new, &after), Ok(()));
}

#[test]
fn a_time_that_is_not_near_now_is_refused_on_both_sides() {
    let (signing, verifying) = keys(Algorithm::HmacSha256);
    let signer = Signer::new([(signing, None)]);
    let verifier = Verifier::new([verifying], TOLERANCE);
    for (timestamp, verdict) in [
        (NOW - 300, Ok(())),
        (NOW + 300, Ok(())),
        (NOW - 301, Err(NotAuthentic::TooOld)),
        (NOW + 301, Err(NotAuthentic::TooNew)),
        (i64::MIN, Err(NotAuthentic::TooOld)),
        (i64::MAX, Err(NotAuthentic::TooNew)),
    ] {
        assert_eq!(
            verify(&verifier, &signed(&signer, timestamp)),
            verdict,
            "{timestamp}"
        );
    }
}

#[test]
fn what_is_missing_or_unreadable_is_named() {
    let (signing, verifying) = keys(Algorithm::HmacSha256);
    let headers = signed(&Signer::new([(signing, None)]), NOW);
    let verifier = Verifier::new([verifying], TOLERANCE);
    for name in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
        let mut without = headers.clone();
        without.remove(name);
        assert_eq!(
            verify(&verifier, &without),
            Err(NotAuthentic::Missing(name))
        );
        without.insert(name, HeaderValue::from_static(""));
        assert_eq!(
            verify(&verifier, &without),
            Err(NotAuthentic::Missing(name))
        );
    }
    for timestamp in [
        "now",
        "1764000000.0",
        "0x1",
        "99999999999999999999",
        "\u{fc}",
    ] {
        let mut broken = headers.clone();
        broken.insert(
            WEBHOOK_TIMESTAMP,
            HeaderValue::from_bytes(timestamp.as_bytes()).unwrap(),
        );
        assert_eq!(verify(&verifier, &broken), Err(NotAuthentic::Timestamp));
    }
}

#[test]
fn signatures_of_other_versions_beside_it_do_no_harm_and_too_many_are_not_looked_at() {
    let (signing, verifying) = keys(Algorithm::HmacSha256);
    let mut headers = signed(&Signer::new([(signing, None)]), NOW);
    let verifier = Verifier::new([verifying], TOLERANCE);
    let right = headers[WEBHOOK_SIGNATURE].to_str().unwrap().to_owned();
    for (header, verdict) in [
        (format!("v0,AAAA v1a,{} v1 , {right}", &right[3..]), Ok(())),
        (format!("{right} v1,%%%"), Ok(())),
        (right.replace("v1", "v2"), Err(NotAuthentic::Signature)),
        (right.replace("v1,", ""), Err(NotAuthentic::Signature)),
        ("v1,".into(), Err(NotAuthentic::Signature)),
        (
            format!("{}{right}", "v1,AAAA ".repeat(MAX_SIGNATURES - 1)),
            Ok(()),
        ),
        (
            format!("{}{right}", "v1,AAAA ".repeat(MAX_SIGNATURES)),
            Err(NotAuthentic::TooMany),
        ),
    ] {
        headers.insert(WEBHOOK_SIGNATURE, header.parse().unwrap());
        assert_eq!(verify(&verifier, &headers), verdict, "{header}");
    }
}

proptest! {
    #[test]
    fn one_changed_byte_anywhere_is_noticed(
        body in prop::collection::vec(any::<u8>(), 1..200),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        asymmetric in any::<bool>(),
    ) {
        let algorithm = if asymmetric { Algorithm::Ed25519 } else { Algorithm::HmacSha256 };
        let (signing, verifying) = keys(algorithm);
        let signer = Signer::new([(signing, None)]);
        let verifier = Verifier::new([verifying], TOLERANCE);
        let now = DateTime::from_timestamp(NOW, 0).unwrap();
        let mut headers = signed(&signer, NOW);
        headers.insert(WEBHOOK_SIGNATURE, signer.sign("event-1", NOW, &body).unwrap());
        prop_assert_eq!(verifier.verify(&headers, &body, now), Ok(()));
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= flip;
        prop_assert_eq!(verifier.verify(&headers, &changed, now), Err(NotAuthentic::Signature));
        headers.insert(WEBHOOK_TIMESTAMP, (NOW + 1).into());
        prop_assert_eq!(verifier.verify(&headers, &body, now), Err(NotAuthentic::Signature));
        headers.insert(WEBHOOK_TIMESTAMP, NOW.into());
        headers.insert(WEBHOOK_ID, HeaderValue::from_static("event-2"));
        prop_assert_eq!(verifier.verify(&headers, &body, now), Err(NotAuthentic::Signature));
    }
}
