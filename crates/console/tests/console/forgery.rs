//! What other sites send in a visitor's name.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::fake::{ADMIN, Browser, ID};

/// Each form that there is.
fn forms() -> Vec<String> {
    let of = |rest: &str| format!("/console/subscriptions/{ID}/{rest}");
    let mut forms: Vec<_> = [
        "pause", "resume", "enable", "test", "rotate", "delete", "edit", "replay",
    ]
    .map(of)
    .to_vec();
    forms.extend(
        [
            "/console/sign-in",
            "/console/sign-out",
            "/console/subscriptions/new",
            "/console/subscriptions/new/preview",
            "/console/deliveries/AZmw/retry",
            "/console/deliveries/AZmw/erase",
            "/console/dead-letters/reprocess",
            "/console/dead-letters/1/drop",
            "/console/keys",
        ]
        .map(str::to_owned),
    );
    forms.push(of(&format!("replays/{ID}/cancel")));
    forms.push(format!("/console/keys/{ID}/revoke"));
    forms
}

#[tokio::test]
async fn no_form_of_another_site_is_taken_signed_in_or_not() {
    for browser in [Browser::new(false), Browser::new(true).sign_in(ADMIN).await] {
        browser
            .fake
            .calls
            .lock()
            .expect("no test panicked with it")
            .clear();
        for path in forms() {
            for said in [
                Some(("sec-fetch-site", "cross-site")),
                Some(("sec-fetch-site", "same-site")),
                Some(("origin", "https://evil.example")),
                Some(("origin", "null")),
                None,
            ] {
                let mut request = Request::post(&path)
                    .header("content-type", "application/x-www-form-urlencoded");
                if let Some((name, value)) = said {
                    request = request.header(name, value);
                }
                let shown = browser
                    .send(request.body(Body::empty()).expect("a request"))
                    .await;
                assert_eq!(shown.status, StatusCode::FORBIDDEN, "{path} {said:?}");
            }
        }
        assert!(
            browser
                .fake
                .calls
                .lock()
                .expect("no test panicked with it")
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_browser_that_names_the_origin_only_is_let_through() {
    let browser = Browser::new(false);
    let path = format!("/console/subscriptions/{ID}/pause");
    let request = Request::post(&path).header("origin", "http://console.example");
    let shown = browser
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(shown.status, StatusCode::SEE_OTHER);
}
