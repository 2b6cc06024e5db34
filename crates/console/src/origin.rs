//! Refuses what pages of other sites send in a visitor's name (cross-site request forgery).
//!
//! A browser says of each POST from where it was sent, in headers that no page can write:
//! `Sec-Fetch-Site`, and `Origin` where it is older or came without TLS. One that says neither is no
//! browser, and has the API. This holds where nobody signs in as well, and no cookie could help.

use axum::extract::Request;
use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::is_read;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Lets reads through, and what one of our own pages sends.
pub async fn check(request: Request, next: Next) -> Response {
    if is_read(request.method()) || is_ours(request.headers()) {
        return next.run(request).await;
    }
    let text = "refused: this was not sent by a page of the console\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text(&FETCH_SITE) {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (text(&ORIGIN), text(&HOST)) else {
        return false;
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    !host.is_empty() && authority == Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&HeaderName, &str)]) -> HeaderMap {
        let pairs = given.iter();
        pairs
            .map(|(name, value)| ((*name).clone(), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn only_what_a_browser_says_is_of_our_own_pages_is() {
        let host = (&HOST, "console.example:9090");
        for (said, ours) in [
            (vec![host, (&FETCH_SITE, "same-origin")], true),
            (vec![host, (&FETCH_SITE, "same-site")], false),
            (vec![host, (&FETCH_SITE, "cross-site")], false),
            (vec![host, (&FETCH_SITE, "none")], false),
            (vec![host, (&ORIGIN, "http://console.example:9090")], true),
            (vec![host, (&ORIGIN, "http://console.example:9091")], false),
            (vec![host, (&ORIGIN, "https://evil.example")], false),
            (vec![host, (&ORIGIN, "null")], false),
            (vec![(&ORIGIN, "http://")], false),
            (vec![host], false),
            // What the browser knows counts, not what the name looks like.
            (
                vec![
                    host,
                    (&FETCH_SITE, "cross-site"),
                    (&ORIGIN, "http://console.example:9090"),
                ],
                false,
            ),
        ] {
            assert_eq!(is_ours(&headers(&said)), ours, "{said:?}");
        }
    }
}
