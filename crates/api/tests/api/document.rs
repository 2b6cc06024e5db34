//! The OpenAPI document against what is served.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::support::{Client, LONG, api};

/// A database that nobody asks.
fn unused() -> PgPool {
    PgPoolOptions::new()
        .connect_lazy("postgres://nobody@localhost/none")
        .expect("a URL")
}

fn document() -> Value {
    serde_json::to_value(api(unused(), LONG).document).expect("JSON")
}

#[tokio::test]
async fn the_document_is_what_was_agreed_on() {
    insta::assert_json_snapshot!(document());
}

#[tokio::test]
async fn what_is_served_is_the_document() {
    let served = Client::new(unused()).get("/openapi.json").await;
    assert_eq!(served.header("content-type"), "application/json");
    assert_eq!(served.json(), document());
}

/// The router tells its paths only when it is printed.
#[tokio::test]
async fn every_route_is_in_the_document() {
    let printed = format!("{:?}", api(unused(), LONG).router);
    let served: BTreeSet<&str> = printed
        .split('"')
        .filter(|text| text.starts_with('/') && !text.starts_with("/docs/"))
        // The fallback, which axum files under a name of its own.
        .filter(|text| !text.contains("__private"))
        .collect();
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(served, described);
    assert_eq!(described.len(), 43);
}

#[tokio::test]
async fn every_answer_and_every_refusal_has_an_example() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("operations") {
            let bodies = operation["responses"]
                .as_object()
                .expect("responses")
                .values();
            for body in bodies.chain(operation.get("requestBody")) {
                for (kind, content) in body["content"].as_object().into_iter().flatten() {
                    assert!(has_example(&document, content), "{method} {path}: {kind}");
                }
            }
        }
    }
}

/// Of its own, or of its schema or of what that one holds.
fn has_example(document: &Value, content: &Value) -> bool {
    let named = |schema: &Value| -> Value {
        let reference = schema["$ref"].as_str().unwrap_or_default();
        document
            .pointer(reference.trim_start_matches('#'))
            .cloned()
            .unwrap_or_default()
    };
    let schema = match &content["schema"] {
        schema if schema.get("$ref").is_some() => named(schema),
        schema => schema.clone(),
    };
    let item = &schema["properties"]["items"]["items"];
    [content, &schema, item, &named(item)]
        .iter()
        .any(|it| it.get("example").is_some() || it.get("examples").is_some())
}

#[tokio::test]
async fn the_webhook_names_the_headers_that_subscribers_get() {
    let document = document();
    let post = &document["webhooks"]["temperature-update"]["post"];
    let parameters = post["parameters"].as_array().expect("parameters");
    let names: Vec<&str> = parameters
        .iter()
        .filter_map(|header| header["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
            "webhook-attempt",
            "authorization",
            "user-agent",
            "traceparent",
            "webhook-request-origin"
        ]
    );
}
