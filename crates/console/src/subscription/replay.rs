//! Sending a stretch of time again: first how much that is, then the replay itself.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::answers::{DryRun, Subscription};
use crate::api::Problem;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{Console, number, redirect};

/// As a browser has times in a form; here they are UTC.
const FORM: &str = "%Y-%m-%dT%H:%M:%S";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    let one = "/console/subscriptions/{id}";
    Router::new()
        .route(&format!("{one}/replay"), get(ask).post(replay))
        .route(&format!("{one}/replays/{{replay}}/cancel"), post(cancel))
}

#[derive(Template)]
#[template(path = "replay.html")]
struct Ask {
    frame: Frame,
    it: Subscription,
    stretch: Stretch,
    dry_run: Option<DryRun>,
    wrong: Problem,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stretch {
    since: String,
    until: String,
    rate: String,
    /// `begin`, or only how much it would be.
    step: String,
}

#[derive(Deserialize)]
struct Back {
    #[serde(default = "quarter")]
    minutes: i64,
}

fn quarter() -> i64 {
    15
}

impl Stretch {
    fn body(&self, dry_run: bool) -> Value {
        let mut body = Map::from_iter([
            ("since".to_owned(), json!(time(&self.since))),
            ("dry_run".to_owned(), json!(dry_run)),
        ]);
        if !self.until.trim().is_empty() {
            body.insert("until".into(), json!(time(&self.until)));
        }
        if !self.rate.trim().is_empty() {
            let rate = self.rate.trim().parse::<f64>();
            body.insert(
                "rate".into(),
                rate.map_or(json!(self.rate), |rate| json!(rate)),
            );
        }
        Value::Object(body)
    }
}

/// A browser leaves out the offset, and the seconds where they are none.
fn time(text: &str) -> String {
    let text = text.trim();
    match text.len() {
        16 => format!("{text}:00Z"),
        19 => format!("{text}Z"),
        _ => text.to_owned(),
    }
}

async fn ask(
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Query(back): Query<Back>,
) -> Result<Response, Failed> {
    let it: Subscription = visitor.get(&format!("/subscriptions/{id}")).await?;
    let minutes = TimeDelta::try_minutes(back.minutes.clamp(1, 525_600)).unwrap_or_default();
    let since = (visitor.now - minutes).format(FORM).to_string();
    Ok(page(&Ask {
        frame: visitor.frame("Replay"),
        it,
        stretch: Stretch {
            since,
            ..Stretch::default()
        },
        dry_run: None,
        wrong: Problem::default(),
    }))
}

async fn replay(
    visitor: Visitor,
    Path(id): Path<Uuid>,
    Form(stretch): Form<Stretch>,
) -> Result<Response, Failed> {
    let begins = stretch.step == "begin";
    let path = format!("/subscriptions/{id}/replay");
    let body = stretch.body(!begins);
    let called = visitor.call(Method::POST, &path, Some(&body)).await;
    if begins && called.is_ok() {
        return Ok(redirect(&format!(
            "/console/subscriptions/{id}?done=replaying"
        )));
    }
    let it: Subscription = visitor.get(&format!("/subscriptions/{id}")).await?;
    let mut ask = Ask {
        frame: visitor.frame("Replay"),
        it,
        stretch,
        dry_run: None,
        wrong: Problem::default(),
    };
    match called {
        Ok(answer) => {
            ask.dry_run = Some(visitor.read_answer(answer)?);
            Ok(page(&ask))
        }
        Err(problem) if matches!(problem.status, 400 | 409 | 422 | 503) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
            ask.wrong = problem;
            Ok((status, page(&ask)).into_response())
        }
        Err(problem) => Err(visitor.failed(problem)),
    }
}

async fn cancel(
    visitor: Visitor,
    Path((id, replay)): Path<(Uuid, Uuid)>,
) -> Result<Response, Failed> {
    let path = format!("/replays/{replay}/cancel");
    visitor.act(Method::POST, &path, None).await?;
    Ok(redirect(&format!(
        "/console/subscriptions/{id}?done=cancelled"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_a_form_is_one_of_utc() {
        assert_eq!(time("2026-11-23T21:00"), "2026-11-23T21:00:00Z");
        assert_eq!(time("2026-11-23T21:00:30"), "2026-11-23T21:00:30Z");
        assert_eq!(
            time("2026-11-23T21:00:00+01:00"),
            "2026-11-23T21:00:00+01:00"
        );
    }
}
