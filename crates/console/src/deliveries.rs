//! Deliveries: the list, one with its attempts, and an event with what became of it everywhere.

use std::collections::HashMap;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::answers::{Attempt, Delivery, Event, Page, Subscription, WholeDelivery};
use crate::api::{escaped, with_query};
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::waterfall::Waterfall;
use crate::{Console, cause, number, redirect};

/// How many a page shows.
const SHOWN: &str = "50";

/// Of how many subscriptions a page tells the names.
const NAMES: usize = 50;

/// The statuses that one may choose from.
const STATUSES: [&str; 6] = [
    "delivered",
    "pending",
    "dead",
    "expired",
    "superseded",
    "cancelled",
];

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new()
        .route("/console/deliveries", get(list))
        .route("/console/deliveries/{id}", get(one))
        .route("/console/deliveries/{id}/retry", post(retry))
        .route("/console/deliveries/{id}/erase", post(erase))
        .route("/console/events", get(find))
        .route("/console/events/{id}", get(event))
}

/// A delivery in a list.
pub struct Row {
    pub it: Delivery,
    /// Whose it is; `None` where the page says that already.
    pub name: Option<String>,
}

impl Row {
    /// Of the subscription of that name.
    pub fn new(it: Delivery, name: Option<String>) -> Self {
        Self { it, name }
    }

    pub fn path(&self) -> String {
        format!("/console/deliveries/{}", escaped(&self.it.id))
    }

    pub fn latency(&self) -> String {
        self.it.latency_ms.map_or(String::new(), number::latency)
    }

