//! What could not be done, as a page with the status that the API gave.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::Problem;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{redirect, sign_in};

/// A refusal, and the page around it.
#[derive(Debug)]
pub struct Failed(Box<Refused>);

#[derive(Debug, Template)]
#[template(path = "failed.html")]
struct Refused {
    frame: Frame,
    problem: Problem,
}

impl Failed {
    /// That refusal.
    pub fn new(problem: Problem, frame: Frame) -> Self {
        Self(Box::new(Refused { frame, problem }))
    }
}

impl Refused {
    fn heading(&self) -> &str {
        match self.problem.status {
            404 => "There is no such thing here",
            403 => "Your key is not for this",
            409 => "It cannot be done now",
            503 => "Not just now",
            _ => "It did not work",
        }
    }

    fn what_next(&self) -> &str {
        match self.problem.status {
            404 => "It was removed, never was, or is not yours to see.",
            429 => "Wait a moment, and load the page again.",
            503 => "The console tries again when you load the page.",
            _ => "",
        }
    }
}

impl IntoResponse for Failed {
    /// A key that is not in force any more leads to the sign-in.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status == StatusCode::UNAUTHORIZED {
            return redirect(&sign_in::path(&self.0.frame.here));
        }
        (status, page(&*self.0)).into_response()
    }
}

/// What is at no path of the console.
pub async fn no_page(visitor: Visitor) -> Failed {
    visitor.failed(Problem {
        status: 404,
        detail: "no page of the console is at this address".into(),
        ..Problem::default()
    })
}
