//! The form that makes a subscription, and changes it.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use uuid::Uuid;

use super::actions::ShownOnce;
use crate::answers::{Preview, Sample, Subscription};
use crate::api::Problem;
use crate::failed::Failed;
use crate::form::{Errors, Fields};
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{Console, number, redirect};

/// How many events a preview shows.
const SAMPLES: usize = 3;

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/subscriptions/new", get(empty).post(create))
        .route("/console/subscriptions/new/preview", post(preview_new))
        .route("/console/subscriptions/{id}/edit", get(filled).post(change))
        .route(
            "/console/subscriptions/{id}/edit/preview",
            post(preview_change),
        )
}

#[derive(Template)]
#[template(path = "edit.html")]
struct Edit {
    frame: Frame,
    fields: Fields,
    errors: Errors,
    /// The subscription that is changed; `None`: one is made.
    id: Option<Uuid>,
    preview: Option<Preview>,
}

impl Edit {
    fn new(visitor: &Visitor, id: Option<Uuid>, fields: Fields) -> Self {
        let title = if id.is_some() {
            "Change a subscription"
        } else {
            "Subscribe"
        };
        Self {
            frame: visitor.frame(title),
            fields,
            errors: Errors::default(),
            id,
            preview: None,
        }
    }

    /// Where the form goes.
    fn action(&self) -> String {
        match self.id {
            Some(id) => format!("/console/subscriptions/{id}/edit"),
            None => "/console/subscriptions/new".into(),
        }
    }

    /// Where one goes without saving.
    fn back(&self) -> String {
        match self.id {
            Some(id) => format!("/console/subscriptions/{id}"),
            None => "/console/subscriptions".into(),
        }
    }

    /// Some of the events that fit.
    fn samples(&self) -> &[Sample] {
        let all = self.preview.as_ref().map_or(&[][..], |it| &it.samples);
        &all[..all.len().min(SAMPLES)]
    }

    fn headers_hint(&self) -> &'static str {
        match self.id {
            Some(_) => {
                "One a line, as X-Team: weather; in place of all there are. Empty: as they are."
            }
            None => "One a line, as X-Team: weather. Their values are never shown again.",
        }
    }

    /// With what the API says against it, or as a page of its own where it is not about the form.
    fn refused(mut self, visitor: &Visitor, problem: Problem) -> Result<Response, Failed> {
        if !matches!(problem.status, 400 | 409 | 422) {
            return Err(visitor.failed(problem));
        }
        self.errors = Errors::of(&problem);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
        Ok((status, page(&self)).into_response())
    }
}

async fn empty(visitor: Visitor) -> Response {
    let fields = Fields {
        auth: "none".into(),
        ..Fields::default()
    };
    page(&Edit::new(&visitor, None, fields))
}

#[derive(Deserialize)]
struct Made {
    #[serde(flatten)]
    it: Subscription,
    signing_secret: Option<String>,
}

async fn create(visitor: Visitor, Form(fields): Form<Fields>) -> Result<Response, Failed> {
    let body = fields.to_new();
    match visitor
        .call(Method::POST, "/subscriptions", Some(&body))
        .await
    {
        Ok(answer) => {
            let made: Made = visitor.read_answer(answer)?;
            Ok(page(&ShownOnce {
                frame: visitor.frame("Subscribed"),
                it: made.it,
                heading: "It is subscribed.",
                secret: made.signing_secret,
                old_until: None,
            }))
        }
        Err(problem) => Edit::new(&visitor, None, fields).refused(&visitor, problem),
    }
}

async fn filled(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    let it: Subscription = visitor.get(&format!("/subscriptions/{id}")).await?;
    Ok(page(&Edit::new(&visitor, Some(id), Fields::of(&it))))
}

async fn change(
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Form(fields): Form<Fields>,
) -> Result<Response, Failed> {
    let path = format!("/subscriptions/{id}");
    let before: Subscription = visitor.get(&path).await?;
    let body = fields.to_patch(&before);
    match visitor.call(Method::PATCH, &path, Some(&body)).await {
        Ok(_) => Ok(redirect(&format!("/console/subscriptions/{id}?done=saved"))),
        Err(problem) => Edit::new(&visitor, Some(id), fields).refused(&visitor, problem),
    }
}

async fn preview_new(visitor: Visitor, Form(fields): Form<Fields>) -> Result<Response, Failed> {
    preview(&visitor, None, fields).await
}

async fn preview_change(
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Form(fields): Form<Fields>,
) -> Result<Response, Failed> {
    preview(&visitor, Some(id), fields).await
}

/// The form as it was sent, with how it would have fared.
async fn preview(visitor: &Visitor, id: Option<Uuid>, fields: Fields) -> Result<Response, Failed> {
    let body = fields.to_preview();
    let mut edit = Edit::new(visitor, id, fields);
    let called = visitor
        .call(Method::POST, "/subscriptions/preview", Some(&body))
        .await;
    match called {
        Ok(answer) => {
            edit.preview = Some(visitor.read_answer(answer)?);
            Ok(page(&edit))
        }
        Err(problem) => edit.refused(visitor, problem),
    }
}
