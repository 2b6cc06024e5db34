//! What each answer of the console says to a browser: that nothing on it comes from elsewhere, and
//! that nothing written into it runs.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::middleware::Next;
use axum::response::Response;

/// Neither inline scripts nor inline styles: what a subscriber or receiver wrote is text, and were it
/// not, it would do nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors ";

/// What depends on who may show the console in a frame.
#[derive(Clone, Debug)]
pub struct Set {
    policy: HeaderValue,
    /// For browsers that do not know `frame-ancestors`; it cannot name a site.
    frame: Option<HeaderValue>,
}

impl Set {
    /// For those origins; nobody, where there is none.
    pub fn new(frame_ancestors: &[String]) -> Self {
        let nobody = frame_ancestors.is_empty();
        let who = if nobody {
            "'none'".to_owned()
        } else {
            frame_ancestors.join(" ")
        };
        let policy = HeaderValue::try_from(format!("{POLICY}{who}"));
        Self {
            policy: policy.expect("an origin is visible ASCII"),
            frame: nobody.then(|| HeaderValue::from_static("DENY")),
        }
    }
}

/// Sets them.
pub async fn set(State(set): State<Set>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, set.policy);
    if let Some(frame) = set.frame {
        headers.insert(X_FRAME_OPTIONS, frame);
    }
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Other hosts are told nothing. `no-referrer` would hide from `origin::check` too from where
        // a form was sent.
        (REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let nowhere_kept = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(nowhere_kept);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_framed_by_who_is_named_and_by_nobody_else() {
        let policy = |set: &Set| set.policy.to_str().expect("ASCII").to_owned();
        let nobody = Set::new(&[]);
        assert!(policy(&nobody).ends_with("; frame-ancestors 'none'"));
        assert_eq!(nobody.frame, Some(HeaderValue::from_static("DENY")));
        let two = ["https://a.example", "https://b.example:8443"].map(String::from);
        let two = Set::new(&two);
        let named = "; frame-ancestors https://a.example https://b.example:8443";
        assert!(policy(&two).ends_with(named));
        assert_eq!(two.frame, None);
    }
}
