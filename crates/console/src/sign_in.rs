//! Signing in with an API key, and out; `provider` and `portal` are the other ways in.

mod portal;
mod provider;

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
use serde_json::Value;

use crate::api::{Api, From, Problem, with_query};
use crate::frame::{Frame, page};
use crate::session::{Session, Sessions};
use crate::{Console, Shared, redirect};

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
        .merge(provider::routes())
        .merge(portal::routes())
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
    has_provider: bool,
    wrong: String,
    /// What went wrong with another way in.
    refused: String,
}

impl SignIn {
    fn page(sessions: &Sessions, next: String, wrong: String) -> Response {
        page(&Self {
            frame: frame(),
            next,
            has_provider: sessions.have_provider(),
            wrong,
            refused: String::new(),
        })
    }

    /// Where one can try again after another way in, and is told why that was none.
    fn again(sessions: &Sessions, problem: &Problem) -> Response {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::FORBIDDEN);
        let form = page(&Self {
            frame: frame(),
            next: String::new(),
            has_provider: sessions.have_provider(),
            wrong: String::new(),
            refused: problem.detail.clone(),
        });
        (status, form).into_response()
    }

    /// With the provider, and back to where one wanted to be.
    fn by_provider(&self) -> String {
        with_query(provider::PATH, [("next", self.next.as_str())])
    }
}

fn frame() -> Frame {
    Frame::new("Sign in", (false, false), Utc::now(), PATH)
}

/// A session that the API has begun.
#[derive(Deserialize)]
struct Begun {
    key: String,
    role: String,
}

impl Begun {
    /// Begins one by what somebody showed.
    async fn by(api: &Api, from: &From, shown: &Value) -> Result<Self, Problem> {
        let call = (Method::POST, "/sessions");
        let answer = api.call(from, call, Some(shown)).await?;
        serde_json::from_value(answer.body).map_err(|error| Problem::unreadable(&error))
    }

    fn session(self) -> Session {
        let is_admin = self.role == "admin";
        Session::new(self.key, is_admin, Utc::now().timestamp())
    }
}

async fn form(
    State(Console(shared)): State<Console>,
    Query(Next { next }): Query<Next>,
) -> Response {
    if !shared.sessions.are_needed() {
        return redirect("/");
    }
    SignIn::page(&shared.sessions, next, String::new())
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
        let form = SignIn::page(&shared.sessions, shown.next, wrong);
        return (status, form).into_response();
    }
    let call = (Method::GET, "/api-keys?limit=1");
    let is_admin = shared.api.call(&from, call, None).await.is_ok();
    let session = Session::new(key.to_owned(), is_admin, Utc::now().timestamp());
    with_cookie(
        redirect(back_to(&shown.next)),
        shared.sessions.cookie(&session),
    )
}

/// A session that the API has begun it is told to end, so that a copy of the cookie is good for nothing.
/// A key goes on: revoking it ends what was signed in with it, wherever that is.
async fn sign_out(State(Console(shared)): State<Console>, parts: Parts) -> Response {
    if let Err(problem) = end(&shared, &parts).await {
        let why = "You are still signed in: the session could not be ended. Try again.".into();
        let problem = Problem {
            detail: why,
            ..problem
        };
        return SignIn::again(&shared.sessions, &problem);
    }
    with_cookie(redirect(PATH), shared.sessions.no_cookie())
}

/// Ends the session that a request shows, even one that was idle for too long: a copy of it may not be.
///
/// # Errors
/// That the API could not do it.
async fn end(shared: &Shared, parts: &Parts) -> Result<(), Problem> {
    let Some(session) = shared.sessions.shown(&parts.headers) else {
        return Ok(());
    };
    let from = From::of(parts).with_key(&session.key);
    let call = (Method::DELETE, "/sessions/current");
    match shared.api.call(&from, call, None).await {
        Ok(_) => Ok(()),
        // It has ended already, may only write, or is a key, which goes on.
        Err(problem) if matches!(problem.status, 401 | 403 | 409) => Ok(()),
        Err(problem) => Err(problem),
    }
}

fn with_cookie(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(SET_COOKIE, cookie);
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
