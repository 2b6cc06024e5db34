//! The rules, and what they make of addresses and URLs.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    egress: EgressArgs,
}

/// What these flags say, and for the rest the settings of development.
pub(crate) fn args(flags: &str) -> EgressArgs {
    let flags = std::iter::once("program").chain(flags.split_whitespace());
    Program::parse_from(flags).egress
}

fn allowing(networks: &str) -> Egress {
    Egress::new(&args(&format!("--egress-allow={networks}"))).unwrap()
}

fn permits(egress: &Egress, address: &str) -> bool {
    egress.permit(address.parse().unwrap()).is_ok()
}

fn refused(egress: &Egress, url: &str) -> Refused {
    egress.check_url(&Url::parse(url).unwrap()).unwrap_err()
}

#[test]
fn development_allows_this_machine_and_no_other_that_is_not_public() {
    let egress = Egress::new(&args("")).unwrap();
    for address in ["127.0.0.1", "127.9.9.9", "::1", "8.8.8.8"] {
        assert!(permits(&egress, address), "{address}");
    }
    for address in [
        "10.0.0.1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "0.0.0.0",
        "::",
    ] {
        assert!(!permits(&egress, address), "{address}");
    }
}

#[test]
fn a_form_that_stands_for_an_address_needs_both_to_be_allowed() {
    let nat64 = allowing("64:ff9b::/96");
    assert!(permits(&nat64, "64:ff9b::8.8.8.8"));
    assert!(!permits(&nat64, "64:ff9b::10.0.0.1"));
    assert!(!permits(&nat64, "64:ff9b::169.254.169.254"));
    let both = allowing("64:ff9b::/96,10.0.0.0/8");
    assert!(permits(&both, "64:ff9b::10.0.0.1"));
    assert!(!permits(&both, "::ffff:10.0.0.1"));
    assert!(!permits(&allowing("10.0.0.0/8"), "64:ff9b::10.0.0.1"));
    assert!(!permits(&allowing("::/0"), "2002:a00:1::"));
    assert!(permits(&allowing("::/0"), "2002:808:808::"));
}

#[test]
fn a_metadata_service_is_allowed_by_its_own_address_alone() {
    for address in [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
    ] {
        assert!(!permits(&allowing("0.0.0.0/0,::/0"), address), "{address}");
        assert!(permits(&allowing(address), address), "{address}");
    }
    let embedded = "::ffff:169.254.169.254";
    assert!(!permits(&allowing("0.0.0.0/0,::/0"), embedded));
}

#[test]
fn refused_addresses_are_taken_out_and_the_rest_stays_in_order() {
    let egress = allowing("");
    let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
        texts
            .iter()
            .map(|text| (text.parse::<IpAddr>().unwrap(), 80).into())
            .collect()
    };
    let mixed = addresses(&["10.0.0.1", "8.8.8.8", "::1", "1.1.1.1"]);
    assert_eq!(egress.admit(mixed), Ok(addresses(&["8.8.8.8", "1.1.1.1"])));
    assert_eq!(egress.admit(vec![]), Ok(vec![]));
    let refused = egress.admit(addresses(&["10.0.0.1", "::1"])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "must not lead to 10.0.0.1, which is private"
    );
}

#[test]
fn a_url_is_told_which_rule_is_against_it() {
    let strict = Egress::new(&args(
        "--egress-allow= --egress-https-only --egress-ports=443",
    ))
    .unwrap();
    for (url, why) in [
        ("http://example.com/", "must be https"),
        ("https://example.com:8443/", "must not use port 8443"),
        (
            "https://10.0.0.1/",
            "must not lead to 10.0.0.1, which is private",
        ),
        ("https://[::1]/", "must not lead to ::1, which is loopback"),
        (
            "https://localhost/",
            "must not lead to 127.0.0.1, which is loopback",
        ),
        (
            "https://a.LOCALHOST./",
            "must not lead to 127.0.0.1, which is loopback",
        ),
        ("ftp://example.com/", "must be http or https"),
        ("data:,a", "must be http or https"),
    ] {
        let refused = refused(&strict, url).to_string();
        assert!(refused.starts_with(why), "{url}: {refused}");
    }
    for url in [
        "https://example.com/",
        "https://8.8.8.8/",
        "https://localhost.example/",
    ] {
        strict.check_url(&Url::parse(url).unwrap()).unwrap();
    }
}

#[test]
fn localhost_is_allowed_where_either_of_its_addresses_is() {
    for networks in ["127.0.0.1", "::1"] {
        let url = Url::parse("http://localhost:9099").unwrap();
        allowing(networks).check_url(&url).unwrap();
    }
}

#[test]
fn a_file_without_certificates_is_refused_by_name() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for file in [file, "/nonexistent.pem"] {
        let error = Egress::new(&args(&format!("--egress-ca-file={file}"))).unwrap_err();
        assert!(error.to_string().contains("EGRESS_CA_FILE"), "{error:#}");
    }
}

#[test]
fn a_proxy_that_is_none_is_named_by_its_setting_and_not_shown() {
    for (text, why) in [
        ("http://me:hunter2@proxy:3128", "credentials"),
        ("hunter2", "no URL"),
        ("https://hunter2:3128", "more than the address"),
        ("http://proxy:3128/hunter2", "more than the address"),
    ] {
        let refused = Egress::new(&args(&format!("--egress-proxy={text}"))).unwrap_err();
        let error = format!("{refused:#}");
        assert!(
            error.contains("EGRESS_PROXY") && error.contains(why),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(!format!("{:?}", args("--egress-proxy=http://hunter2:1")).contains("hunter2"));
}
