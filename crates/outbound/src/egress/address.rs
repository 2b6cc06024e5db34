//! Which addresses belong to the public internet, and what the others are.
//!
//! By the special-purpose address registries of IANA (RFC 6890 and what came after it), read
//! strictly: a block is special as a whole, though some of its addresses may be reached from
//! anywhere (as 192.0.0.9), for no webhook lives there. Of IPv6 only `2000::/3` has been given out as
//! public; all else is reserved. Where clouds answer for the machine itself is told from all that.
//!
//! Some IPv6 addresses stand for an IPv4 address, and something on the way sends packets there.
//! [`Range::embedded`] tells which: whoever lets such a form pass has to look at that one too. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range of addresses that are not public.
#[derive(Debug)]
pub struct Range {
    net: IpNet,
    /// As a sentence goes on after "which is".
    pub name: &'static str,
    /// Its addresses hand out credentials to whoever asks: a wider range that happens to hold them
    /// is not meant.
    pub is_metadata: bool,
    embeds: Option<fn(u128) -> u32>,
}

impl Range {
    /// The range an address is in; none: it is public.
    pub fn of(address: IpAddr) -> Option<&'static Self> {
        let ranges = match address {
            IpAddr::V4(_) => IPV4,
            IpAddr::V6(_) => IPV6,
        };
        let found = ranges.iter().find(|range| range.net.contains(&address));
        found.or_else(|| (!is_given_out(address)).then_some(&NOT_GIVEN_OUT))
    }

    /// The IPv4 address that an address of this range stands for.
    pub fn embedded(&self, address: IpAddr) -> Option<Ipv4Addr> {
        match (address, self.embeds) {
            (IpAddr::V6(address), Some(embeds)) => {
                Some(Ipv4Addr::from_bits(embeds(address.to_bits())))
            }
            _ => None,
        }
    }

    const fn v4([a, b, c, d]: [u8; 4], prefix: u8, name: &'static str) -> Self {
        Self {
            net: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)),
            name,
            is_metadata: false,
            embeds: None,
        }
    }

    const fn v6(first: [u16; 4], prefix: u8, name: &'static str) -> Self {
        let [a, b, c, d] = first;
        Self::v6_whole(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix, name)
    }

    const fn v6_whole(address: Ipv6Addr, prefix: u8, name: &'static str) -> Self {
        Self {
            net: IpNet::V6(Ipv6Net::new_assert(address, prefix)),
            name,
            is_metadata: false,
            embeds: None,
        }
    }

    const fn metadata(self) -> Self {
        Self {
            name: "the metadata service of a cloud",
            is_metadata: true,
            ..self
        }
    }

    const fn embedding(self, embeds: fn(u128) -> u32) -> Self {
        Self {
            embeds: Some(embeds),
            ..self
        }
    }
}

fn is_given_out(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => address.segments()[0] >> 13 == 0b001,
    }
}

static NOT_GIVEN_OUT: Range = Range::v6([0; 4], 0, "reserved");

/// The first that holds an address is its range.
static IPV4: &[Range] = &[
    Range::v4([169, 254, 169, 254], 32, "").metadata(),
    Range::v4([169, 254, 170, 2], 32, "").metadata(),
    Range::v4([169, 254, 170, 23], 32, "").metadata(),
    Range::v4([100, 100, 100, 200], 32, "").metadata(),
    Range::v4([192, 0, 0, 192], 32, "").metadata(),
    Range::v4([168, 63, 129, 16], 32, "").metadata(),
    Range::v4([0, 0, 0, 0], 32, "unspecified"),
    Range::v4([0, 0, 0, 0], 8, "an address of this network"),
    Range::v4([10, 0, 0, 0], 8, "private"),
    Range::v4([100, 64, 0, 0], 10, "shared behind a carrier's NAT"),
    Range::v4([127, 0, 0, 0], 8, "loopback"),
    Range::v4([169, 254, 0, 0], 16, "link-local"),
    Range::v4([172, 16, 0, 0], 12, "private"),
    Range::v4([192, 0, 0, 0], 24, "reserved for protocols"),
    Range::v4([192, 0, 2, 0], 24, "for documentation"),
    Range::v4([192, 88, 99, 0], 24, "a 6to4 relay"),
    Range::v4([192, 168, 0, 0], 16, "private"),
    Range::v4([198, 18, 0, 0], 15, "for benchmarks"),
    Range::v4([198, 51, 100, 0], 24, "for documentation"),
    Range::v4([203, 0, 113, 0], 24, "for documentation"),
    Range::v4([224, 0, 0, 0], 4, "multicast"),
    Range::v4([255, 255, 255, 255], 32, "broadcast"),
    Range::v4([240, 0, 0, 0], 4, "reserved"),
];

