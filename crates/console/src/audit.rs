//! The audit: who changed what, when and from where. For admins.

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::Console;
use crate::answers::{Entry, Page};
use crate::api::with_query;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;

/// How many a page shows.
const SHOWN: &str = "50";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route("/console/audit", get(list))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    who: String,
    action: String,
    object_id: String,
    before: String,
}

impl Asked {
    fn pairs<'a>(&'a self, before: &'a str) -> [(&'static str, &'a str); 4] {
        [
            ("who", self.who.trim()),
            ("action", self.action.trim()),
            ("object_id", self.object_id.trim()),
            ("before", before),
        ]
    }

    fn filters(&self) -> bool {
        self.pairs("")
            .into_iter()
            .any(|(_, value)| !value.is_empty())
    }
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: Frame,
    asked: Asked,
    entries: Vec<Entry>,
    next: Option<String>,
    wrong: String,
}

async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    let own = asked.pairs(&asked.before).into_iter();
    let path = with_query("/audit", own.chain([("limit", SHOWN)]));
    let mut audit = Audit {
        frame: visitor.frame("Audit"),
        asked,
        entries: Vec::new(),
        next: None,
        wrong: String::new(),
    };
    let answer = match visitor.call(Method::GET, &path, None).await {
        Ok(answer) => answer,
        Err(problem) if problem.status == 400 => {
            audit.wrong = problem.detail;
            return Ok(page(&audit));
        }
        Err(problem) => return Err(visitor.failed(problem)),
    };
    let before = answer.next("before");
    audit.next = before.map(|before| with_query("/console/audit", audit.asked.pairs(&before)));
    audit.entries = visitor.read_answer::<Page<Entry>>(answer)?.items;
    Ok(page(&audit))
}

impl Audit {
    /// What was set, a line each.
    fn changes(entry: &Entry) -> Vec<(String, String)> {
        let changes = entry.changes.as_object().into_iter().flatten();
        let text = |value: &serde_json::Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        changes
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// Where what was changed is shown, if it is.
    fn path(entry: &Entry) -> Option<String> {
        let is_there = entry.kind == "subscription" && entry.action != "delete";
        let is_id = entry.object_id.parse::<uuid::Uuid>().is_ok();
        (is_there && is_id).then(|| format!("/console/subscriptions/{}", entry.object_id))
    }
}
