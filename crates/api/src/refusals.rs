//! How each route may refuse, for the document: one set of codes a kind of route.
//!
//! The examples are made from real errors, so they show what clients get.

use std::collections::BTreeMap;

use anyhow::anyhow;
use axum::http::StatusCode;
use chrono::DateTime;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::error::ApiError;
use crate::log;
use crate::problem::{self, Code, Problem};

/// The request id of the examples.
const REQUEST_ID: &str = "0199b0c2-b1f4-7c60-9e0b-3a5d2c8e7f42";

/// What any route may answer, whatever it is asked.
const ANY: [Code; 3] = [Code::Internal, Code::Unavailable, Code::TimedOut];

/// What a route may answer that takes a body.
const BODY: [Code; 5] = [
    Code::InvalidJson,
    Code::SlowBody,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::InvalidField,
];

/// What a route may answer that takes an id.
const ID: [Code; 2] = [Code::InvalidParameter, Code::NotFound];

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $($codes:expr),+;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                document(&[&ANY[..], $(&$codes[..]),+].concat())
            }
        }
    )*};
}

refusals! {
    /// Of a route that takes a body alone.
    Body: BODY;
    /// Of `POST /subscriptions`.
    Create: BODY, [Code::NameTaken];
    /// Of `PATCH /subscriptions/{id}`.
    Update: BODY, ID, [Code::NameTaken];
    /// Of a route that takes an id alone.
    One: ID;
    /// Of a route that pauses or resumes.
    Switch: ID, [Code::SubscriptionDisabled];
    /// Of a route that cancels.
    Cancel: ID, [Code::ReplayCompleted];
    /// Of a route that makes a replay.
    Replay: BODY, ID, [Code::BeforeLog, Code::KafkaUnavailable];
    /// Of a route that reads the log.
    Preview: BODY, [Code::KafkaUnavailable];
    /// Of a route that takes a query alone.
    List: [Code::InvalidParameter];
}

fn document(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<StatusCode, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.as_str().to_owned(), response(status, &codes).into()))
        .collect()
}

fn response(status: StatusCode, codes: &[Code]) -> Response {
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let examples = codes.iter().map(|code| {
        let problem = Problem::new(&example(*code), REQUEST_ID);
        let value = serde_json::to_value(&problem).expect("a problem is plain text and numbers");
        let name = value["code"].as_str().unwrap_or_default().to_owned();
        let example = ExampleBuilder::new()
            .summary(code.title())
            .value(Some(value));
        (name, example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .examples_from_iter(examples);
    let response = ResponseBuilder::new()
        .description(titles.join(" · "))
        .content(problem::CONTENT_TYPE, content.build());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer);
        let header = HeaderBuilder::new()
            .schema(Some(seconds.build()))
            .description(Some("Seconds to wait before the next try"));
        return response.header("retry-after", header.build()).build();
    }
    response.build()
}

/// The schema of all refusals, to be put among the document's.
pub fn schemas() -> Vec<(String, RefOr<utoipa::openapi::Schema>)> {
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    schemas
}

fn example(code: Code) -> ApiError {
    match code {
        Code::InvalidJson => {
            ApiError::InvalidJson("expected `,` or `}` at line 1 column 27".into())
        }
        Code::InvalidParameter => ApiError::InvalidParameter {
            name: "limit".into(),
            detail: "must be 1 to 1000".into(),
        },
        Code::NotFound => ApiError::NotFound("subscription"),
        Code::UnknownRoute => ApiError::UnknownRoute,
        Code::MethodNotAllowed => ApiError::MethodNotAllowed,
        Code::SlowBody => ApiError::SlowBody,
        Code::NameTaken => ApiError::NameTaken,
        Code::SubscriptionDisabled => ApiError::SubscriptionDisabled,
        Code::ReplayCompleted => ApiError::ReplayCompleted,
        Code::BeforeLog => ApiError::BeforeLog {
            earliest: DateTime::from_timestamp_nanos(1_795_467_600_000_000_000),
        },
        Code::BodyTooLarge => ApiError::BodyTooLarge,
        Code::UnsupportedMediaType => ApiError::UnsupportedMediaType,
        Code::InvalidField => ApiError::InvalidField {
            pointer: "/url".into(),
            detail: "must be http or https, not ftp".into(),
        },
        Code::Internal => ApiError::Internal(anyhow!("an example")),
        Code::Unavailable => ApiError::Unavailable(sqlx::Error::PoolTimedOut),
        Code::KafkaUnavailable => ApiError::KafkaUnavailable(log::Error::NoTime),
        Code::TimedOut => ApiError::TimedOut,
    }
}
