//! What the buttons of a subscription's page do.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::answers::{At, Subscription, TestDelivery};
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::waterfall::Waterfall;
use crate::{Console, cause, redirect};

/// The routes of this file.
pub fn routes() -> Router<Console> {
    let one = "/console/subscriptions/{id}";
    Router::new()
        .route(&format!("{one}/pause"), post(pause))
        .route(&format!("{one}/resume"), post(resume))
        .route(&format!("{one}/enable"), post(enable))
        .route(&format!("{one}/test"), post(test))
        .route(&format!("{one}/rotate"), get(ask_rotate).post(rotate))
        .route(&format!("{one}/delete"), get(ask_delete).post(delete))
}

async fn state(visitor: &Visitor, id: Uuid, action: &str, done: &str) -> Result<Response, Failed> {
    let path = format!("/subscriptions/{id}/{action}");
    visitor.act(Method::POST, &path, None).await?;
    Ok(redirect(&format!(
        "/console/subscriptions/{id}?done={done}"
    )))
}

async fn pause(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    state(&visitor, id, "pause", "paused").await
}

async fn resume(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    state(&visitor, id, "resume", "resumed").await
}

async fn enable(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    state(&visitor, id, "enable", "enabled").await
}

#[derive(Template)]
#[template(path = "tested.html")]
struct Tested {
    frame: Frame,
    it: Subscription,
    test: TestDelivery,
    waterfall: Waterfall,
}

async fn test(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    let it: Subscription = visitor.get(&format!("/subscriptions/{id}")).await?;
    let path = format!("/subscriptions/{id}/test");
    let answer = visitor.act(Method::POST, &path, None).await?;
    let test: TestDelivery = visitor.read_answer(answer)?;
    Ok(page(&Tested {
        frame: visitor.frame("Test delivery"),
        waterfall: Waterfall::new(&test.latency_ms, 0.0),
        it,
        test,
    }))
}

impl Tested {
    fn headline(&self) -> &'static str {
        match self.test.verdict.as_str() {
            "delivered" => "It was delivered.",
            "retry" => "It failed; a delivery would be tried again.",
            "reject" => "It was rejected; a delivery would disable the subscription.",
            "postpone" | "postponed" => "There was no token; a delivery would wait for one.",
            _ => "This came of it.",
        }
    }
}

#[derive(Template)]
#[template(path = "rotate.html")]
struct AskRotate {
    frame: Frame,
    it: Subscription,
    wrong: String,
}

async fn ask_rotate(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    let it: Subscription = visitor.get(&format!("/subscriptions/{id}")).await?;
    let frame = visitor.frame("Exchange the secret");
    Ok(page(&AskRotate {
        frame,
        it,
        wrong: String::new(),
    }))
}

#[derive(Deserialize)]
struct Rotation {
    grace_period: String,
}

/// A secret, shown once.
#[derive(Template)]
#[template(path = "secret.html")]
pub struct ShownOnce {
    pub frame: Frame,
    pub it: Subscription,
    pub heading: &'static str,
    pub secret: Option<String>,
    pub old_until: Option<At>,
}

#[derive(Deserialize)]
struct Rotated {
    old_until: At,
    signing_secret: Option<String>,
}

async fn rotate(
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Form(asked): Form<Rotation>,
) -> Result<Response, Failed> {
    let path = format!("/subscriptions/{id}/secret/rotate");
    let body = json!({"grace_period": asked.grace_period.trim()});
    let called = visitor.call(Method::POST, &path, Some(&body)).await;
    let it: Subscription = visitor.get(&format!("/subscriptions/{id}")).await?;
    match called {
        Ok(answer) => {
            let rotated: Rotated = visitor.read_answer(answer)?;
            Ok(page(&ShownOnce {
                frame: visitor.frame("The new secret"),
                it,
                heading: "The secret is exchanged.",
                secret: rotated.signing_secret,
                old_until: Some(rotated.old_until),
            }))
        }
        Err(problem) if problem.status == 422 => {
            let frame = visitor.frame("Exchange the secret");
            let asked_again = page(&AskRotate {
                frame,
                it,
                wrong: problem.detail,
            });
            Ok((StatusCode::UNPROCESSABLE_ENTITY, asked_again).into_response())
        }
        Err(problem) => Err(visitor.failed(problem)),
    }
}

#[derive(Template)]
#[template(path = "delete.html")]
struct AskDelete {
    frame: Frame,
    it: Subscription,
    wrong: bool,
}

async fn ask_delete(visitor: Visitor, Path(id): Path<Uuid>) -> Result<Response, Failed> {
    let it: Subscription = visitor.get(&format!("/subscriptions/{id}")).await?;
    let frame = visitor.frame("Remove a subscription");
    Ok(page(&AskDelete {
        frame,
        it,
        wrong: false,
    }))
}

#[derive(Deserialize)]
struct Confirmed {
    name: String,
}

async fn delete(
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Form(confirmed): Form<Confirmed>,
) -> Result<Response, Failed> {
    let path = format!("/subscriptions/{id}");
    let it: Subscription = visitor.get(&path).await?;
    if confirmed.name.trim() != it.name.trim() {
        let frame = visitor.frame("Remove a subscription");
        let asked_again = page(&AskDelete {
            frame,
            it,
            wrong: true,
        });
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, asked_again).into_response());
    }
    visitor.act(Method::DELETE, &path, None).await?;
    Ok(redirect("/console/subscriptions?done=deleted"))
}
