//! What a URL says, and the many ways to write one that must lead nowhere. Nothing is connected to
//! here: what is asked is which addresses would be.

use super::*;
use crate::egress::tests::args;
use crate::sender::SETTINGS;
use crate::sender::tests::no_roots;
use crate::target::Target;

#[test]
fn a_host_is_a_name_or_an_address_and_a_port_has_its_default() {
    let address = |text: &str| Host::Address(text.parse().unwrap());
    for (uri, host, at) in [
        ("http://example.com/", Host::Name("example.com"), 80),
        ("https://example.com/", Host::Name("example.com"), 443),
        ("https://10.0.0.1:8443/", address("10.0.0.1"), 8443),
        ("http://[2001:db8::1]:81/", address("2001:db8::1"), 81),
        ("https://[::1]/", address("::1"), 443),
    ] {
        let uri = uri.parse().unwrap();
        assert_eq!((Host::of(&uri), port(&uri)), (host, at), "{uri}");
    }
}

/// Where nothing but public addresses is allowed.
fn strict(flags: &str) -> Connector {
    let args = args(&format!("--egress-allow= {flags}"));
    Connector::new(&SETTINGS, &Egress::new(&args).unwrap(), no_roots())
}

async fn addresses(connector: &Connector, url: &str) -> Result<Vec<SocketAddr>, Error> {
    let target = Target::new(url, SETTINGS.timeout).unwrap();
    connector
        .addresses(&Host::of(&target.uri), &target.uri)
        .await
}

/// Each leads to an address that is not public, however it is written.
const HOSTILE: &[&str] = &[
    // This machine.
    "http://127.0.0.1/",
    "http://127.0.0.1:22/",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.0.0.1./",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0X7F.0.0.1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0177.0.0.0x1/",
    "http://127.000.000.001/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://１２７.０.０.１/",
    "http://127。0。0。1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/",
    "http://0/",
    "http://0x0/",
    "http://0.0.0.0/",
    "http://0.0.0.0:9090/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1:8080/",
    "http://127.0.0.1\\@example.com/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http:127.0.0.1/",
    "http:/127.0.0.1/",
    "http:///127.0.0.1/",
    "http:\\\\127.0.0.1/",
    "http://127.0.\t0.1/",
    " http://127.0.0.1/ ",
    "https://127.0.0.1/",
    "http://localhost/",
    "http://LOCALHOST:80/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000::0001]:9090/",
    "http://[::]/",
    // It again, in forms that stand for an IPv4 address.
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[::7f00:1]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1:0:0:80ff:fffe]/",
    "http://[::ffff:8.8.8.8]/",
    // What clouds tell the machine.
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.254.170.2/v2/credentials",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/machine",
    "http://192.0.0.192/latest/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fd20:ce::254]/",
    // Networks of others.
    "http://10.0.0.1/",
    "http://10.1/",
    "http://167772161/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://100.64.0.1/",
    "http://[fc00::1]/",
    "http://[fd12:3456:789a::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    // No network at all.
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    "http://[ff02::1]/",
    "http://[100::1]/",
    "http://[2001:db8::1]/",
    "http://[2001:10::1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://[4000::1]/",
];

/// Each is no URL of a webhook at all.
const NONSENSE: &[&str] = &[
    "http://[fe80::1%25eth0]/",
    "http://[::1/",
    "http://127.0.0.1.5/",
    "http://1.2.3.4.5/",
    "http://256.256.256.256/",
    "http://0x100000000/",
    "http://127.0.0.0x100/",
    "http://127.0.0.1:65536/",
    "http://exa mple.com/",
    "http://a%00.example/",
    "http://",
    "//127.0.0.1/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_SLAVEOF",
    "unix:/run/docker.sock",
    "javascript:alert(1)",
    "ws://127.0.0.1/",
];

#[tokio::test]
async fn no_hostile_url_leads_anywhere() {
    assert!(HOSTILE.len() + NONSENSE.len() >= 60);
    let connector = strict("");
    for url in HOSTILE {
        let blocked = addresses(&connector, url).await;
        assert!(
            matches!(blocked, Err(Error::Blocked(_))),
            "{url}: {blocked:?}"
        );
        let checked = connector.egress().check_url(&url.parse().unwrap());
        assert!(checked.is_err(), "{url}");
    }
    for url in NONSENSE {
        assert!(Target::new(url, SETTINGS.timeout).is_err(), "{url}");
    }
}

#[tokio::test]
async fn public_addresses_in_the_same_spellings_are_as_good_as_any() {
    let connector = strict("");
    for (url, address) in [
        ("http://8.8.8.8/", "8.8.8.8:80"),
        ("http://0x08080808/", "8.8.8.8:80"),
        ("https://010.8.2056/", "8.8.8.8:443"),
        (
            "https://[2606:4700:0::1111]:8443/",
            "[2606:4700::1111]:8443",
        ),
    ] {
        assert_eq!(
            addresses(&connector, url).await.unwrap(),
            [address.parse().unwrap()],
            "{url}"
        );
    }
}

#[tokio::test]
async fn the_rules_on_scheme_and_port_hold_when_connecting_too() {
    let connector = strict("--egress-https-only --egress-ports=443,8000-8999");
    for (url, allowed) in [
        ("https://8.8.8.8/", true),
        ("https://8.8.8.8:8500/", true),
        ("https://8.8.8.8:22/", false),
        ("http://8.8.8.8:443/", false),
        ("http://8.8.8.8/", false),
    ] {
        assert_eq!(addresses(&connector, url).await.is_ok(), allowed, "{url}");
    }
}
