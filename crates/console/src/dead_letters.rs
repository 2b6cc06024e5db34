//! Dead letters, by subscription and cause, and sending them again.
//!
//! The API lists them one by one; they are gathered here, as many as [`LOOKED_AT`] of the oldest. A
//! group that is sent again is looked up anew, so that it is what it is by then; `sent_again` shows how
//! that goes.

mod sent_again;

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{Form, Path, Query};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::answers::{At, DeadLetter, Page, Reprocessed};
use crate::api::with_query;
use crate::deliveries::names;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{Console, cause, number, redirect};

/// How many are looked at, and sent again at once: as many as the API takes.
const LOOKED_AT: usize = 1000;

/// How many of a group are shown.
const SHOWN: usize = 100;

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/dead-letters", get(list))
        .route("/console/dead-letters/reprocess", post(reprocess))
        .route("/console/dead-letters/{id}/drop", post(drop_one))
        .route("/console/dead-letters.ndjson", get(download))
        .merge(sent_again::routes())
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    subscription_id: String,
    cause: String,
}

/// What failed in the same way for the same subscription.
struct Group {
    subscription_id: Option<Uuid>,
    name: String,
    cause: String,
    letters: Vec<DeadLetter>,
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct List {
    frame: Frame,
    asked: Asked,
    groups: Vec<Group>,
    is_cut: bool,
}

/// What letters have in common, as URLs have it: `exhausted.http_5xx`.
fn cause_of(letter: &DeadLetter) -> String {
    let error = letter.last_error.as_deref();
    error.map_or(letter.reason.clone(), |error| {
        format!("{}.{error}", letter.reason)
    })
}

impl Group {
    fn text(&self) -> String {
        let (reason, error) = self.cause.split_once('.').unwrap_or((&self.cause, ""));
        match error {
            "" => cause::state(reason).to_owned(),
            error => format!("{}, {}", cause::words(error), cause::state(reason)),
        }
    }

    fn id(&self) -> String {
        self.subscription_id
            .map_or(String::new(), |id| id.to_string())
    }

    fn count(&self) -> String {
        number::count(i64::try_from(self.letters.len()).unwrap_or(i64::MAX))
    }

    fn may_be_sent(&self) -> bool {
        self.subscription_id.is_some() && self.name != GONE
    }

    fn newest(&self) -> &At {
        let times = self.letters.iter().map(|it| &it.created_at);
        times.max().expect("a group has a letter")
    }

    fn oldest(&self) -> &At {
        let times = self.letters.iter().map(|it| &it.created_at);
        times.min().expect("a group has a letter")
    }

    fn shown(&self) -> &[DeadLetter] {
        &self.letters[..self.letters.len().min(SHOWN)]
    }
}

impl List {
    fn download(&self) -> String {
        let asked = &self.asked;
        let given = [
            ("subscription_id", &*asked.subscription_id),
            ("cause", &*asked.cause),
        ];
        with_query("/console/dead-letters.ndjson", given)
    }
}

/// How a subscription is called that was removed.
const GONE: &str = "a subscription that was removed";

impl Asked {
    /// Where the API has them, whatever the cause.
    fn path(&self) -> String {
        let limit = LOOKED_AT.to_string();
        let given = [
            ("limit", &*limit),
            ("subscription_id", &*self.subscription_id),
        ];
        with_query("/dlqs", given)
    }

    /// Those that fit of what was looked at, and whether there may be more.
    fn of(&self, mut letters: Vec<DeadLetter>) -> (Vec<DeadLetter>, bool) {
        let is_cut = letters.len() == LOOKED_AT;
        letters.retain(|it| self.fits(it));
        (letters, is_cut)
    }

    fn fits(&self, letter: &DeadLetter) -> bool {
        self.cause.is_empty() || cause_of(letter) == self.cause
    }
}

/// Those that fit, and whether there may be more than were looked at.
async fn letters(visitor: &Visitor, asked: &Asked) -> Result<(Vec<DeadLetter>, bool), Failed> {
    let page: Page<DeadLetter> = visitor.get(&asked.path()).await?;
    Ok(asked.of(page.items))
}

async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    let (letters, is_cut) = letters(&visitor, &asked).await?;
    let mut ids: Vec<Uuid> = letters.iter().filter_map(|it| it.subscription_id).collect();
    ids.sort();
    ids.dedup();
    let names = names(&visitor, &ids).await;
    Ok(page(&List {
        frame: visitor.frame("Dead letters"),
        asked,
        groups: groups(letters, &names),
        is_cut,
    }))
}

