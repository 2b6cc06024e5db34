//! What a certificate says of itself: a few fields, read from its DER (RFC 5280, section 4.1).
//!
//! Told to people, not decided by: who verifies a certificate does it by other means. That is why
//! some lines do, and no parser of all of X.509. What is no certificate says nothing. Pure.

mod name;

use chrono::{DateTime, NaiveDateTime, Utc};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as RFC 4514 writes names.
    pub subject: String,
    /// Its number with its issuer, in hexadecimal digits.
    pub serial: String,
    /// From when it is valid.
    pub not_before: DateTime<Utc>,
    /// Until when it is.
    pub not_after: DateTime<Utc>,
}

impl Certificate {
    /// Reads it from its DER.
    pub fn read(der: &[u8]) -> Option<Self> {
        let fields = Fields::of(der)?;
        Some(Self {
            subject: name::written(fields.subject)?,
            serial: name::hexadecimal(fields.serial),
            not_before: fields.not_before?,
            not_after: fields.not_after?,
        })
    }
}

/// The certificate's `notAfter`.
pub fn not_after(certificate: &[u8]) -> Option<DateTime<Utc>> {
    Fields::of(certificate)?.not_after
}

struct Fields<'a> {
    serial: &'a [u8],
    subject: &'a [u8],
    not_before: Option<DateTime<Utc>>,
    not_after: Option<DateTime<Utc>>,
}

impl<'a> Fields<'a> {
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (to_be_signed, _) = element(certificate, SEQUENCE)?;
        let version = element(to_be_signed, VERSION);
        let (serial, rest) = element(version.map_or(to_be_signed, |(_, rest)| rest), INTEGER)?;
        let (_algorithm, rest) = element(rest, SEQUENCE)?;
        let (_issuer, rest) = element(rest, SEQUENCE)?;
        let (validity, rest) = element(rest, SEQUENCE)?;
        let (subject, _) = element(rest, SEQUENCE)?;
        let (not_before, rest) = time(validity)?;
        let (not_after, _) = time(rest)?;
        Some(Self {
            serial,
            subject,
            not_before,
            not_after,
        })
    }
}

/// The content of the first element, if it has that tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any_element(der)?;
    (found == tag).then_some((content, rest))
}

/// The tag and the content of the first element, and what follows it.
fn any_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
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
    Some((tag, content, rest))
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
    use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1999, 1, 1);
        params.not_after = date_time_ymd(year, 2, 3);
        params.serial_number = Some(SerialNumber::from(vec![0xa1, 0x0b]));
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Wind, Rain & Söhne");
        params
            .distinguished_name
            .push(DnType::CommonName, "hooks\0");
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

    #[test]
    fn what_it_says_is_read_and_does_no_harm_where_it_is_shown() {
        let said = Certificate::read(&certificate(2030)).unwrap();
        let (cn, o) = (r"CN=hooks\00", r"O=Wind\, Rain & Söhne");
        assert!(said.subject.contains(cn), "{said:?}");
        assert!(said.subject.contains(o), "{said:?}");
        assert_eq!(said.serial, "a10b");
        assert_eq!(said.not_before.to_rfc3339(), "1999-01-01T00:00:00+00:00");
        assert_eq!(said.not_after.to_rfc3339(), "2030-02-03T00:00:00+00:00");
    }

    proptest! {
        #[test]
        fn what_is_no_certificate_does_no_harm(
            noise in prop::collection::vec(any::<u8>(), 0..64),
            cut in 0..400_usize,
            flipped in 0..400_usize,
        ) {
            Certificate::read(&noise);
            let mut broken = CERTIFICATE.clone();
            let end = broken.len();
            broken[flipped % end] ^= 0xff;
            Certificate::read(&broken);
            not_after(&broken[..cut.min(end)]);
        }
    }

    static CERTIFICATE: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| certificate(2030));
}
