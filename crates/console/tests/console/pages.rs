//! What is on the pages.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use crate::fake::{Browser, HOSTILE, ID, OTHER, Shown};

/// Each page that there is.
fn pages() -> Vec<String> {
    let of = |rest: &str| format!("/console/subscriptions/{ID}{rest}");
    vec![
        "/".into(),
        "/?range=7d".into(),
        "/console/subscriptions".into(),
        "/console/subscriptions?q=script&state=failing".into(),
        "/console/subscriptions/new".into(),
        of(""),
        of("?range=15m"),
        of("/edit"),
        of("/replay"),
        of("/rotate"),
        of("/delete"),
        "/console/deliveries?city=%3Cscript%3E".into(),
        "/console/deliveries?since=nonsense".into(),
        "/console/deliveries/AZmw".into(),
        "/console/events/an%2Fevent".into(),
        "/console/dead-letters".into(),
        "/console/dead-letters?skip=50".into(),
        format!("/console/dead-letters?subscription_id={ID}&reason=exhausted&last_error=%3Cb%3E"),
        "/console/dead-letters?reason=malformed&last_error=".into(),
        sent_again("not_found=3&malformed=1&removed=2"),
        sent_again("reason=%3Cb%3E&last_error=%22%3E&remaining=12480&until=%3Cscript%3E"),
        "/console/keys".into(),
        "/console/audit?who=%22%3E".into(),
        "/console/configuration".into(),
    ]
}

/// The page that shows what became of those that were sent again.
fn sent_again(more: &str) -> String {
    let at = "at=2026-11-23T21%3A00%3A00.480172Z";
    format!("/console/dead-letters/sent-again?subscription_id={ID}&{at}&{more}")
}

/// The tags of a page. What is escaped has no angle brackets.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<')
        .skip(1)
        .filter_map(|tag| tag.split('>').next())
}

/// Asserts that a page runs nothing and shows nothing that it did not bring itself.
fn is_harmless(path: &str, shown: &Shown) {
    let policy = shown.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
        "{path}: {policy}"
    );
    assert!(!policy.contains("unsafe"), "{path}: {policy}");
    let steering = ['\u{1b}', '\u{202e}'];
    assert!(!shown.text.contains(steering), "{path}");
    for tag in tags(&shown.text) {
        let name = tag.split_whitespace().next().unwrap_or_default();
        let bare: String = tag.split('"').step_by(2).collect();
        let is_inline = bare.contains(" style=") || bare.contains(" on");
        assert!(!is_inline && !bare.contains('\''), "{path}: {tag}");
        assert!(
            name != "style" && name != "iframe" && name != "base",
            "{path}: {tag}"
        );
        if name == "script" {
            assert!(tag.contains(" src=\"/console/assets/"), "{path}: {tag}");
        }
        if name == "img" {
            assert!(
                tag.contains("src=\"/console/assets/mark.svg"),
                "{path}: {tag}"
            );
        }
        for attribute in ["href=\"", "src=\"", "action=\"", "formaction=\""] {
            let Some((_, to)) = tag.split_once(attribute) else {
                continue;
            };
            let is_ours = ["/", "?", "#"].iter().any(|begin| to.starts_with(begin));
            assert!(is_ours && !to.starts_with("//"), "{path}: {tag}");
        }
    }
}

#[tokio::test]
async fn whatever_others_wrote_is_text_on_every_page() {
    let browser = Browser::new(false);
    for path in pages() {
        let shown = browser.get(&path).await;
        assert_eq!(shown.status, StatusCode::OK, "{path}: {}", shown.text);
        is_harmless(&path, &shown);
        assert!(!shown.text.contains(HOSTILE), "{path}");
    }
    for (path, form) in [
        (format!("/console/subscriptions/{ID}/test"), ""),
        (
            format!("/console/subscriptions/{ID}/rotate"),
            "grace_period=1h",
        ),
        (
            format!("/console/subscriptions/{ID}/replay"),
            "since=2026-11-23T20%3A00&step=count",
        ),
        (
            "/console/subscriptions/new".into(),
            "name=n&url=http%3A%2F%2Fa",
        ),
        (
            "/console/subscriptions/new/preview".into(),
            "name=%22%3E%3Cscript%3E&filter=%3Cb%3E",
        ),
        ("/console/keys".into(), "name=n&role=admin"),
    ] {
        let shown = browser.post(&path, form).await;
        assert_eq!(shown.status, StatusCode::OK, "{path}: {}", shown.text);
        is_harmless(&path, &shown);
    }
}

