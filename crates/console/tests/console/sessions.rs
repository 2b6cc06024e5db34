//! Signing in, and what a session may.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::fake::{ADMIN, Browser, ID, SUBSCRIBER};

#[tokio::test]
async fn who_is_not_signed_in_does_that_first_and_comes_back() {
    let browser = Browser::new(true);
    let shown = browser.get("/console/subscriptions?q=a%20b").await;
    assert_eq!(shown.status, StatusCode::SEE_OTHER);
    let to = shown.header("location").to_owned();
    assert_eq!(
        to,
        "/console/sign-in?next=%2Fconsole%2Fsubscriptions%3Fq%3Da%2520b"
    );
    assert!(
        browser
            .get(&to)
            .await
            .text
            .contains("value=\"/console/subscriptions?q=a%20b\"")
    );
    let form = format!("key={ADMIN}&next=%2Fconsole%2Fsubscriptions%3Fq%3Da%2520b");
    let shown = browser.post("/console/sign-in", &form).await;
    assert_eq!(shown.header("location"), "/console/subscriptions?q=a%20b");
    let browser = browser.sign_in(ADMIN).await;
    assert_eq!(
        browser.get("/console/subscriptions").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_key_that_is_none_signs_nobody_in_and_is_not_repeated() {
    let browser = Browser::new(true);
    let shown = browser
        .post("/console/sign-in", "key=tw_live_wrong&next=%2F")
        .await;
    assert_eq!(shown.status, StatusCode::UNAUTHORIZED);
    assert_eq!(shown.header("set-cookie"), "");
    assert!(shown.text.contains("This key is not known") && !shown.text.contains("tw_live_wrong"));
    let mut forged = browser;
    forged.cookie = Some("console=dGVzdA.AAAA".into());
    assert_eq!(forged.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_api_is_asked_with_the_key_of_the_session_and_nothing_else_of_it() {
    let browser = Browser::new(true).sign_in(SUBSCRIBER).await;
    let shown = browser.get(&format!("/console/subscriptions/{ID}")).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(!shown.text.contains(SUBSCRIBER));
    let calls = browser.fake.calls.lock().expect("no test panicked with it");
    for call in calls.iter() {
        assert_eq!(
            call.headers["authorization"],
            format!("Bearer {SUBSCRIBER}")
        );
        assert!(!call.headers.contains_key("cookie"), "{}", call.path);
    }
}

#[tokio::test]
async fn a_subscriber_is_not_shown_what_is_for_admins() {
    let subscriber = Browser::new(true).sign_in(SUBSCRIBER).await;
    let page = subscriber.get("/").await.text;
    assert!(!page.contains("/console/keys") && !page.contains("Consumer lag"));
    for path in ["/console/keys", "/console/configuration"] {
        let refused = subscriber.get(path).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
    }
    let admin = Browser::new(true).sign_in(ADMIN).await;
    assert!(admin.get("/").await.text.contains("/console/keys"));
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_its_sessions() {
    let browser = Browser::new(true).sign_in(ADMIN).await;
    assert_eq!(browser.get("/console/keys").await.status, StatusCode::OK);
    browser
        .fake
        .keys
        .lock()
        .expect("no test panicked with it")
        .clear();
    let shown = browser.get("/console/keys").await;
    assert_eq!(shown.status, StatusCode::SEE_OTHER);
    assert_eq!(
        shown.header("location"),
        "/console/sign-in?next=%2Fconsole%2Fkeys"
    );
}

#[tokio::test]
async fn signing_out_takes_the_cookie_away() {
    let browser = Browser::new(true).sign_in(ADMIN).await;
    let shown = browser.post("/console/sign-out", "").await;
    assert_eq!(shown.header("location"), "/console/sign-in");
    let cookie = shown.header("set-cookie");
    assert!(
        cookie.starts_with("console=; ") && cookie.contains("Max-Age=0"),
        "{cookie}"
    );
}

#[tokio::test]
async fn streams_come_with_the_key_and_go_on_where_they_ended() {
    let browser = Browser::new(true).sign_in(ADMIN).await;
    let paths = [
        "/console/events/stream".to_owned(),
        format!("/console/subscriptions/{ID}/tail"),
    ];
    for path in &paths {
        let request = Request::get(path).header("last-event-id", "8123.1");
        let shown = browser
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(shown.header("content-type"), "text/event-stream");
        assert!(shown.text.starts_with("event: outcome"));
        let calls = browser.fake.calls.lock().expect("no test panicked with it");
        let last = calls.last().expect("a call");
        assert_eq!(last.headers["last-event-id"], "8123.1");
        assert_eq!(last.headers["authorization"], format!("Bearer {ADMIN}"));
    }
    for path in &paths {
        assert_eq!(
            Browser::new(true).get(path).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}
