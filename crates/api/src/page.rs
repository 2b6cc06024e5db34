//! `GET /`: the entry page, for a person who opens the port in a browser.

use axum::response::Html;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::refusals;
use crate::state::AppState;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(entry))
}

/// The entry page
#[utoipa::path(get, path = "/", tag = "pages", security(()), responses(
    (status = 200, body = String, content_type = "text/html", description = "Where to go from here",
     example = "<!doctype html>…"),
    refusals::Open,
))]
async fn entry() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
