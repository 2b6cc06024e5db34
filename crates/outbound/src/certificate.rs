//! When a certificate ends to be valid: one field, read from its DER (RFC 5280, section 4.1).
//!
//! Told to people, not decided by: the handshake has verified the certificate before. That is why
//! a few lines do, and no parser of all of X.509. What is no certificate has no end. Pure.

use chrono::{DateTime, NaiveDateTime, Utc};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The certificate's `notAfter`.
pub fn not_after(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (to_be_signed, _) = element(certificate, SEQUENCE)?;
    let version = element(to_be_signed, VERSION);
    let (_serial, rest) = element(version.map_or(to_be_signed, |(_, rest)| rest), INTEGER)?;
    let (_algorithm, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_not_before, rest) = time(validity)?;
    time(rest)?.0
}

/// The content of the first element, if it has that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        // The length of the length: more than three bytes are in no certificate.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    (first == tag).then_some((content, rest))
}

/// A time of either form, if it is one, and what follows it.
fn time(der: &[u8]) -> Option<(Option<DateTime<Utc>>, &[u8])> {
    if let Some((text, rest)) = element(der, GENERALIZED_TIME) {
        return Some((read(std::str::from_utf8(text).ok()?), rest));
    }
    let (text, rest) = element(der, UTC_TIME)?;
    let text = std::str::from_utf8(text).ok()?;
    // Two digits of a year that lies between 1950 and 2049.
    let century = if text < "50" { "20" } else { "19" };
    Some((read(&format!("{century}{text}")), rest))
}

fn read(text: &str) -> Option<DateTime<Utc>> {
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%SZ");
    Some(time.ok()?.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1999, 1, 1);
        params.not_after = date_time_ymd(year, 2, 3);
        let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        signed.der().to_vec()
    }

    #[test]
    fn both_forms_of_time_are_read() {
        for year in [1999, 2000, 2049, 2050, 2999] {
            let expected = format!("{year}-02-03T00:00:00Z").parse().unwrap();
            assert_eq!(not_after(&certificate(year)), Some(expected), "{year}");
        }
    }

    proptest! {
        #[test]
        fn what_is_no_certificate_does_no_harm(
            noise in prop::collection::vec(any::<u8>(), 0..64),
            cut in 0..400_usize,
            flipped in 0..400_usize,
        ) {
            not_after(&noise);
            let mut broken = CERTIFICATE.clone();
            let end = broken.len();
            broken[flipped % end] ^= 0xff;
            not_after(&broken[..cut.min(end)]);
        }
    }

    static CERTIFICATE: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| certificate(2030));
}
