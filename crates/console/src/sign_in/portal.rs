//! Signing in by a link that a provider of this service made for one of its customers.
//!
//! Opening it shows a form that is sent at once where scripts run: programs that look at links before
//! people do (mail filters, previews of chats) do not use it up by reading it. Who is signed in already is
//! asked first, or a page elsewhere could have them act as somebody else without their knowing.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use chrono::Utc;
use serde::Deserialize;
use serde_json::json;

use super::{Begun, SignIn, back_to, end, frame, with_cookie};
use crate::api::From;
use crate::frame::{Frame, page};
use crate::{Console, redirect};

const PATH: &str = "/console/portal";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route(PATH, get(form).post(enter))
}

#[derive(Deserialize)]
struct Opened {
    #[serde(default)]
    link: String,
    /// Which page to show first.
    #[serde(default)]
    next: String,
    /// That the session which there is may end.
    #[serde(default)]
    instead: bool,
}

#[derive(Template)]
#[template(path = "portal.html")]
struct Portal {
    frame: Frame,
    link: String,
    next: String,
    is_signed_in: bool,
}

fn ask(Opened { link, next, .. }: Opened, is_signed_in: bool) -> Response {
    page(&Portal {
        frame: frame(),
        link,
        next,
        is_signed_in,
    })
}

/// Whether somebody is signed in is not known here: where the link is on another site, the browser does
/// not send the cookie.
async fn form(Query(opened): Query<Opened>) -> Response {
    ask(opened, false)
}

async fn enter(
    State(Console(shared)): State<Console>,
    parts: Parts,
    Form(opened): Form<Opened>,
) -> Response {
    let now = Utc::now().timestamp();
    let is_signed_in = shared.sessions.find(&parts.headers, now).is_some();
    if is_signed_in && !opened.instead {
        return ask(opened, true);
    }
    let shown = json!({"portal_link": opened.link});
    let begun = match Begun::by(&shared.api, &From::of(&parts), &shown).await {
        Ok(begun) => begun,
        Err(problem) => return SignIn::again(&shared.sessions, &problem),
    };
    // Only now: a link that is none signs nobody out.
    if let Err(problem) = end(&shared, &parts).await {
        return SignIn::again(&shared.sessions, &problem);
    }
    with_cookie(
        redirect(back_to(&opened.next)),
        shared.sessions.cookie(&begun.session()),
    )
}
