//! From where a request comes: the address of its connection, or what a trusted proxy says. Pure.
//!
//! Of what proxies write, `X-Forwarded-For` is heeded and `Forwarded` (RFC 7239) is not: nearly all
//! write the one, and a proxy that writes one lets the other through as the client sent it. It is
//! read from its end, which the nearest proxy wrote, back to the first address that is no trusted
//! proxy's; what stands before that is whatever the client liked to write.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use outbound::Networks;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How much of an IPv6 address is its network's: a site has all the rest (RFC 6177).
const NETWORK_BITS: u32 = 64;

/// Proxies whose word is taken; none, unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Networks);

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl TrustedProxies {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.0 == Networks::default()
    }

    /// From where a request comes that arrived over a connection from `peer`.
    ///
    /// What cannot be read ends the reading: the source is then the proxy that handed it on.
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut source = peer.to_canonical();
        let values = headers.get_all(X_FORWARDED_FOR);
        let mut hops = values.iter().rev().flat_map(hops);
        while self.0.contain(source) {
            let Some(Some(before)) = hops.next() else {
                break;
            };
            source = before;
        }
        source
    }
}

/// The addresses of one header, the nearest first.
fn hops(value: &HeaderValue) -> impl Iterator<Item = Option<IpAddr>> {
    let hops = value.as_bytes().rsplit(|&byte| byte == b',');
    hops.map(|hop| address(str::from_utf8(hop).ok()?.trim_matches([' ', '\t'])))
}

/// With a port or without; an IPv6 address in brackets or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::from).ok(),
        None => text.parse().ok(),
    };
    let address = address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

/// Whom a limit takes an address for: itself, or the network of an IPv6 address.
pub fn limited_as(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << (128 - NETWORK_BITS));
            Ipv6Addr::from_bits(network).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn source(peer: &str, values: &[&[u8]]) -> String {
        let trusted: TrustedProxies = "10.0.0.0/8, 2001:db8::1,192.0.2.7"
            .parse()
            .expect("networks");
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("a value");
            headers.append(X_FORWARDED_FOR, value);
        }
        let peer = peer.parse().expect("an address");
        trusted.source(peer, &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_heeded() {
        let said: &[&[u8]] = &[b"203.0.113.9"];
        assert_eq!(source("198.51.100.1", said), "198.51.100.1");
        assert_eq!(source(PROXY, said), "203.0.113.9");
        assert_eq!(source("::ffff:10.0.0.1", said), "203.0.113.9");
        assert_eq!(source("2001:db8::1", said), "203.0.113.9");
        assert_eq!(source("2001:db8::2", said), "2001:db8::2");
        assert_eq!(source(PROXY, &[]), PROXY);
        let nobody = TrustedProxies::default();
        let mut headers = HeaderMap::new();
        headers.insert(X_FORWARDED_FOR, HeaderValue::from_static("203.0.113.9"));
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(nobody.source(loopback, &headers), loopback);
    }

    #[test]
    fn what_the_client_wrote_before_the_proxies_is_not_believed() {
        for (values, expected) in [
            (&[&b"1.1.1.1, 203.0.113.9"[..]][..], "203.0.113.9"),
            (&[b"10.0.0.5, 203.0.113.9"], "203.0.113.9"),
            (
                &[b"1.1.1.1, 203.0.113.9, 192.0.2.7,10.2.3.4"],
                "203.0.113.9",
            ),
            // The headers go on where the one before ended.
            (&[b"1.1.1.1", b"203.0.113.9", b"10.0.0.2"], "203.0.113.9"),
            (&[b"1.1.1.1", b"203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            // Proxies only: the farthest.
            (&[b"10.9.9.9, 10.0.0.2"], "10.9.9.9"),
        ] {
            assert_eq!(source(PROXY, values), expected, "{values:?}");
        }
    }

    #[test]
    fn an_address_is_read_in_the_spellings_that_proxies_use() {
        for (value, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            (" \t203.0.113.9 ", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("2001:db8::9", "2001:db8::9"),
            ("[2001:db8::9]", "2001:db8::9"),
            ("[2001:db8::9]:443", "2001:db8::9"),
            ("2001:DB8:0:0::9", "2001:db8::9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("[::ffff:203.0.113.9]:1", "203.0.113.9"),
        ] {
            assert_eq!(source(PROXY, &[value.as_bytes()]), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_address_leaves_the_proxy_that_handed_it_on() {
        for value in [
            "",
            ",",
            " , ",
            "unknown",
            "_hidden",
            "localhost",
            "203.0.113.9;1.1.1.1",
            "203.0.113",
            "203.0.113.9/32",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "203.0.113.009",
            "[203.0.113.9]",
            "fe80::1%eth0",
            "\"203.0.113.9\"",
            "for=203.0.113.9",
            "203.0.113.9:99999",
            "[2001:db8::9",
            "2001:db8::9]",
            "203.0.113.9 1.1.1.1",
            "203.0.113.9:",
            ":80",
            "1.1.1.1,",
            "1.1.1.1, ",
        ] {
            assert_eq!(source(PROXY, &[value.as_bytes()]), PROXY, "{value}");
        }
        for value in [&b"203.0.113.9\xff"[..], b"\xc3\xa9", b"1.1.1.1,\xff"] {
            assert_eq!(source(PROXY, &[value]), PROXY, "{value:?}");
        }
        let cut = "1.1.1.1, nonsense, 192.0.2.7";
        assert_eq!(source(PROXY, &[cut.as_bytes()]), "192.0.2.7");
        let endless = "10.1.1.1,".repeat(3_000) + "10.1.1.1";
        assert_eq!(source(PROXY, &[endless.as_bytes()]), "10.1.1.1");
    }

    #[test]
    fn a_site_of_ipv6_is_one_and_neighbours_of_ipv4_are_two() {
        for (address, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::1", "::"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(limited_as(address).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for text in ["10.0.0.0/33", "proxy", "10.0.0.0/8 10.0.0.1"] {
            let said = text.parse::<TrustedProxies>().expect_err(text);
            assert!(said.contains(text), "{said}");
        }
        assert_eq!("".parse(), Ok(TrustedProxies::default()));
    }
}
