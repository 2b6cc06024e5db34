//! Dead letters, by subscription and cause, and sending them again.
//!
//! The API groups them: `/console/dead-letters` shows its groups, and one group with its letters where the
//! URL names one (`group`). `download` gives all that fit; `sent_again` shows how sending again goes.

mod download;
mod group;
mod sent_again;

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::answers::{self, Page, Reprocessed, RequeuedGroup};
use crate::api::with_query;
use crate::deliveries::names;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{Console, cause, number, redirect};

const PATH: &str = "/console/dead-letters";

/// How many groups a page shows.
const SHOWN: usize = 50;

/// How many of a group are sent again at once: as many as the API takes.
const MOST: i64 = 10_000;

/// How a subscription is called that was removed.
const GONE: &str = "a subscription that was removed";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route(PATH, get(show))
        .route("/console/dead-letters/reprocess", post(reprocess))
        .route("/console/dead-letters/{id}/drop", post(drop_one))
        .merge(download::routes())
        .merge(sent_again::routes())
}

/// Which letters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    subscription_id: String,
    reason: String,
    /// Empty: those without one; `None`: whatever it is.
    last_error: Option<String>,
    skip: usize,
}

impl Asked {
    /// Those letters at another path, with more to say.
    fn at<'a>(&'a self, path: &str, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let last_error = self.last_error.as_deref();
        let own = [
            ("subscription_id", &*self.subscription_id),
            ("reason", &*self.reason),
            ("last_error", last_error.unwrap_or_default()),
        ];
        let path = with_query(path, own.into_iter().chain(more));
        match (last_error, path.contains('?')) {
            (Some(""), true) => format!("{path}&last_error="),
            (Some(""), false) => format!("{path}?last_error="),
            _ => path,
        }
    }

    /// Whether there can be no more than one group.
    fn is_group(&self) -> bool {
        let is_somebodys = !self.subscription_id.is_empty() || self.reason == "malformed";
        is_somebodys && !self.reason.is_empty() && self.last_error.is_some()
    }

    fn filters(&self) -> bool {
        let has_text = !self.subscription_id.is_empty() || !self.reason.is_empty();
        has_text || self.last_error.is_some()
    }

    fn download(&self) -> String {
        self.at("/console/dead-letters.ndjson", [])
    }
}

/// What failed in the same way for the same subscription.
struct Group {
    it: answers::Group,
    name: String,
}

impl Group {
    fn new(it: answers::Group, names: &HashMap<Uuid, String>) -> Self {
        let id = it.subscription_id;
        let name = id.map_or("No event", |id| names.get(&id).map_or(GONE, |name| name));
        Self {
            name: name.to_owned(),
            it,
        }
    }

    /// What names it.
    fn asked(&self) -> Asked {
        Asked {
            subscription_id: self.id(),
            reason: self.it.reason.clone(),
            last_error: Some(self.it.last_error.clone().unwrap_or_default()),
            skip: 0,
        }
    }

    fn id(&self) -> String {
        let id = self.it.subscription_id;
        id.map_or(String::new(), |id| id.to_string())
    }

    fn path(&self) -> String {
        self.asked().at(PATH, [])
    }

    fn text(&self) -> String {
        let reason = cause::state(&self.it.reason);
        match self.it.last_error.as_deref() {
            None => reason.to_owned(),
            Some(error) => format!("{}, {reason}", cause::words(error)),
        }
    }

    fn count(&self) -> String {
        number::count(self.it.count)
    }

    fn may_be_sent(&self) -> bool {
        self.it.subscription_id.is_some() && self.name != GONE
    }

    /// What the button says that sends it again.
    fn send(&self) -> String {
        match self.it.count {
            count if count > MOST => format!("Send the oldest {} again", number::count(MOST)),
            _ => format!("Send all {} again", self.count()),
        }
    }
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct List {
    frame: Frame,
    asked: Asked,
    groups: Vec<Group>,
    has_more: bool,
}

impl List {
    fn page_at(&self, skip: usize) -> String {
        match skip {
            0 => self.asked.at(PATH, []),
            skip => self.asked.at(PATH, [("skip", &*skip.to_string())]),
        }
    }

    fn next(&self) -> String {
        self.page_at(self.asked.skip + SHOWN)
    }