/// The largest first.
fn groups(letters: Vec<DeadLetter>, names: &HashMap<Uuid, String>) -> Vec<Group> {
    let mut by: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for letter in letters {
        let key = (letter.subscription_id, cause_of(&letter));
        by.entry(key).or_default().push(letter);
    }
    let groups = by.into_iter().map(|((subscription_id, cause), letters)| {
        let name =
            subscription_id.map_or("No event", |id| names.get(&id).map_or(GONE, |name| name));
        Group {
            name: name.to_owned(),
            subscription_id,
            cause,
            letters,
        }
    });
    let mut groups: Vec<_> = groups.collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.letters.len()));
    groups
}

/// Those that are named, else the whole group; what becomes of them is a page of its own.
async fn reprocess(
    visitor: Visitor,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Failed> {
    let value = |of: &str| {
        let found = pairs.iter().find(|(name, _)| name == of);
        found.map_or(String::new(), |(_, value)| value.clone())
    };
    let asked = Asked {
        subscription_id: value("subscription_id"),
        cause: value("cause"),
    };
    let named = pairs.iter().filter(|(name, _)| name == "dlq");
    let mut ids: Vec<i64> = named.filter_map(|(_, id)| id.parse().ok()).collect();
    let (letters, _) = letters(&visitor, &asked).await?;
    if ids.is_empty() && value("all") == "yes" {
        ids = letters.iter().map(|it| it.id).collect();
    }
    ids.truncate(LOOKED_AT);
    let mut done = Reprocessed::default();
    if !ids.is_empty() {
        let body = json!({"dlqs": ids});
        let answer = visitor.act(Method::POST, "/dlqs", Some(&body)).await?;
        done = visitor.read_answer(answer)?;
    }
    let path = sent_again::path(&asked, &letters, &done, visitor.now);
    Ok(redirect(&path))
}

async fn drop_one(visitor: Visitor, Path(id): Path<i64>) -> Result<Response, Failed> {
    visitor
        .act(Method::DELETE, &format!("/dlqs/{id}"), None)
        .await?;
    Ok(redirect("/console/dead-letters?done=dropped"))
}

/// A line of JSON each, as the API has them.
async fn download(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    let all: Page<Value> = visitor.get(&asked.path()).await?;
    let fits = |it: &&Value| DeadLetter::deserialize(*it).is_ok_and(|it| asked.fits(&it));
    let lines: Vec<_> = all
        .items
        .iter()
        .filter(fits)
        .map(|it| format!("{it}\n"))
        .collect();
    let name = HeaderValue::from_static("attachment; filename=\"dead-letters.ndjson\"");
    let kind = HeaderValue::from_static("application/x-ndjson");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from(lines.concat())).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: i64, of: Option<Uuid>, error: Option<&str>) -> DeadLetter {
        serde_json::from_value(json!({
            "id": id, "subscription_id": of, "event_id": "e", "topic": "t", "partition": 0,
            "offset": id, "payload_bytes": 2, "attempts": 3, "last_error": error,
            "reason": if of.is_some() { "exhausted" } else { "malformed" },
            "created_at": "2026-11-23T21:00:00Z",
        }))
        .expect("a dead letter")
    }

    #[test]
    fn that_there_may_be_more_is_said_whatever_the_cause_that_is_asked_for() {
        let asked = Asked {
            cause: "exhausted.timeout".into(),
            ..Asked::default()
        };
        for (looked_at, is_cut) in [(LOOKED_AT, true), (LOOKED_AT - 1, false)] {
            let ids = 1..=i64::try_from(looked_at).expect("few");
            let error = |id| if id == 1 { "timeout" } else { "http_5xx" };
            let all = ids.map(|id| letter(id, Some(Uuid::from_u128(1)), Some(error(id))));
            let (fit, cut) = asked.of(all.collect());
            assert_eq!((fit.len(), cut), (1, is_cut));
        }
    }

    #[test]
    fn what_failed_alike_for_one_subscription_is_a_group_and_the_largest_is_first() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let letters = vec![
            letter(1, Some(one), Some("http_5xx")),
            letter(2, Some(other), Some("timeout")),
            letter(3, Some(other), Some("timeout")),
            letter(4, Some(one), Some("timeout")),
            letter(5, None, None),
        ];
        let groups = groups(letters, &HashMap::from([(other, "b".to_owned())]));
        let told: Vec<_> = groups
            .iter()
            .map(|it| (it.name.as_str(), it.text(), it.letters.len()))
            .collect();
        assert_eq!(
            told[0],
            ("b", "no answer in time, retries used up".to_owned(), 2)
        );
        assert_eq!(told.len(), 4);
        assert!(told.contains(&("No event", "no event".to_owned(), 1)));
    }
}
