//! The settings of what may be connected to, as flags and environment.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use common::human;
use ipnet::IpNet;
use secrecy::SecretString;

/// This machine, so that a person can try everything on it.
const DEVELOPMENT: &str = "127.0.0.0/8,::1/128";
const EVERY_PORT: &str = "1-65535";
const LIFETIME: &str = "5m";

/// What may be connected to, and by which way.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Egress")]
pub struct EgressArgs {
    /// Which addresses that are not public may be connected to nevertheless, as networks separated
    /// by commas; empty: none. The default is for development: it lets anybody who may subscribe
    /// reach this machine.
    #[arg(long, env = "EGRESS_ALLOW", default_value = DEVELOPMENT)]
    pub egress_allow: Networks,
    /// Refuse endpoints that are not https.
    #[arg(long, env = "EGRESS_HTTPS_ONLY", value_parser = BoolishValueParser::new())]
    pub egress_https_only: bool,
    /// Which ports may be connected to: numbers and ranges, separated by commas.
    #[arg(long, env = "EGRESS_PORTS", default_value = EVERY_PORT)]
    pub egress_ports: Ports,
    /// Trust the certificates in this PEM file too, besides those the system trusts.
    #[arg(long, env = "EGRESS_CA_FILE")]
    pub egress_ca_file: Option<PathBuf>,
    /// Connect through this proxy (HTTP CONNECT), as in <http://proxy:3128>; it is handed addresses,
    /// no names.
    #[arg(long, env = "EGRESS_PROXY", hide_env_values = true)]
    pub egress_proxy: Option<SecretString>,
    /// Ask this DNS server instead of the system's resolver: an address and a port.
    #[arg(long, env = "EGRESS_DNS")]
    pub egress_dns: Option<SocketAddr>,
    /// How old a connection may be when another request is sent on it.
    #[arg(long, env = "EGRESS_CONNECTION_LIFETIME", default_value = LIFETIME, value_parser = human::duration)]
    pub egress_connection_lifetime: Duration,
}

impl Default for EgressArgs {
    /// As where nothing is set.
    fn default() -> Self {
        Self {
            egress_allow: DEVELOPMENT.parse().expect("they are networks"),
            egress_https_only: false,
            egress_ports: EVERY_PORT.parse().expect("it is a range"),
            egress_ca_file: None,
            egress_proxy: None,
            egress_dns: None,
            egress_connection_lifetime: human::duration(LIFETIME).expect("it is a duration"),
        }
    }
}

/// Networks, as in `10.0.0.0/8,::1/128`; an address without a length is itself alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(pub(super) Vec<IpNet>);

impl Networks {
    /// Whether one of them has that address.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parts(text).map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

/// Bits beyond the length are a slip of the pen: which network was meant is not guessed.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>();
    let network = network.or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| format!("{text:?} is no network, as 10.0.0.0/8 is one"))?;
    if network.addr() == network.network() {
        return Ok(network);
    }
    let meant = network.trunc();
    Err(format!(
        "{text:?} has bits set beyond its length: is {meant} meant?"
    ))
}

/// Ports, as in `443,8000-8999`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(Vec<RangeInclusive<u16>>);

impl Ports {
    /// Whether it is one of them.
    pub(super) fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ranges: Vec<_> = parts(text).map(ports).collect::<Result<_, _>>()?;
        if ranges.is_empty() {
            return Err("at least one port is needed".into());
        }
        Ok(Self(ranges))
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse().ok().filter(|&port: &u16| port > 0);
    port(first)
        .zip(port(last))
        .map(|(first, last)| first..=last)
        .filter(|range| !range.is_empty())
        .ok_or_else(|| format!("{text:?} is no port and no range of ports, as 8000-8999 is one"))
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        egress: EgressArgs,
    }

    #[test]
    fn where_nothing_is_set_this_machine_is_allowed_and_every_port() {
        let parsed = Program::parse_from(["program"]).egress;
        let default = EgressArgs::default();
        assert_eq!(parsed.egress_allow, default.egress_allow);
        assert_eq!(parsed.egress_ports, default.egress_ports);
        assert_eq!(parsed.egress_allow.to_string(), "127.0.0.0/8, ::1/128");
        assert_eq!(parsed.egress_connection_lifetime, Duration::from_mins(5));
        assert!(parsed.egress_ports.contains(1) && parsed.egress_ports.contains(65535));
    }

    #[test]
    fn an_empty_list_of_networks_allows_none() {
        let parsed = Program::parse_from(["program", "--egress-allow", ""]).egress;
        assert_eq!(parsed.egress_allow, Networks::default());
    }

    #[test]
    fn networks_and_ports_are_read_with_spaces_and_without() {
        let networks: Networks = "10.0.0.0/8, 192.0.2.1,fd00::/8 ,".parse().unwrap();
        assert_eq!(networks.to_string(), "10.0.0.0/8, 192.0.2.1/32, fd00::/8");
        let ports: Ports = "443, 8000 - 8999".parse().unwrap();
        for (port, expected) in [
            (443, true),
            (444, false),
            (8000, true),
            (8999, true),
            (9000, false),
        ] {
            assert_eq!(ports.contains(port), expected, "{port}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("10.0.0.0/33", "\"10.0.0.0/33\" is no network"),
            ("localhost", "\"localhost\" is no network"),
            ("::1/64", "is ::/64 meant?"),
            ("10.0.0.1/8", "is 10.0.0.0/8 meant?"),
        ] {
            let error = text.parse::<Networks>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        for text in ["0", "65536", "9-8", "a", "1-", "", ","] {
            let error = text.parse::<Ports>().unwrap_err();
            assert!(error.contains("port"), "{error}");
        }
    }
}