#[tokio::test]
async fn a_url_that_is_not_http_is_no_link() {
    let browser = Browser::new(false);
    for path in [
        format!("/console/subscriptions/{ID}"),
        "/console/subscriptions".into(),
    ] {
        let shown = browser.get(&path).await;
        assert!(shown.text.contains("javascript:alert(&#39;"), "it is shown");
        assert!(!shown.text.contains("=\"javascript:"), "and leads nowhere");
    }
}

#[tokio::test]
async fn what_is_not_ones_own_is_not_there() {
    let browser = Browser::new(false);
    for rest in ["", "/edit", "/replay", "/rotate", "/delete"] {
        let shown = browser
            .get(&format!("/console/subscriptions/{OTHER}{rest}"))
            .await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND, "{rest}");
        is_harmless(rest, &shown);
    }
    for path in [
        "/console/deliveries/other",
        "/console/events/other",
        "/console/nothing",
    ] {
        assert_eq!(
            browser.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    for action in ["pause", "resume", "enable", "test"] {
        let path = format!("/console/subscriptions/{OTHER}/{action}");
        assert_eq!(
            browser.post(&path, "").await.status,
            StatusCode::NOT_FOUND,
            "{action}"
        );
    }
}

#[tokio::test]
async fn a_browser_gets_the_overview_and_every_other_client_what_it_got_before() {
    let browser = Browser::new(false);
    let page = browser.get("/").await;
    assert!(page.text.contains("<h1>Overview</h1>"));
    for accept in [
        "*/*",
        "application/json",
        "application/json, text/html;q=0.5",
        "",
    ] {
        let request = Request::get("/").header("accept", accept);
        let shown = browser
            .send(request.body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(shown.text, "the API's own page", "{accept}");
        assert_eq!(shown.header("vary"), "accept");
    }
    let api = browser.get("/subscriptions").await;
    assert_eq!(
        api.header("content-type"),
        "application/json",
        "what is the API's is its own"
    );
}

#[tokio::test]
async fn an_action_asks_the_api_for_what_a_client_would() {
    let browser = Browser::new(false);
    for action in ["pause", "resume", "enable"] {
        let shown = browser
            .post(&format!("/console/subscriptions/{ID}/{action}"), "")
            .await;
        assert_eq!(shown.status, StatusCode::SEE_OTHER);
        let to = shown.header("location");
        assert!(
            to.starts_with(&format!("/console/subscriptions/{ID}?done=")),
            "{to}"
        );
        assert!(browser.get(to).await.text.contains("notice good"));
    }
    let form = "since=2026-11-23T20%3A00&until=&rate=5&step=begin";
    browser
        .post(&format!("/console/subscriptions/{ID}/replay"), form)
        .await;
    browser.post("/console/deliveries/AZmw/retry", "").await;
    let path = format!("/subscriptions/{ID}");
    assert_eq!(
        browser.changes(),
        [
            (Method::POST, format!("{path}/pause"), json!(null)),
            (Method::POST, format!("{path}/resume"), json!(null)),
            (Method::POST, format!("{path}/enable"), json!(null)),
            (
                Method::POST,
                format!("{path}/replay"),
                json!({"since": "2026-11-23T20:00:00Z", "dry_run": false, "rate": 5.0})
            ),
            (Method::POST, "/deliveries/AZmw/retry".into(), json!(null)),
        ]
    );
}

#[tokio::test]
async fn a_removal_asks_for_the_name() {
    let browser = Browser::new(false);
    let path = format!("/console/subscriptions/{ID}/delete");
    let shown = browser.post(&path, "name=another").await;
    assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(shown.text.contains("That is not its name."));
    assert_eq!(browser.changes(), []);
}

#[tokio::test]
async fn what_is_wrong_with_a_form_stands_at_its_field_and_what_was_written_stays() {
    let browser = Browser::new(false);
    for (form, field) in [
        ("name=taken&url=http%3A%2F%2Fa", "name"),
        ("name=mine&url=ftp%3A%2F%2Fa", "url"),
    ] {
        let shown = browser.post("/console/subscriptions/new", form).await;
        assert!(shown.status.is_client_error(), "{}", shown.status);
        assert!(
            shown
                .text
                .contains(&format!("aria-describedby=\"{field}-wrong\"")),
            "{field}"
        );
        assert_eq!(shown.text.matches("class=\"wrong\"").count(), 1, "{field}");
        let name = form.split(['=', '&']).nth(1).expect("a name");
        assert!(shown.text.contains(&format!("value=\"{name}\"")), "{name}");
    }
}

#[tokio::test]
async fn a_secret_is_shown_once_and_kept_nowhere() {
    let browser = Browser::new(false);
    let shown = browser
        .post("/console/subscriptions/new", "name=n&url=http%3A%2F%2Fa")
        .await;
    assert!(shown.text.contains("whsec_shown"));
    assert_eq!(shown.header("cache-control"), "no-store");
    let after = browser.get(&format!("/console/subscriptions/{ID}")).await;
    assert!(!after.text.contains("whsec_shown"));
}

#[tokio::test]
async fn a_page_says_how_to_go_on_by_the_cursor() {
    let browser = Browser::new(false);
    let shown = browser.get("/console/deliveries?status=dead").await;
    let next = "href=\"/console/deliveries?status=dead&#38;cursor=abc%2Bd\"";
    assert!(shown.text.contains(next), "{}", shown.text);
}

#[tokio::test]
async fn a_setting_is_shown_with_its_origin_and_marked_where_instances_differ() {
    let shown = Browser::new(false).get("/console/configuration").await;
    let page = shown.text;
    assert!(
        page.contains("<li>api: <span class=\"mono\">SLO_SUCCESS</span></li>"),
        "{page}"
    );
    assert_eq!(
        page.matches(">differs</span>").count(),
        2,
        "once for each of the two"
    );
    assert!(page.contains("set, not shown") && page.contains("the command line"));
    assert!(page.contains("1 as they are by default") && page.contains("Not seen lately"));
    let (differing, changed) = (
        page.find(">SLO_SUCCESS</td>"),
        page.find(">SECRETS_KEYS</td>"),
    );
    assert!(differing < changed && changed < page.find(">ATTEMPT_TIMEOUT</td>"));
}

#[tokio::test]
async fn assets_are_kept_for_good_by_the_name_that_pages_give_them() {
    let browser = Browser::new(false);
    let page = browser.get("/").await.text;
    for name in ["console.css", "console.js", "mark.svg"] {
        let at = page
            .find(&format!("/console/assets/{name}"))
            .expect("its name");
        let url = page[at..].split('"').next().expect("its end");
        let asset = browser.get(url).await;
        assert_eq!(asset.status, StatusCode::OK);
        assert!(
            asset.header("cache-control").ends_with("immutable"),
            "{url}"
        );
        let other = browser.get(&format!("/console/assets/{name}?v=old")).await;
        assert_eq!(other.header("cache-control"), "no-cache");
        let again = Request::get(url).header("if-none-match", asset.header("etag"));
        let again = browser
            .send(again.body(Body::empty()).expect("a request"))
            .await;
        assert_eq!(
            (again.status, again.text.len()),
            (StatusCode::NOT_MODIFIED, 0)
        );
    }
    let nothing = browser.get("/console/assets/..%2FCargo.toml").await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
}