    /// What the receiver said, or what kept it from that.
    pub fn answer(&self) -> String {
        match (self.it.last_status, self.it.failure.as_deref()) {
            (Some(status), _) => status.to_string(),
            (None, Some(failure)) => cause::words(failure).to_owned(),
            (None, None) => String::new(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    subscription_id: String,
    event_id: String,
    city: String,
    status: String,
    failure: String,
    since: String,
    until: String,
    cursor: String,
}

impl Asked {
    fn pairs<'a>(&'a self, cursor: &'a str) -> [(&'static str, &'a str); 8] {
        [
            ("subscription_id", self.subscription_id.trim()),
            ("event_id", self.event_id.trim()),
            ("city", self.city.trim()),
            ("status", &self.status),
            ("failure", self.failure.trim()),
            ("since", self.since.trim()),
            ("until", self.until.trim()),
            ("cursor", cursor),
        ]
    }

    fn filters(&self) -> bool {
        self.pairs("")
            .into_iter()
            .any(|(_, value)| !value.is_empty())
    }
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct List {
    frame: Frame,
    asked: Asked,
    rows: Vec<Row>,
    /// The page that follows.
    next: Option<String>,
    /// What is wrong with what was asked for.
    wrong: String,
}

async fn list(visitor: Visitor, Query(asked): Query<Asked>) -> Result<Response, Failed> {
    let own = asked.pairs(&asked.cursor).into_iter();
    let path = with_query("/deliveries", own.chain([("limit", SHOWN)]));
    let mut list = List {
        frame: visitor.frame("Deliveries"),
        asked,
        rows: Vec::new(),
        next: None,
        wrong: String::new(),
    };
    let answer = match visitor.call(Method::GET, &path, None).await {
        Ok(answer) => answer,
        Err(problem) if problem.status == 400 => {
            let name = problem.parameter.unwrap_or_default();
            list.wrong = format!("{name}: {}", problem.detail);
            return Ok(page(&list));
        }
        Err(problem) => return Err(visitor.failed(problem)),
    };
    let cursor = answer.next("cursor");
    list.next = cursor.map(|cursor| with_query("/console/deliveries", list.asked.pairs(&cursor)));
    let deliveries: Page<Delivery> = visitor.read_answer(answer)?;
    list.rows = named(&visitor, deliveries.items).await;
    Ok(page(&list))
}

/// Each with the name of its subscription, where that is still there.
async fn named(visitor: &Visitor, deliveries: Vec<Delivery>) -> Vec<Row> {
    let mut ids: Vec<Uuid> = deliveries.iter().map(|it| it.subscription_id).collect();
    ids.sort();
    ids.dedup();
    let names = names(visitor, &ids).await;
    let rows = deliveries.into_iter().map(|it| {
        let name = names.get(&it.subscription_id).cloned();
        let name = name.unwrap_or_else(|| "removed".into());
        Row::new(it, Some(name))
    });
    rows.collect()
}

/// The names of subscriptions, of so many as a page has.
pub async fn names(visitor: &Visitor, ids: &[Uuid]) -> HashMap<Uuid, String> {
    let asked = ids.iter().take(NAMES).map(async |id| {
        let path = format!("/subscriptions/{id}");
        let read = visitor.read::<Subscription>(&path).await.ok()?;
        Some((*id, read.name))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct One {
    frame: Frame,
    row: Row,
    attempts: Vec<Tried>,
    curl: String,
}

struct Tried {
    it: Attempt,
    waterfall: Option<Waterfall>,
}

async fn one(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failed> {
    let whole: WholeDelivery = visitor
        .get(&format!("/deliveries/{}", escaped(&id)))
        .await?;
    let subscription = whole.delivery.subscription_id;
    let (of, event) = (
        format!("/subscriptions/{subscription}"),
        format!("/events/{}", escaped(&whole.delivery.event_id)),
    );
    let (of, event) = tokio::join!(
        visitor.read::<Subscription>(&of),
        visitor.read::<Event>(&event),
    );
    let of = of.ok();
    let curl = curl(of.as_ref(), &whole, event.ok().as_ref());
    let times = whole.attempts.iter().filter_map(|it| it.latency_ms);
    let longest = times.map(|it| it.total).fold(0.0, f64::max);
    let attempts = whole.attempts.into_iter().map(|it| Tried {
        waterfall: it.latency_ms.map(|phases| Waterfall::new(&phases, longest)),
        it,
    });
    let name = of.map_or("removed".into(), |of| of.name);
    Ok(page(&One {
        frame: visitor.frame("Delivery"),
        attempts: attempts.collect(),
        row: Row::new(whole.delivery, Some(name)),
        curl,
    }))
}

/// The same request as a command. What is secret in it is not known here, and the signature is of
/// its moment: the command says where each goes.
fn curl(of: Option<&Subscription>, whole: &WholeDelivery, event: Option<&Event>) -> String {
    let url = of.map_or("URL", |of| &of.url);
    let shown = whole
        .attempts
        .iter()
        .rev()
        .find_map(|it| it.request_headers.as_ref());
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("webhook-id".to_owned(), whole.delivery.event_id.clone()),
    ];
    if let Some(shown) = shown {
        let pairs = shown
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        headers = pairs
            .filter(|(name, _)| name != "content-length" && name != "host")
            .collect();
    }
    let mut lines = vec![format!("curl --include {}", quoted(url))];
    let headers = headers.into_iter();
    lines.extend(headers.map(|(name, value)| {
        let header = quoted(&format!("{name}: {value}"));
        format!("--header {header}")
    }));
    let body = event.and_then(|event| event.payload.as_ref());
    lines.extend(body.map(|body| format!("--data-raw {}", quoted(&body.to_string()))));
    lines.join(" \\\n  ")
}

/// As a shell takes it, whatever it has in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

async fn retry(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failed> {
    let id = escaped(&id);
    visitor
        .act(Method::POST, &format!("/deliveries/{id}/retry"), None)
        .await?;
    Ok(redirect(&format!("/console/deliveries/{id}?done=retried")))
}

async fn erase(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failed> {
    let id = escaped(&id);
    visitor
        .act(Method::DELETE, &format!("/deliveries/{id}/content"), None)
        .await?;
    Ok(redirect(&format!("/console/deliveries/{id}?done=erased")))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    id: String,
}

/// From a form to the event's own address.
async fn find(Query(Wanted { id }): Query<Wanted>) -> Response {
    match id.trim() {
        "" => redirect("/console/deliveries"),
        id => redirect(&format!("/console/events/{}", escaped(id))),
    }
}

#[derive(Template)]
#[template(path = "event.html")]
struct OneEvent {
    frame: Frame,
    it: Event,
    rows: Vec<Row>,
    payload: String,
}

async fn event(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failed> {
    let mut it: Event = visitor.get(&format!("/events/{}", escaped(&id))).await?;
    let rows = named(&visitor, std::mem::take(&mut it.deliveries)).await;
    let json = it
        .payload
        .as_ref()
        .and_then(|json| serde_json::to_string_pretty(json).ok());
    let payload = json
        .or_else(|| it.payload_base64.clone())
        .unwrap_or_default();
    let frame = visitor.frame("Event");
    Ok(page(&OneEvent {
        frame,
        it,
        rows,
        payload,
    }))
}

impl OneEvent {
    /// Why there is no payload.
    fn missing(&self) -> &'static str {
        match self.it.payload_from.as_str() {
            "gone" => "The topic does not keep it any more.",
            "another_topic" => "It lies in another topic than this service reads.",
            "kafka_unavailable" => "Kafka does not answer now; load the page again later.",
            _ => "It was not found.",
        }
    }
}

impl One {
    fn may_be_retried(&self) -> bool {
        matches!(self.row.it.status.as_str(), "pending" | "dead")
    }
}

impl Tried {
    fn outcome(&self) -> &str {
        match (self.it.outcome.as_str(), self.it.posted) {
            ("pending", true) => "to be tried again",
            ("pending", false) => "set aside",
            (other, _) => cause::state(other),
        }
    }

    fn headers(of: Option<&Map<String, Value>>) -> String {
        let pairs = of.into_iter().flatten().map(|(name, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            format!("{name}: {value}")
        });
        pairs.collect::<Vec<_>>().join("\n")
    }

    fn request(&self) -> String {
        Self::headers(self.it.request_headers.as_ref())
    }

    fn response(&self) -> String {
        Self::headers(self.it.response_headers.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_for_a_shell_stays_one_word() {
        assert_eq!(quoted("it's $(rm -rf /)"), r"'it'\''s $(rm -rf /)'");
    }
}
