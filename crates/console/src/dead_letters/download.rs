//! All dead letters that fit, a line of JSON each, as the API has them.
//!
//! They are read page by page, each when the one before is sent, so that however many there are one page
//! is in memory. What goes wrong on the way breaks the download off: none that is cut looks whole.

use std::io;

use axum::Router;
use axum::body::Body;
use axum::extract::Query;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::Value;

use super::Asked;
use crate::Console;
use crate::answers::Page;
use crate::api::Problem;
use crate::failed::Failed;
use crate::visitor::Visitor;

/// How many letters are read at once.
const PAGE: usize = 1000;

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route("/console/dead-letters.ndjson", get(download))
}

/// What is still to be sent.
struct Rest {
    visitor: Visitor,
    asked: Asked,
    /// What was read already.
    read: Option<Vec<Value>>,
    /// The letter behind which is to be read on, if it is.
    after: Option<i64>,
}

async fn download(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    let first = read(&visitor, &asked, None).await;
    let first = first.map_err(|problem| visitor.failed(problem))?;
    let rest = Rest {
        visitor,
        asked,
        read: Some(first),
        after: None,
    };
    let name = HeaderValue::from_static("attachment; filename=\"dead-letters.ndjson\"");
    let kind = HeaderValue::from_static("application/x-ndjson");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
    ];
    let body = Body::from_stream(stream::try_unfold(rest, Rest::next));
    Ok((headers, body).into_response())
}

async fn read(visitor: &Visitor, asked: &Asked, after: Option<i64>) -> Result<Vec<Value>, Problem> {
    let (limit, after) = (PAGE.to_string(), after.map(|id| id.to_string()));
    let more = [
        ("limit", &*limit),
        ("after", after.as_deref().unwrap_or_default()),
    ];
    let page: Page<Value> = visitor.read(&asked.at("/dlqs", more)).await?;
    Ok(page.items)
}

impl Rest {
    /// The lines of the next page, and what comes behind it.
    async fn next(mut self) -> io::Result<Option<(String, Self)>> {
        let letters = match (self.read.take(), self.after) {
            (Some(first), _) => first,
            (None, Some(_)) => {
                let read = read(&self.visitor, &self.asked, self.after).await;
                read.map_err(|problem| io::Error::other(problem.detail))?
            }
            (None, None) => return Ok(None),
        };
        let last = letters.last().filter(|_| letters.len() == PAGE);
        self.after = last.and_then(|last| last["id"].as_i64());
        let lines = letters.iter().map(|it| format!("{it}\n"));
        Ok(Some((lines.collect(), self)))
    }
}