/// The first that holds an address is its range.
static IPV6: &[Range] = &[
    Range::v6_whole(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, "").metadata(),
    Range::v6_whole(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, "").metadata(),
    Range::v6_whole(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, "").metadata(),
    Range::v6_whole(Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    Range::v6_whole(Ipv6Addr::LOCALHOST, 128, "loopback"),
    Range::v6_whole(Ipv6Addr::UNSPECIFIED, 96, "IPv4-compatible").embedding(last_32_bits),
    Range::v6_whole(MAPPED, 96, "IPv4-mapped").embedding(last_32_bits),
    Range::v6_whole(TRANSLATED, 96, "IPv4-translated").embedding(last_32_bits),
    Range::v6([0x64, 0xff9b, 0, 0], 96, "behind a NAT64").embedding(last_32_bits),
    // Where in these the IPv4 address lies is known only to who runs the translator (RFC 8215).
    Range::v6([0x64, 0xff9b, 1, 0], 48, "behind a NAT64"),
    Range::v6([0x100, 0, 0, 0], 64, "discarded"),
    Range::v6([0x2001, 0, 0, 0], 32, "behind a Teredo relay").embedding(last_32_bits_flipped),
    Range::v6([0x2001, 0xdb8, 0, 0], 32, "for documentation"),
    Range::v6([0x2001, 0, 0, 0], 23, "reserved for protocols"),
    Range::v6([0x2002, 0, 0, 0], 16, "behind a 6to4 relay").embedding(bits_16_to_48),
    Range::v6([0x3fff, 0, 0, 0], 20, "for documentation"),
    Range::v6([0x5f00, 0, 0, 0], 16, "for segment routing"),
    Range::v6([0xfc00, 0, 0, 0], 7, "unique-local"),
    Range::v6([0xfe80, 0, 0, 0], 10, "link-local"),
    Range::v6([0xfec0, 0, 0, 0], 10, "site-local"),
    Range::v6([0xff00, 0, 0, 0], 8, "multicast"),
];

const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
const TRANSLATED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0);

