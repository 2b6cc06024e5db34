//! The cases: each differs from the first in one thing. Pure.

use clap::ValueEnum;

use crate::load::city;

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Each event goes to 10 endpoints, 0.4 KB by http; every attempt is recorded.
    Base,
    /// Each event goes to one.
    FanOut1,
    /// Each event goes to 100.
    FanOut100,
    /// Each event goes to 1,000.
    FanOut1000,
    /// Events of 4 KB.
    Payload4k,
    /// Events of 64 KB.
    Payload64k,
    /// By https.
    Https,
    /// 10,000 endpoints, of which each event goes to 10.
    Origins10000,
}

/// The largest event that is one, in bytes.
const LARGEST: usize = 64 * 1024;

impl Case {
    /// As the table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "fan-out 10, 0.4 KB, http",
            Self::FanOut1 => "fan-out 1",
            Self::FanOut100 => "fan-out 100",
            Self::FanOut1000 => "fan-out 1,000",
            Self::Payload4k => "4 KB",
            Self::Payload64k => "64 KB",
            Self::Https => "https",
            Self::Origins10000 => "10,000 origins",
        }
    }

    /// How many subscriptions want each event.
    pub fn fan_out(self) -> usize {
        match self {
            Self::FanOut1 => 1,
            Self::FanOut100 => 100,
            Self::FanOut1000 => 1000,
            _ => 10,
        }
    }

    /// How many subscriptions there are, each at an address of its own.
    pub fn subscriptions(self) -> usize {
        match self {
            Self::Origins10000 => 10_000,
            _ => self.fan_out(),
        }
    }

    /// How many cities events are of, spread over the partitions.
    pub fn cities(self) -> usize {
        const FEW: usize = 120;
        match self {
            Self::Origins10000 => self.subscriptions() / self.fan_out(),
            _ => FEW,
        }
    }

    /// How long an event is.
    pub fn event_bytes(self) -> usize {
        match self {
            Self::Payload4k => 4 * 1024,
            Self::Payload64k => LARGEST,
            _ => 400,
        }
    }

    /// Whether endpoints speak TLS.
    pub fn tls(self) -> bool {
        self == Self::Https
    }

    /// How many events make so many deliveries; of large events fewer are published, so that the
    /// disk of the broker is not what is measured.
    pub fn events(self, deliveries: usize) -> usize {
        let deliveries = match self {
            Self::Payload64k => deliveries / 8,
            _ => deliveries,
        };
        (deliveries / self.fan_out()).max(1)
    }

    /// The city a subscription wants; `None`: all.
    pub fn city_of(self, subscription: usize) -> Option<String> {
        let has_its_own = self.cities() * self.fan_out() == self.subscriptions();
        has_its_own.then(|| city((subscription / self.fan_out()) as u64))
    }
}

/// The address of the `n`th endpoint: all of 127.0.0.0/8 is this machine.
pub fn address(n: usize) -> [u8; 4] {
    const LAST: usize = 250;
    let byte = |n: usize| u8::try_from(n % LAST + 1).unwrap_or_default();
    [
        127,
        byte(n / (LAST * LAST)) - 1,
        byte(n / LAST) - 1,
        byte(n),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_event_goes_to_as_many_as_its_fan_out() {
        for case in Case::value_variants() {
            let wants = |n: &usize| case.city_of(*n).is_none_or(|own| own == city(7));
            let wanting = (0..case.subscriptions()).filter(wants).count();
            assert_eq!(wanting, case.fan_out(), "{case:?}");
        }
    }

    #[test]
    fn no_two_endpoints_have_an_address_in_common() {
        let addresses: HashSet<_> = (0..100_000).map(address).collect();
        assert_eq!(addresses.len(), 100_000);
        assert_eq!(address(0), [127, 0, 0, 1]);
    }
}
