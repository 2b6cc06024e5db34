//! Signing in with an API key, and out.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::header::{HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;

use crate::api::{From, with_query};
use crate::frame::{Frame, page};
use crate::session::Session;
use crate::{Console, redirect};

pub const PATH: &str = "/console/sign-in";

/// The sign-in that leads back to where one was.
pub fn path(back: &str) -> String {
    with_query(PATH, [("next", back)])
}

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route(PATH, get(form).post(sign_in))
        .route("/console/sign-out", post(sign_out))
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Shown {
    key: String,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    next: String,
    wrong: String,
}

impl SignIn {
    fn page(next: String, wrong: String) -> Response {
        let frame = Frame::new("Sign in", (false, false), Utc::now(), PATH);
        page(&Self { frame, next, wrong })
    }
}

async fn form(
    State(Console(shared)): State<Console>,
    Query(Next { next }): Query<Next>,
) -> Response {
    if !shared.sessions.are_needed() {
        return redirect("/");
    }
    SignIn::page(next, String::new())
}

/// What may be the key of somebody is shown to the API, which counts wrong ones by address.
async fn sign_in(
    State(Console(shared)): State<Console>,
    parts: Parts,
    Form(shown): Form<Shown>,
) -> Response {
    let key = shown.key.trim();
    let from = From::of(&parts).with_key(key);
    let tried = shared.api.call(&from, (Method::GET, "/stats"), None).await;
    if let Err(problem) = tried {
        let wrong = match problem.status {
            401 => "This key is not known, has expired, or was revoked.".to_owned(),
            403 => "This key may not look at anything: it lacks the scope “read”.".to_owned(),
            429 => "There were too many wrong keys from your address. Wait a moment.".to_owned(),
            _ => format!(
                "It cannot be found out now whether the key is good: {}",
                problem.detail
            ),
        };
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNAUTHORIZED);
        return (status, SignIn::page(shown.next, wrong)).into_response();
    }
    let call = (Method::GET, "/api-keys?limit=1");
    let is_admin = shared.api.call(&from, call, None).await.is_ok();
    let session = Session::new(key.to_owned(), is_admin, Utc::now().timestamp());
    with_cookie(
        redirect(back_to(&shown.next)),
        shared.sessions.cookie(&session),
    )
}

/// A copy of the cookie would be good until its session ends; revoking the key ends that at once.
async fn sign_out(State(Console(shared)): State<Console>) -> Response {
    with_cookie(redirect(PATH), shared.sessions.no_cookie())
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().insert(SET_COOKIE, cookie);
    response
}

/// A page of ours, and none of another host, which `//host` and `/\host` would be.
fn back_to(next: &str) -> &str {
    let is_ours = next == "/" || next.starts_with("/?") || next.starts_with("/console/");
    let is_odd =
        next.contains('\\') || next.contains("..") || !next.bytes().all(|b| b.is_ascii_graphic());
    if is_ours && !is_odd { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_to_a_page_of_ours_only() {
        for ours in ["/", "/?range=24h", "/console/subscriptions?q=a%20b"] {
            assert_eq!(back_to(ours), ours);
        }
        for other in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/console/\r\nx",
            "/console/../x",
        ] {
            assert_eq!(back_to(other), "/");
        }
    }
}
