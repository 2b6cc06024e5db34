//! Finds a secret in a text, however it got there: as it is, escaped, percent-encoded, in base64 at
//! any place of a longer text, in hexadecimal, or as a list of bytes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// How many characters on both sides of a find are shown.
const AROUND: usize = 200;

/// Says where each of the secrets is in the text, and as what.
pub fn find(secrets: &[String], place: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for secret in secrets {
        for needle in forms(secret) {
            if let Some(at) = text.find(&needle) {
                let start = text.floor_char_boundary(at.saturating_sub(AROUND));
                let end = text.ceil_char_boundary((at + needle.len() + AROUND).min(text.len()));
                found.push(format!(
                    "{place}: {secret} as {needle}: {}",
                    &text[start..end]
                ));
            }
        }
    }
    found
}

/// All forms of what has letters and digits only, which are nowhere escaped.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex = |digit: fn(&u8) -> String| bytes.iter().map(digit).collect::<String>();
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    let mut forms = vec![
        secret.to_owned(),
        hex(|byte| format!("{byte:02x}")),
        hex(|byte| format!("{byte:02X}")),
        list.join(", "),
        list.join(","),
    ];
    for before in 0..3 {
        // What is encoded together with what is before or after it is left out.
        let padded = [&vec![0; before], bytes].concat();
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for encoded in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            forms.push(encoded[from..to].to_owned());
        }
    }
    forms
}

#[test]
fn a_secret_is_found_in_each_form() {
    use base64::engine::general_purpose::STANDARD;
    let secret = "Zq7AuthKeyXk9";
    let secrets = [secret.to_owned()];
    for before in ["", "m", "me", "me:"] {
        let text = format!("{before}{secret}after");
        let hex = text.bytes().map(|byte| format!("{byte:02x}"));
        let hex = hex.collect::<Vec<_>>().concat();
        for text in [
            text.clone(),
            format!("{:?}", text.as_bytes()),
            STANDARD.encode(&text),
            URL_SAFE_NO_PAD.encode(&text),
            hex,
        ] {
            assert!(!find(&secrets, "a test", &text).is_empty(), "{text}");
        }
    }
    assert!(find(&secrets, "a test", "Zq7AuthKeyXk").is_empty());
}
