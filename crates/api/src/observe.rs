//! What surrounds each request: its id, its metrics, the headers of its answer, and the problem
//! document of a refusal, which carries the id.

use std::sync::Arc;

use axum::Json;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use common::event::{TRACEPARENT, trace_id};
use metrics::{counter, describe_counter, describe_histogram, histogram};
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::error::ApiError;
use crate::problem::{self, Problem};

const REQUESTS: &str = "api_requests_total";
const SECONDS: &str = "api_request_seconds";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that a client may give its request, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The route of a request that matched none.
const UNMATCHED: &str = "unmatched";

/// Allows what Swagger UI and the entry page need of this server, and nothing of another.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
     form-action 'none'",
);

/// What is no page does nothing, should a browser take it for one.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The id of a request, for whoever comes after.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Tells the metrics recorder what the metrics mean.
pub fn describe_metrics() {
    describe_counter!(REQUESTS, "Requests answered, by route, method and status");
    describe_histogram!(SECONDS, "How long an answer took, by route, in seconds");
}

/// Runs the request under its id, and finishes its answer.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = method_label(request.method());
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    let traceparent = request.headers().get(TRACEPARENT);
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    let trace_id = traceparent.and_then(trace_id);
    let span = tracing::info_span!("request", id, method, route, trace_id);

    let response = next.run(request).instrument(span).await;

    let mut response = with_problem(response, &id);
    set_headers(response.headers_mut(), &id);
    let status = response.status().as_u16().to_string();
    histogram!(SECONDS, "route" => route.clone()).record(started.elapsed());
    counter!(REQUESTS, "route" => route, "method" => method, "status" => status).increment(1);
    response
}

/// The client's id for the request if it fits in a log line, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(|id| (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()))
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// A client may make methods up, and a label must not take whatever it likes.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Gives a refusal its body. The files of Swagger UI know a 404 of their own without one.
fn with_problem(mut response: Response, request_id: &str) -> Response {
    let refused = response.extensions_mut().remove::<Arc<ApiError>>();
    let is_bare = response.status() == StatusCode::NOT_FOUND;
    let Some(error) = refused.or_else(|| is_bare.then(|| Arc::new(ApiError::UnknownRoute))) else {
        return response;
    };
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(problem::CONTENT_TYPE),
    );
    let body = Json(Problem::new(&error, request_id))
        .into_response()
        .into_body();
    Response::from_parts(parts, body)
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn set_headers(headers: &mut HeaderMap, request_id: &str) {
    let id = HeaderValue::try_from(request_id).expect("an id is visible ASCII");
    headers.insert(REQUEST_ID, id);
    let policy = if is_page(headers) {
        PAGE_POLICY
    } else {
        POLICY
    };
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Nothing is kept, unless a route says for how long.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
