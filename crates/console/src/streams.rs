//! The live streams of the API, with the key of the session: a page cannot send it by itself.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use uuid::Uuid;

use crate::Console;
use crate::visitor::Visitor;

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/events/stream", get(all))
        .route("/console/subscriptions/{id}/tail", get(tail))
}

async fn all(visitor: Result<Visitor, Response>, headers: HeaderMap) -> Response {
    follow(visitor, "/events/stream", &headers).await
}

async fn tail(
    visitor: Result<Visitor, Response>,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
) -> Response {
    follow(visitor, &format!("/subscriptions/{id}/tail"), &headers).await
}

/// A script is told that there is no session any more; a redirect would lead it to a page.
async fn follow(visitor: Result<Visitor, Response>, path: &str, headers: &HeaderMap) -> Response {
    let Ok(visitor) = visitor else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    visitor.stream(path, headers.get("last-event-id")).await
}
