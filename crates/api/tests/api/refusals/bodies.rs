//! Bodies that are none, too large, or not said to be JSON.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{assert_problem, with};
use crate::support::Client;

#[sqlx::test(migrations = "../../migrations")]
async fn a_body_that_is_not_what_it_should_be_is_refused(db: PgPool) {
    let client = Client::new(db);
    for (body, status, code, pointer) in [
        ("", 400, "invalid_json", None),
        ("{", 400, "invalid_json", None),
        ("nonsense", 400, "invalid_json", None),
        ("[1,", 400, "invalid_json", None),
        (
            r#"{"name":"\ud800","url":"http://a"}"#,
            400,
            "invalid_json",
            None,
        ),
        (
            r#"{"name":"n","url":"http://a"} x"#,
            400,
            "invalid_json",
            None,
        ),
        (r#"{"url":"http://a"}"#, 422, "invalid_field", Some("/name")),
        (r#"{"name":"n"}"#, 422, "invalid_field", Some("/url")),
        (
            r#"{"name":"n","name":"m","url":"http://a"}"#,
            422,
            "invalid_field",
            Some("/name"),
        ),
        ("null", 422, "invalid_field", Some("")),
        ("7", 422, "invalid_field", Some("")),
        (
            r#"["n",null,"http://a",null,null,null,null,null,null,null,null,null,null,null,null]"#,
            422,
            "invalid_field",
            Some(""),
        ),
    ] {
        let answer = client.raw(Method::POST, "/subscriptions", body).await;
        assert_problem(&answer, status, code);
        assert_eq!(
            answer.json().get("pointer").and_then(Value::as_str),
            pointer,
            "{body}"
        );
    }
    let not_utf8 = client
        .raw(Method::POST, "/subscriptions", &b"{\"name\":\"\xff\"}"[..])
        .await;
    assert_problem(&not_utf8, 400, "invalid_json");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_body_over_1_mib_is_refused(db: PgPool) {
    let client = Client::new(db);
    let body = with("description", json!("x".repeat(1024 * 1024)));
    let answer = client.post("/subscriptions", &body).await;
    assert_problem(&answer, 413, "body_too_large");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_body_must_be_declared_to_be_json(db: PgPool) {
    let client = Client::new(db);
    for (number, (declared, status)) in [
        (None, 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/jsonp"), 415),
        (Some("application/json"), 201),
        (Some("Application/JSON; charset=utf-8"), 201),
        (Some("application/merge-patch+json"), 201),
    ]
    .into_iter()
    .enumerate()
    {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/subscriptions");
        if let Some(declared) = declared {
            request = request.header(header::CONTENT_TYPE, declared);
        }
        let body = with("name", json!(number.to_string())).to_string();
        let answer = client
            .send(request.body(Body::from(body)).expect("a request"))
            .await;
        assert_eq!(answer.status.as_u16(), status, "{declared:?}");
        if status == 415 {
            assert_problem(&answer, 415, "unsupported_media_type");
        }
    }
}
