//! What a receiver answers may repeat what it was sent, credentials too, and is recorded and shown to
//! people who may not know them. Takes them out. Pure.

use std::cmp::Reverse;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};

/// What stands for a credential.
const REDACTED: &str = "[redacted]";

/// A shorter text guards nothing, and stands in many an innocent answer.
const MIN_SECRET_BYTES: usize = 4;

/// The text without what is sensitive of the headers, as it is or as JSON writes it; nor with the
/// beginning of it at its end, where what was read may have been cut.
pub fn redact(mut text: String, headers: &HeaderMap) -> String {
    let sensitive = headers.values().filter(|value| value.is_sensitive());
    let forms = sensitive
        .flat_map(secrets)
        .flat_map(|secret| [json(&secret), secret]);
    let mut forms: Vec<String> = forms
        .filter(|form| form.len() >= MIN_SECRET_BYTES)
        .collect();
    // One may be a part of another, and would leave the rest of that.
    forms.sort_unstable_by_key(|form| Reverse(form.len()));
    for form in &forms {
        if text.contains(form) {
            text = text.replace(form, REDACTED);
        }
    }
    let cut = forms
        .iter()
        .filter_map(|form| begun_at_end(&text, form))
        .min();
    if let Some(at) = cut {
        text.replace_range(at.., REDACTED);
    }
    text
}

/// Where the text's end begins to be that, if it is more than may stand there by chance.
fn begun_at_end(text: &str, secret: &str) -> Option<usize> {
    // In place of a character that was cut.
    let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let begun = |length: &usize| {
        let begun = secret.get(..*length);
        begun.is_some_and(|begun| text.ends_with(begun))
    };
    let length = (MIN_SECRET_BYTES..secret.len()).rev().find(begun)?;
    Some(text.len() - length)
}

/// The value, what follows a scheme in it, and the password where that is `user:password` in base64.
fn secrets(value: &HeaderValue) -> Vec<String> {
    let whole = String::from_utf8_lossy(value.as_bytes()).into_owned();
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
    fn of_one_credential_within_another_nothing_is_left() {
        for order in [["hunt", "hunter2"], ["hunter2", "hunt"]] {
            let sent = headers(&order.map(|value| (value, true)));
            let text = "no: hunter2, hunt".to_owned();
            assert_eq!(redact(text, &sent), "no: [redacted], [redacted]");
        }
    }

    #[test]
    fn nor_is_the_beginning_of_one_where_the_text_was_cut() {
        let sent = headers(&[("Bearer hunter2-hunter2", true), ("hüüü-swordfish", true)]);
        for (text, expected) in [
            ("you said hunter2-hun", "you said [redacted]"),
            ("you said Bearer hunter2-hunter", "you said [redacted]"),
            ("you said hunt", "you said [redacted]"),
            ("you said hun", "you said hun"),
            ("you said hüüü-sw", "you said [redacted]"),
            ("you said hüü\u{fffd}", "you said [redacted]"),
            ("hunt for it", "hunt for it"),
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
