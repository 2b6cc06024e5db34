//! Where the time of an attempt went, as the API shows it.

use std::time::Duration;

use common::store::attempts::one::Row;
use serde::Serialize;
use utoipa::ToSchema;

/// Where the time went, in milliseconds. `null`: the step was not taken, or did not end.
#[derive(Debug, Serialize, ToSchema)]
pub struct Phases {
    /// Resolving the host's name.
    dns: Option<f64>,
    /// Connecting by TCP.
    connect: Option<f64>,
    /// The TLS handshake.
    tls: Option<f64>,
    /// From the beginning of sending to the end of the response's head.
    first_byte: Option<f64>,
    /// All of it, the reading of the body included.
    total: f64,
}

impl From<outbound::Phases> for Phases {
    fn from(phases: outbound::Phases) -> Self {
        Self {
            dns: phases.dns.map(milliseconds),
            connect: phases.connect.map(milliseconds),
            tls: phases.tls.map(milliseconds),
            first_byte: phases.first_byte.map(milliseconds),
            total: milliseconds(phases.total),
        }
    }
}

impl Phases {
    /// As they were recorded; `None` of what was no POST.
    pub fn recorded(row: &Row) -> Option<Self> {
        Some(Self {
            dns: row.dns_us.map(thousandths),
            connect: row.connect_us.map(thousandths),
            tls: row.tls_us.map(thousandths),
            first_byte: row.first_byte_us.map(thousandths),
            total: thousandths(row.total_us?),
        })
    }
}

/// To the microsecond.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Microseconds as milliseconds.
pub fn thousandths(microseconds: i32) -> f64 {
    f64::from(microseconds) / 1e3
}