    fn previous(&self) -> String {
        self.page_at(self.asked.skip.saturating_sub(SHOWN))
    }
}

async fn show(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    if asked.is_group() {
        return group::show(visitor, asked).await;
    }
    let (skip, limit) = (asked.skip.to_string(), (SHOWN + 1).to_string());
    let more = [("skip", &*skip), ("limit", &*limit)];
    let mut groups = groups(&visitor, &asked.at("/dlqs/groups", more)).await?;
    let has_more = groups.len() > SHOWN;
    groups.truncate(SHOWN);
    Ok(page(&List {
        frame: visitor.frame("Dead letters"),
        asked,
        groups,
        has_more,
    }))
}

/// Those groups of the API, with the names of their subscriptions.
async fn groups(visitor: &Visitor, path: &str) -> Result<Vec<Group>, Failed> {
    let found: Page<answers::Group> = visitor.get(path).await?;
    let of = found.items.iter().filter_map(|it| it.subscription_id);
    let mut ids: Vec<Uuid> = of.take(SHOWN).collect();
    ids.sort();
    ids.dedup();
    let names = names(visitor, &ids).await;
    let groups = found.items.into_iter();
    Ok(groups.map(|it| Group::new(it, &names)).collect())
}

/// Those that are named, or the whole group; what becomes of them is a page of its own.
async fn reprocess(
    visitor: Visitor,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Failed> {
    let value = |of: &str| {
        let found = pairs.iter().find(|(name, _)| name == of);
        found.map(|(_, value)| value.clone())
    };
    let asked = Asked {
        subscription_id: value("subscription_id").unwrap_or_default(),
        reason: value("reason").unwrap_or_default(),
        last_error: value("last_error"),
        skip: 0,
    };
    if value("all").is_some() {
        let until = value("until").filter(|it| !it.is_empty());
        return send_group(&visitor, &asked, until).await;
    }
    let named = pairs.iter().filter(|(name, _)| name == "dlq");
    let ids: Vec<i64> = named.filter_map(|(_, id)| id.parse().ok()).collect();
    let mut done = Reprocessed::default();
    if !ids.is_empty() {
        let body = json!({"dlqs": ids});
        let answer = visitor.act(Method::POST, "/dlqs", Some(&body)).await?;
        done = visitor.read_answer(answer)?;
    }
    Ok(redirect(&sent_again::path_of_some(&asked, &done)))
}

async fn send_group(
    visitor: &Visitor,
    asked: &Asked,
    until: Option<String>,
) -> Result<Response, Failed> {
    let last_error = asked.last_error.as_deref().filter(|it| !it.is_empty());
    let body = json!({
        "subscription_id": asked.subscription_id, "reason": asked.reason, "last_error": last_error,
        "until": until,
    });
    let answer = visitor
        .act(Method::POST, "/dlqs/groups", Some(&body))
        .await?;
    let done: RequeuedGroup = visitor.read_answer(answer)?;
    Ok(redirect(&sent_again::path_of_group(asked, &done, until)))
}

async fn drop_one(visitor: Visitor, Path(id): Path<i64>) -> Result<Response, Failed> {
    visitor
        .act(Method::DELETE, &format!("/dlqs/{id}"), None)
        .await?;
    Ok(redirect("/console/dead-letters?done=dropped"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(of: Option<Uuid>, error: Option<&str>, count: i64) -> Group {
        let it = serde_json::from_value(json!({
            "subscription_id": of, "last_error": error, "count": count,
            "reason": if of.is_some() { "exhausted" } else { "malformed" },
            "oldest_at": "2026-11-23T21:00:00Z", "newest_at": "2026-11-23T21:00:00Z",
        }));
        let names = HashMap::from([(Uuid::max(), "b".to_owned())]);
        Group::new(it.expect("a group"), &names)
    }

    #[test]
    fn a_group_is_named_by_what_its_letters_have_in_common() {
        for (of, error, name, text) in [
            (
                Some(Uuid::max()),
                Some("timeout"),
                "b",
                "no answer in time, retries used up",
            ),
            (Some(Uuid::nil()), None, GONE, "retries used up"),
            (None, Some("no object"), "No event", "no object, no event"),
        ] {
            let group = group(of, error, 1);
            assert_eq!((&*group.name, &*group.text()), (name, text));
            assert_eq!(group.may_be_sent(), name == "b");
        }
    }

    #[test]
    fn a_group_has_a_page_and_one_without_an_error_too() {
        let id = Uuid::max();
        for (group, rest) in [
            (group(Some(id), Some("a&b"), 1), "&last_error=a%26b"),
            (group(Some(id), None, 1), "&last_error="),
        ] {
            let id = crate::api::escaped(&id.to_string());
            let path = format!("{PATH}?subscription_id={id}&reason=exhausted{rest}");
            assert_eq!(group.path(), path);
            assert!(group.asked().is_group());
        }
        assert_eq!(
            group(None, Some("x"), 1).path(),
            format!("{PATH}?reason=malformed&last_error=x")
        );
    }

    #[test]
    fn a_button_promises_no_more_than_one_call_does() {
        assert_eq!(group(None, None, MOST).send(), "Send all 10,000 again");
        let more = group(None, None, MOST + 1).send();
        assert_eq!(more, "Send the oldest 10,000 again");
    }
}
