//! Whether, and how, a receiver is asked before something is written.

use serde::Deserialize;
use utoipa::ToSchema;

/// How a receiver is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// By a test delivery, which it has to answer with 2xx.
    Delivery,
    /// By the handshake of `CloudEvents` (HTTP 1.1 Web Hooks, section 4), in which it has to permit
    /// deliveries. It may lower `rate_limit`.
    Handshake,
}

/// Asks the receiver first; if it does not agree, nothing is changed. `true` is short for `delivery`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "must be `delivery` or `handshake`, or true or false"
)]
#[schema(example = "handshake")]
pub enum Verify {
    Said(bool),
    By(Means),
}

impl Verify {
    /// How, if it is asked for.
    pub fn means(self) -> Option<Means> {
        match self {
            Self::Said(asked) => asked.then_some(Means::Delivery),
            Self::By(means) => Some(means),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_is_short_for_a_delivery_and_what_is_unknown_is_refused() {
        let read = |json| serde_json::from_str(json).map(Verify::means);
        for (json, means) in [
            ("true", Some(Means::Delivery)),
            ("false", None),
            (r#""delivery""#, Some(Means::Delivery)),
            (r#""handshake""#, Some(Means::Handshake)),
        ] {
            assert_eq!(read(json).expect(json), means);
        }
        for json in [r#""test""#, "1", "{}"] {
            let refused = read(json).expect_err(json).to_string();
            assert!(refused.contains("`delivery` or `handshake`"), "{refused}");
        }
    }
}
