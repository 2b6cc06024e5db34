//! What the pages of dead letters ask the API for.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::fake::{Browser, DEAD_LETTERS, ID};

#[tokio::test]
async fn dead_letters_are_sent_again_one_by_one_or_as_a_group_with_what_is_left_of_it() {
    let browser = Browser::new(false);
    let path = "/console/dead-letters/reprocess";
    let group = format!("subscription_id={ID}&reason=exhausted&last_error=timeout");
    let sent = browser.post(path, &format!("{group}&dlq=1&dlq=2")).await;
    let shown = browser.get(sent.header("location")).await.text;
    assert!(shown.contains("1 of 2 failed again."), "{shown}");
    assert!(!shown.contains("more of this kind"), "{shown}");

    let sent = browser.post(path, &format!("{group}&all=yes")).await;
    let to = sent.header("location");
    assert!(to.len() < 300, "{to}");
    let shown = browser.get(to).await.text;
    assert!(
        shown.contains("2,480 more of this kind were left."),
        "{shown}"
    );
    assert!(shown.contains("Send the other 2,480 again"), "{shown}");
    let until = "2026-11-23T21:00:00.480172Z";
    for (name, value) in [
        ("subscription_id", ID),
        ("reason", "exhausted"),
        ("last_error", "timeout"),
        ("until", until),
    ] {
        let field = format!("name=\"{name}\" value=\"{value}\"");
        assert!(shown.contains(&field), "{field}: {shown}");
    }
    let next = format!("subscription_id={ID}&reason=gone&last_error=&until={until}&all=yes");
    let sent = browser.post(path, &next).await;
    assert!(sent.header("location").contains("&last_error="));
    browser.post(path, &group).await;
    let asked = |error: &str, until: Value| {
        json!({
            "subscription_id": ID, "reason": "exhausted", "last_error": error, "until": until
        })
    };
    let mut without = asked("", json!(until));
    (without["reason"], without["last_error"]) = (json!("gone"), json!(null));
    assert_eq!(
        browser.changes(),
        [
            (Method::POST, "/dlqs".into(), json!({"dlqs": [1, 2]})),
            (
                Method::POST,
                "/dlqs/groups".into(),
                asked("timeout", json!(null))
            ),
            (Method::POST, "/dlqs/groups".into(), without),
        ]
    );
}

#[tokio::test]
async fn a_download_has_all_that_fit_and_one_that_breaks_off_does_not_look_whole() {
    let browser = Browser::new(false);
    let path = "/console/dead-letters.ndjson";
    let shown = browser.get(&format!("{path}?reason=exhausted")).await;
    assert_eq!(shown.header("content-type"), "application/x-ndjson");
    let ids: Vec<_> = shown
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_u64())
        .collect();
    assert!(ids.into_iter().eq((1..=DEAD_LETTERS).map(Some)));
    let calls = browser
        .fake
        .calls
        .lock()
        .expect("no test panicked with it")
        .clone();
    let asked: Vec<_> = calls.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(
        asked,
        ["", "&after=1000", "&after=2000"]
            .map(|after| format!("/dlqs?reason=exhausted&limit=1000{after}"))
    );
    let request = Request::get(format!("{path}?last_error=broken"));
    let begun = browser
        .begin(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(begun.status(), StatusCode::OK);
    assert!(to_bytes(begun.into_body(), usize::MAX).await.is_err());
}
