//! What a receiver answers may repeat what it was sent, credentials too, and is recorded and shown to
//! people who may not know them. Takes them out. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};

/// What stands for a credential.
const REDACTED: &str = "[redacted]";

/// A shorter text guards nothing, and stands in many an innocent answer.
const MIN_SECRET_BYTES: usize = 4;

/// The text without what is sensitive of the headers, as it is or as JSON writes it.
pub fn redact(mut text: String, headers: &HeaderMap) -> String {
    for value in headers.values().filter(|value| value.is_sensitive()) {
        for secret in secrets(value) {
            for form in [json(&secret), secret] {
                if form.len() >= MIN_SECRET_BYTES && text.contains(&form) {
                    text = text.replace(&form, REDACTED);
                }
            }
        }
    }
    text
}

/// The value, what follows a scheme in it, and the password where that is `user:password` in base64.
fn secrets(value: &HeaderValue) -> Vec<String> {
    let whole = value.to_str().unwrap_or_default().to_owned();
    let (_, credentials) = whole.split_once(' ').unwrap_or_default();
    let decoded = STANDARD.decode(credentials).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let password = decoded.and_then(|pair| Some(pair.split_once(':')?.1.to_owned()));
    let credentials = credentials.to_owned();
    [Some(whole), Some(credentials), password]
        .into_iter()
        .flatten()
        .collect()
}

/// As it stands between the quotes.
fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[(&str, bool)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (value, is_sensitive) in values {
            let mut value = HeaderValue::from_str(value).unwrap();
            value.set_sensitive(*is_sensitive);
            headers.append("x", value);
        }
        headers
    }

    #[test]
    fn a_credential_that_comes_back_is_taken_out_and_the_rest_stays() {
        let sent = headers(&[
            ("Bearer hunter2", true),
            ("Basic bWU6c3dvcmRmaXNo", true),
            ("me\"too", true),
        ]);
        for (text, expected) in [
            ("no: Bearer hunter2!", "no: [redacted]!"),
            ("token hunter2", "token [redacted]"),
            ("bWU6c3dvcmRmaXNo", "[redacted]"),
            ("wrong password swordfish", "wrong password [redacted]"),
            (r#"{"x":"me\"too"}"#, r#"{"x":"[redacted]"}"#),
            ("no disk space", "no disk space"),
        ] {
            assert_eq!(redact(text.to_owned(), &sent), expected);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let sent = headers(&[("application/json", false), ("abc", true)]);
        let text = "abc is no application/json";
        assert_eq!(redact(text.to_owned(), &sent), text);
    }
}
