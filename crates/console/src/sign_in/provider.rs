//! Signing in by the provider of the API, where it has one: there, and back.
//!
//! Both are links, since a form may only be sent to us. What must be remembered meanwhile is in a cookie
//! (`session::Attempt`), so that who comes back is who was sent.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::Method;
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;

use super::{Begun, Next, SignIn, back_to, frame, with_cookie};
use crate::api::{Api, From, Problem};
use crate::frame::{Frame, page};
use crate::session::Attempt;
use crate::{Console, redirect};

pub const PATH: &str = "/console/sign-in/provider";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route(PATH, get(go))
        .route("/console/sign-in/callback", get(come_back))
}

#[derive(Deserialize)]
struct Begin {
    authorization_url: String,
    attempt: String,
}

/// What the provider sends somebody back with (RFC 6749, section 4.1.2).
#[derive(Default, Deserialize)]
#[serde(default)]
struct Returned {
    code: String,
    state: String,
    iss: Option<String>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedIn {
    frame: Frame,
    next: String,
}

async fn begin(api: &Api, from: &From) -> Result<Begin, Problem> {
    let answer = api.call(from, (Method::POST, "/sign-ins"), None).await?;
    serde_json::from_value(answer.body).map_err(|error| Problem::unreadable(&error))
}

async fn go(
    State(Console(shared)): State<Console>,
    Query(Next { next }): Query<Next>,
    parts: Parts,
) -> Response {
    let begun = match begin(&shared.api, &From::of(&parts)).await {
        Ok(begun) => begun,
        Err(problem) => return SignIn::again(&shared.sessions, &problem),
    };
    let cookie = shared.sessions.attempt_cookie(&Attempt {
        attempt: begun.attempt,
        next,
    });
    let mut there = redirect("/");
    if let Ok(url) = begun.authorization_url.parse() {
        there.headers_mut().insert(LOCATION, url);
    }
    with_cookie(there, cookie)
}

async fn come_back(
    State(Console(shared)): State<Console>,
    Query(returned): Query<Returned>,
    parts: Parts,
) -> Response {
    let sessions = &shared.sessions;
    let answer = match sessions.find_attempt(&parts.headers) {
        _ if returned.error.is_some() => Err(refused("the provider did not let you in")),
        None => Err(refused(
            "this sign-in was begun in another browser, or too long ago: begin again",
        )),
        Some(Attempt { attempt, next }) => {
            let mut shown =
                json!({"attempt": attempt, "code": returned.code, "state": returned.state});
            if let Some(iss) = returned.iss {
                shown["iss"] = json!(iss);
            }
            let shown = json!({"oidc": shown});
            let begun = Begun::by(&shared.api, &From::of(&parts), &shown).await;
            begun.map(|begun| (begun.session(), next))
        }
    };
    match answer {
        Ok((session, next)) => {
            let shown = with_cookie(signed_in(&next), sessions.cookie(&session));
            with_cookie(shown, sessions.no_attempt_cookie())
        }
        // What is in the cookie may be of another tab, which comes back with it yet.
        Err(problem) => SignIn::again(sessions, &problem),
    }
}

/// A page that goes on by itself. A redirect would be of the provider's making, as the browser sees
/// it, and the cookie that was just set would not come along (`SameSite=Strict`).
fn signed_in(next: &str) -> Response {
    let next = back_to(next).to_owned();
    page(&SignedIn {
        frame: frame(),
        next,
    })
}

fn refused(detail: &str) -> Problem {
    Problem {
        status: 403,
        detail: detail.to_owned(),
        ..Problem::default()
    }
}
