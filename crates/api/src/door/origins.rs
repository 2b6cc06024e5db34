//! Which pages of other origins may use the API from a browser (CORS): none, unless named.
//!
//! No cookie says who one is, so no page can do anything in the name of its visitor; `*` is refused
//! all the same, since a key that is typed into any page should not work from there.

use std::str::FromStr;
use std::time::Duration;

use axum::http::header::{self, HeaderName};
use axum::http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::Url;

/// For how long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_mins(10);

/// The origins that are named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Vec<HeaderValue>);

/// Separated by commas, each as a browser sends it: `https://console.example.com`.
impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim);
        let origins = parts.filter(|part| !part.is_empty()).map(origin);
        origins.collect::<Result<_, _>>().map(Self)
    }
}

fn origin(text: &str) -> Result<HeaderValue, String> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let is_one = url.is_some_and(|url| url.origin().ascii_serialization() == text);
    // A host may have an asterisk in it, and who writes one means something else.
    let is_one = is_one && !text.contains('*');
    is_one
        .then(|| HeaderValue::from_str(text).ok())
        .flatten()
        .ok_or_else(|| {
            format!("'{text}' is not an origin: it must be like https://console.example.com")
        })
}

impl Origins {
    /// What answers browsers, where an origin is named.
    pub fn layer(&self) -> Option<CorsLayer> {
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.clone()))
            .allow_methods([
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("x-request-id"),
            ])
            .expose_headers([
                header::LINK,
                header::LOCATION,
                header::RETRY_AFTER,
                HeaderName::from_static("x-request-id"),
            ])
            .max_age(MAX_AGE);
        (!self.0.is_empty()).then_some(layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_as_a_browser_sends_it() {
        let two: Origins = "https://a.example, http://localhost:3000"
            .parse()
            .expect("two");
        assert_eq!(two.0, ["https://a.example", "http://localhost:3000"]);
        assert_eq!("".parse(), Ok(Origins::default()));
        for wrong in [
            "*",
            "null",
            "a.example",
            "https://a.example/",
            "https://a.example/path",
            "https://*.example",
            "https://A.example",
            "https://a.example:443",
            "https://user@a.example",
            "ftp://a.example",
        ] {
            assert!(wrong.parse::<Origins>().is_err(), "{wrong}");
        }
    }
}
