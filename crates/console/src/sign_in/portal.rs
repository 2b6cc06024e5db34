//! Signing in by a link that a provider of this service made for one of its customers.
//!
//! Opening it shows a form that is sent at once where scripts run: programs that look at links before
//! people do (mail filters, previews of chats) do not use it up by reading it.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::{Begun, SignIn, back_to, frame, with_cookie};
use crate::api::From;
use crate::frame::{Frame, page};
use crate::{Console, redirect};

const PATH: &str = "/console/portal";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route(PATH, get(form).post(enter))
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    link: String,
    /// Which page to show first.
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "portal.html")]
struct Portal {
    frame: Frame,
    link: String,
    next: String,
}

async fn form(Query(Link { link, next }): Query<Link>) -> Response {
    page(&Portal {
        frame: frame(),
        link,
        next,
    })
}

async fn enter(
    State(Console(shared)): State<Console>,
    parts: Parts,
    Form(Link { link, next }): Form<Link>,
) -> Response {
    let shown = json!({"portal_link": link});
    match Begun::by(&shared.api, &From::of(&parts), &shown).await {
        Ok(begun) => with_cookie(
            redirect(back_to(&next)),
            shared.sessions.cookie(&begun.session()),
        ),
        Err(problem) => SignIn::again(&shared.sessions, &problem),
    }
}
