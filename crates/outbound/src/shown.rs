//! Headers as a record may show them: names and values as a JSON object, secrets left out. Pure.
//!
//! What a target adds to its requests is marked as sensitive; which headers are secrets whoever
//! sends them is said here. A signature is one of those: with it and the body, anybody could send
//! the event again for as long as its time is heeded.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};

/// What stands for a value that is not shown.
const REDACTED: &str = "[redacted]";

/// How much of a request's or a response's headers is recorded, in bytes of names and values.
pub const HEADERS_LIMIT: usize = 8 * 1024;

/// The headers as a JSON object, in alphabetical order; those of one name in one value. What comes
/// after [`HEADERS_LIMIT`] is left out.
pub fn json(headers: &HeaderMap) -> String {
    let mut shown: BTreeMap<&str, String> = BTreeMap::new();
    let mut room = HEADERS_LIMIT;
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let is_secret = value.is_sensitive() || is_secret(name.as_str());
        let text = if is_secret { REDACTED } else { &*text };
        let Some(left) = room.checked_sub(name.as_str().len() + text.len()) else {
            break;
        };
        room = left;
        shown
            .entry(name.as_str())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(text);
            })
            .or_insert_with(|| text.to_owned());
    }
    serde_json::to_string(&shown).expect("texts under texts are JSON")
}

fn is_secret(name: &str) -> bool {
    [
        AUTHORIZATION.as_str(),
        COOKIE.as_str(),
        PROXY_AUTHORIZATION.as_str(),
        SET_COOKIE.as_str(),
        common::event::WEBHOOK_SIGNATURE,
    ]
    .contains(&name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn map(headers: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        map
    }

    #[test]
    fn secrets_are_named_and_not_shown() {
        let mut headers = map(&[
            ("authorization", b"Bearer hunter2"),
            ("set-cookie", b"session=hunter2"),
            ("webhook-signature", b"v1,hunter2"),
            ("x-plain", b"a"),
            ("x-plain", b"b"),
            ("x-broken", b"\xff\""),
        ]);
        let mut own = HeaderValue::from_static("hunter2");
        own.set_sensitive(true);
        headers.insert("x-api-key", own);
        assert_eq!(
            json(&headers),
            "{\"authorization\":\"[redacted]\",\"set-cookie\":\"[redacted]\",\
             \"webhook-signature\":\"[redacted]\",\"x-api-key\":\"[redacted]\",\
             \"x-broken\":\"\u{fffd}\\\"\",\"x-plain\":\"a, b\"}"
        );
    }

    #[test]
    fn they_are_kept_no_further_than_the_limit_goes() {
        let long = HeaderValue::try_from("y".repeat(HEADERS_LIMIT)).unwrap();
        let mut headers = map(&[("a", b"b")]);
        headers.insert("x-long", long);
        assert_eq!(json(&headers), r#"{"a":"b"}"#);
    }
}
