//! The certificate by which a receiver knows us, without its key.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::client_certificates::Row;

/// From how long before its end on a person should look after it.
const WARNING: TimeDelta = TimeDelta::days(14);

/// What deliveries show to a receiver that asks who we are.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientCertificate {
    /// As RFC 4514 writes names.
    subject: String,
    /// In hexadecimal digits.
    serial: String,
    /// In hexadecimal digits.
    fingerprint_sha256: String,
    /// When it is no use any more: from then on nothing is sent, and all that is missed waits for
    /// another.
    not_after: DateTime<Utc>,
    /// There from 14 days before that on.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
}

impl From<Row> for ClientCertificate {
    fn from(row: Row) -> Self {
        Self {
            subject: row.subject,
            serial: row.serial,
            fingerprint_sha256: row.fingerprint,
            not_after: row.not_after,
            warning: warning(row.not_after, Utc::now()),
        }
    }
}

fn warning(not_after: DateTime<Utc>, now: DateTime<Utc>) -> Option<&'static str> {
    if not_after < now {
        return Some("it has expired: nothing is sent until another takes its place");
    }
    (not_after < now + WARNING).then_some("it expires soon: have another take its place")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_ends_soon_or_has_ended_is_warned_of() {
        let now = Utc::now();
        for (days, part) in [(-1, Some("has expired")), (13, Some("soon")), (15, None)] {
            let said = warning(now + TimeDelta::days(days), now);
            assert_eq!(said.is_some(), part.is_some(), "{days}");
            assert!(said.unwrap_or_default().contains(part.unwrap_or_default()));
        }
    }
}