/// RFC 4291, section 2.5.5, and RFC 6052, section 2.2.
fn last_32_bits(address: u128) -> u32 {
    let [.., a, b, c, d] = address.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// RFC 4380, section 4.
fn last_32_bits_flipped(address: u128) -> u32 {
    !last_32_bits(address)
}

/// RFC 3056, section 2.
fn bits_16_to_48(address: u128) -> u32 {
    let [_, _, a, b, c, d, ..] = address.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(address: &str) -> Option<&'static str> {
        Range::of(address.parse().unwrap()).map(|range| range.name)
    }

    /// A range's name, its first and its last address, and those before and after it.
    type Bounds = (&'static str, [&'static str; 2], &'static [&'static str]);

    #[rustfmt::skip]
    const BOUNDS: &[Bounds] = &[
        ("an address of this network", ["0.0.0.1", "0.255.255.255"], &["1.0.0.0"]),
        ("private", ["10.0.0.0", "10.255.255.255"], &["9.255.255.255", "11.0.0.0"]),
        ("shared behind a carrier's NAT", ["100.64.0.0", "100.127.255.255"], &["100.63.255.255", "100.128.0.0"]),
        ("loopback", ["127.0.0.0", "127.255.255.255"], &["126.255.255.255", "128.0.0.0"]),
        ("link-local", ["169.254.0.0", "169.254.255.255"], &["169.253.255.255", "169.255.0.0"]),
        ("private", ["172.16.0.0", "172.31.255.255"], &["172.15.255.255", "172.32.0.0"]),
        ("reserved for protocols", ["192.0.0.0", "192.0.0.255"], &["191.255.255.255", "192.0.1.0"]),
        ("for documentation", ["192.0.2.0", "192.0.2.255"], &["192.0.1.255", "192.0.3.0"]),
        ("a 6to4 relay", ["192.88.99.0", "192.88.99.255"], &["192.88.98.255", "192.88.100.0"]),
        ("private", ["192.168.0.0", "192.168.255.255"], &["192.167.255.255", "192.169.0.0"]),
        ("for benchmarks", ["198.18.0.0", "198.19.255.255"], &["198.17.255.255", "198.20.0.0"]),
        ("for documentation", ["198.51.100.0", "198.51.100.255"], &["198.51.99.255", "198.51.101.0"]),
        ("for documentation", ["203.0.113.0", "203.0.113.255"], &["203.0.112.255", "203.0.114.0"]),
        ("multicast", ["224.0.0.0", "239.255.255.255"], &["223.255.255.255"]),
        ("reserved", ["240.0.0.0", "255.255.255.254"], &[]),
        ("reserved for protocols", ["2001:1::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"], &["2000:ffff::", "2001:200::"]),
        ("for documentation", ["2001:db8::", "2001:db8:ffff:ffff::"], &["2001:db7:ffff::", "2001:db9::"]),
        ("behind a 6to4 relay", ["2002::", "2002:ffff:ffff::"], &["2001:ffff::", "2003::"]),
        ("for documentation", ["3fff::", "3fff:fff:ffff::"], &["3ffe:ffff::", "3fff:1000::"]),
        ("unique-local", ["fc00::", "fdff:ffff::"], &[]),
        ("link-local", ["fe80::", "febf:ffff::"], &[]),
        ("site-local", ["fec0::", "feff:ffff::"], &[]),
        ("multicast", ["ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &[]),
    ];

    #[test]
    fn the_first_and_the_last_address_of_each_range_are_in_it_and_their_neighbours_are_not() {
        for (name, ends, neighbours) in BOUNDS {
            for end in ends {
                assert_eq!(super::tests::name(end), Some(*name), "{end}");
            }
            for neighbour in *neighbours {
                assert_eq!(super::tests::name(neighbour), None, "{neighbour}");
            }
        }
    }

    #[test]
    fn single_addresses_are_known_among_their_neighbours() {
        for (address, expected) in [
            ("0.0.0.0", "unspecified"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "IPv4-compatible"),
            ("64:ff9b:1:fffe::a00:1", "behind a NAT64"),
            ("100::1", "discarded"),
            ("5f00::1", "for segment routing"),
            ("4000::1", "reserved"),
            ("64:ff9b:2::1", "reserved"),
            ("8000::", "reserved"),
            ("e000::1", "reserved"),
        ] {
            assert_eq!(name(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn where_clouds_answer_for_the_machine_is_told_apart() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
        ] {
            let range = Range::of(address.parse().unwrap()).unwrap();
            assert!(range.is_metadata, "{address}");
        }
        for neighbour in ["169.254.169.253", "100.100.100.201", "fd00:ec2::253"] {
            let range = Range::of(neighbour.parse().unwrap()).unwrap();
            assert!(!range.is_metadata, "{neighbour}");
        }
        assert_eq!(name("168.63.129.17"), None);
    }

    #[test]
    fn what_the_internet_is_made_of_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert_eq!(name(address), None, "{address}");
        }
    }

    #[test]
    fn the_ipv4_address_within_is_found() {
        for (address, embedded) in [
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("::10.0.0.1", Some("10.0.0.1")),
            ("::ffff:0:10.0.0.1", Some("10.0.0.1")),
            ("64:ff9b::10.0.0.1", Some("10.0.0.1")),
            ("2002:a00:1::", Some("10.0.0.1")),
            ("2001:0:102:304:0:ffff:f5ff:fffe", Some("10.0.0.1")),
            ("64:ff9b:1::a00:1", None),
            ("fd00::10.0.0.1", None),
        ] {
            let address = address.parse().unwrap();
            let range = Range::of(address).unwrap();
            let embedded = embedded.map(|text| text.parse().unwrap());
            assert_eq!(range.embedded(address), embedded, "{address}");
        }
    }

    proptest! {
        #[test]
        fn what_the_standard_library_knows_to_be_special_is(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!special || Range::of(address.into()).is_some());
        }

        #[test]
        fn nothing_but_what_was_given_out_is_public(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            let public = Range::of(address.into()).is_none();
            prop_assert!(!public || bits >> 125 == 1);
        }
    }
}
