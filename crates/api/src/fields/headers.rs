//! Headers that each delivery carries besides its own, as fields that hold only what is right. No
//! error shows a value.

use std::fmt;

use common::store::subscriptions::Header;
use http::header::{AUTHORIZATION, HeaderName};
use secrecy::ExposeSecret;
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::auth::{FieldValue, MAX_HEADER_NAME_BYTES, is_reserved};

const MAX_HEADERS: usize = 16;

/// Names and values together: as much as common servers take of all headers, less what is ours.
const MAX_BYTES: usize = 4096;

/// Headers that each POST carries, by name: at most 16, and 4 KiB together. A name is a token of at
/// most 64 bytes, a value 1 to 1,024 characters of visible ASCII with spaces within; neither can be
/// one that deliveries have of their own, that belongs to the connection, or that `auth` sets. Values
/// are never read back.
#[derive(Debug, ToSchema)]
#[schema(value_type = std::collections::HashMap<String, String>,
    example = json!({"X-Team": "weather"}))]
pub struct Headers(Vec<Header>);

impl From<Headers> for Vec<Header> {
    fn from(headers: Headers) -> Self {
        headers.0
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of header names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let (mut headers, mut bytes) = (Vec::new(), 0);
        while let Some(name) = map.next_key::<String>()? {
            let header = map.next_value_seed(Field {
                name,
                before: &headers,
            })?;
            bytes += header.name.len() + header.value.expose_secret().len();
            headers.push(header);
            if headers.len() > MAX_HEADERS || bytes > MAX_BYTES {
                let limit = format!("must be at most {MAX_HEADERS}, of {MAX_BYTES} bytes together");
                return Err(A::Error::custom(limit));
            }
        }
        Ok(Headers(headers))
    }
}

/// A value under that name, after those: what is wrong with the name is said where the value stands,
/// which is at that name.
struct Field<'a> {
    name: String,
    before: &'a [Header],
}

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Header;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Header, D::Error> {
        let value = FieldValue::deserialize(deserializer)?.0;
        let name = self.name;
        check(&name).map_err(D::Error::custom)?;
        let is_this = |before: &Header| before.name.eq_ignore_ascii_case(&name);
        if self.before.iter().any(is_this) {
            return Err(D::Error::custom(
                "must not stand there twice, in whatever case",
            ));
        }
        Ok(Header { name, value })
    }
}

fn check(text: &str) -> Result<(), &'static str> {
    let name = HeaderName::try_from(text).ok();
    let name = name.filter(|_| text.len() <= MAX_HEADER_NAME_BYTES);
    let name = name.ok_or("must be the name of a header, of at most 64 bytes")?;
    // An authorization of a scheme that `auth` does not know is as good as any other header.
    if name != AUTHORIZATION && is_reserved(&name) {
        return Err("must not be a header that deliveries have of their own, or the connection's");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Headers, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn what_deliveries_have_of_their_own_is_refused_in_whatever_case() {
        for name in [
            "Host",
            "content-TYPE",
            "Content-Length",
            "Connection",
            "Keep-Alive",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Expect",
            "User-Agent",
            "Webhook-Id",
            "WEBHOOK-ANYTHING",
            "traceparent",
            "Cookie",
            "Proxy-Authorization",
        ] {
            let refused = read(&format!(r#"{{"{name}":"hunter2"}}"#)).unwrap_err();
            assert!(refused.contains("of their own"), "{name}: {refused}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused_and_no_value_is_shown() {
        for (json, why) in [
            (r#"{"":"hunter2"}"#, "name of a header"),
            (r#"{"a b":"hunter2"}"#, "name of a header"),
            (r#"{"a:b":"hunter2"}"#, "name of a header"),
            (r#"{"a\r\nb":"hunter2"}"#, "name of a header"),
            (r#"{"\u00e4":"hunter2"}"#, "name of a header"),
            (r#"{"a":""}"#, "visible ASCII"),
            (r#"{"a":"hunter2\r\nx: y"}"#, "visible ASCII"),
            (r#"{"a":"hunter2\u0000"}"#, "visible ASCII"),
            (r#"{"a":"hunter2\u007f"}"#, "visible ASCII"),
            (r#"{"a":"hunter2\t"}"#, "visible ASCII"),
            (r#"{"a":" hunter2"}"#, "visible ASCII"),
            (r#"{"a":"h\u00fcnter2"}"#, "visible ASCII"),
            (r#"{"X-A":"hunter2","x-a":"hunter2"}"#, "twice"),
            (r#"{"a":"hunter2","a":"hunter2"}"#, "twice"),
            (r#"{"a":["hunter2"]}"#, "invalid type"),
            (r#"["hunter2"]"#, "invalid type"),
        ] {
            let refused = read(json).unwrap_err();
            assert!(
                refused.contains(why) && !refused.contains("unter2"),
                "{json}: {refused}"
            );
        }
    }

    #[test]
    fn no_more_is_taken_than_may_be() {
        let of = |count: usize, bytes: usize| {
            let fields = (0..count).map(|n| format!(r#""h{n:0>3}":"{}""#, "x".repeat(bytes)));
            read(&format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
        };
        assert_eq!(of(16, 252).unwrap().0.len(), 16);
        for (count, bytes) in [(17, 1), (16, 253), (4, 1024)] {
            let refused = of(count, bytes).unwrap_err();
            assert!(refused.contains("at most 16, of 4096 bytes"), "{refused}");
        }
        assert!(of(1, 1025).unwrap_err().contains("1 to 1024"));
        let long = |bytes| read(&format!(r#"{{"{}":"x"}}"#, "n".repeat(bytes)));
        long(64).unwrap();
        long(65).unwrap_err();
        assert_eq!(read("{}").unwrap().0.len(), 0);
    }
}
