//! What people and probes open, and the calls of the README.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;

use crate::support::Client;

#[sqlx::test(migrations = "../../migrations")]
async fn the_calls_of_the_readme_work_as_written(db: PgPool) {
    let client = Client::new(db);
    let new = r#"{"name":"my-web-hook","description":"Web hook - Test","url":"http://localhost:9099","auth_key":"jfask329489240krwjekjewlkjre"}"#;
    let made = client
        .raw(axum::http::Method::POST, "/subscriptions", new)
        .await;
    assert_eq!(made.status, StatusCode::CREATED);
    let list = client.get("/dlqs?skip=0&limit=100").await;
    assert_eq!(
        (list.status, list.json()),
        (StatusCode::OK, json!({"items": []}))
    );
    let done = client.post("/dlqs", &json!({"dlqs": [1, 2, 3]})).await;
    assert_eq!(done.status, StatusCode::ACCEPTED);
    assert_eq!(done.json()["not_found"], json!([1, 2, 3]));
}

#[sqlx::test(migrations = "../../migrations")]
async fn pages_and_probes_are_served(db: PgPool) {
    let client = Client::new(db);
    for (path, status, contained) in [
        ("/", 200, "href=\"/docs/\""),
        ("/docs", 303, ""),
        ("/docs/", 200, "swagger-ui"),
        ("/docs/swagger-ui-bundle.js", 200, "Swagger"),
        ("/docs/swagger-initializer.js", 200, "/openapi.json"),
        ("/openapi.json", 200, "\"openapi\":\"3.1.0\""),
        ("/livez", 200, "ok"),
        ("/readyz", 200, "\"ready\":true"),
        ("/metrics", 200, ""),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(answer.text().contains(contained), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{path}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}");
        let is_page = answer.header("content-type").starts_with("text/html");
        assert_eq!(policy.contains("script-src 'self'; "), is_page, "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn swagger_ui_asks_no_other_server(db: PgPool) {
    let client = Client::new(db);
    for path in ["/docs/", "/docs/swagger-initializer.js", "/"] {
        let page = client.get(path).await;
        for attribute in ["src=\"http", "href=\"http", "src=\"//", "href=\"//"] {
            assert!(!page.text().contains(attribute), "{path}: {attribute}");
        }
    }
    let settings = client.get("/docs/swagger-initializer.js").await;
    assert!(
        settings.text().contains("\"validatorUrl\": \"none\""),
        "{}",
        settings.text()
    );
}
