//! What becomes of dead letters that were sent again: which arrived, which are on their way, and which
//! failed again.
//!
//! The page's URL says which they were, by where their events lie in Kafka, and since when: it can be
//! loaded again, and sent to a colleague. Each is looked up among the latest deliveries of its
//! subscription, as what it is by then.

use std::collections::HashSet;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;

use super::Asked;
use crate::answers::{DeadLetter, Delivery, Page, Reprocessed};
use crate::api::with_query;
use crate::deliveries::Row;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{Console, number};

const PATH: &str = "/console/dead-letters/sent-again";

/// How many of the API's pages are looked through, and how long each is.
const PAGES: usize = 20;
const PAGE: &str = "1000";

/// How many of those that failed again are shown.
const SHOWN: usize = 50;

/// How far before the request deliveries are looked for: this host's clock and the database's differ
/// by less.
const SLACK: TimeDelta = TimeDelta::seconds(30);

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route(PATH, get(sent_again))
}

/// Where an event lies.
type Place = (i64, i64);

/// What the URL says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    subscription_id: String,
    since: String,
    /// Places, as `3-4711_3-4712`: neither sign is escaped in a URL.
    of: String,
    not_found: usize,
    malformed: usize,
    removed: usize,
}

/// The page that follows `done`, where that was asked for `letters`.
pub fn path(
    asked: &Asked,
    letters: &[DeadLetter],
    done: &Reprocessed,
    now: DateTime<Utc>,
) -> String {
    let requeued: HashSet<_> = done.requeued.iter().collect();
    let sent = letters.iter().filter(|it| requeued.contains(&it.id));
    let of: Vec<_> = sent
        .map(|it| format!("{}-{}", it.partition, it.offset))
        .collect();
    let refused = |reason: &str| done.refused.iter().filter(|it| it.reason == reason).count();
    let count = |count: usize| match count {
        0 => String::new(),
        some => some.to_string(),
    };
    let given = [
        ("subscription_id", asked.subscription_id.clone()),
        ("since", now.to_rfc3339_opts(SecondsFormat::Secs, true)),
        ("not_found", count(done.not_found.len())),
        ("malformed", count(refused("malformed"))),
        ("removed", count(refused("subscription_deleted"))),
    ];
    let given = given.iter().map(|(name, value)| (*name, &**value));
    format!("{}&of={}", with_query(PATH, given), of.join("_"))
}

impl Sent {
    /// What is no place is none that was sent.
    fn places(&self) -> HashSet<Place> {
        let places = self.of.split('_').filter_map(|place| {
            let (partition, offset) = place.split_once('-')?;
            Some((partition.parse().ok()?, offset.parse().ok()?))
        });
        places.take(super::LOOKED_AT).collect()
    }

    fn is_refused(&self) -> bool {
        self.malformed + self.removed > 0
    }
}

#[derive(Template)]
#[template(path = "sent_again.html")]
struct SentAgain {
    frame: Frame,
    sent: Sent,
    fates: Fates,
}

/// How many of those that were sent are what by now.
#[derive(Default)]
struct Fates {
    all: usize,
    delivered: usize,
    pending: usize,
    /// Expired, superseded or cancelled: by the subscription's policy, or by somebody.
    ended: usize,
    failed: Vec<Row>,
}

impl Fates {
    fn of(all: usize, found: Vec<Delivery>) -> Self {
        let mut fates = Self {
            all,
            ..Self::default()
        };
        for delivery in found {
            match delivery.status.as_str() {
                "delivered" => fates.delivered += 1,
                "pending" => fates.pending += 1,
                "dead" => fates.failed.push(Row::new(delivery, None)),
                _ => fates.ended += 1,
            }
        }
        fates
    }

    fn settled(&self) -> usize {
        self.delivered + self.ended + self.failed.len()
    }

    /// Those of which nothing is recorded yet count as on their way.
    fn on_the_way(&self) -> usize {
        self.all - self.settled()
    }

    fn shown(&self) -> &[Row] {
        &self.failed[..self.failed.len().min(SHOWN)]
    }

    fn headline(&self) -> String {
        let all = text(self.all);
        match (self.all, self.on_the_way(), self.failed.len()) {
            (0, _, _) => "Nothing was sent again.".into(),
            (1, 1, _) => "One is on its way again.".into(),
            (_, on_the_way, _) if on_the_way == self.all => {
                format!("{all} are on their way again.")
            }
            (_, 1.., _) => format!("{} of {all} are settled.", text(self.settled())),
            (1, 0, 1) => "It failed again.".into(),
            (_, 0, failed @ 1..) => format!("{} of {all} failed again.", text(failed)),
            (1, 0, 0) if self.delivered == 1 => "It has arrived.".into(),
            (_, 0, 0) if self.delivered == self.all => format!("All {all} have arrived."),
            _ => format!("{} of {all} have arrived.", text(self.delivered)),
        }
    }
}

fn text(count: usize) -> String {
    number::count(i64::try_from(count).unwrap_or(i64::MAX))
}

async fn sent_again(visitor: Visitor, Query(sent): Query<Sent>) -> Result<Response, Failed> {
    let places = sent.places();
    let all = places.len();
    let found = found(&visitor, &sent, places).await?;
    Ok(page(&SentAgain {
        frame: visitor.frame("Sent again"),
        fates: Fates::of(all, found),
        sent,
    }))
}

/// The deliveries of those places, as far as they are among the latest.
async fn found(
    visitor: &Visitor,
    sent: &Sent,
    mut places: HashSet<Place>,
) -> Result<Vec<Delivery>, Failed> {
    let since = sent.since.parse::<DateTime<Utc>>().unwrap_or(visitor.now) - SLACK;
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (mut found, mut cursor) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        if places.is_empty() {
            break;
        }
        let given = [
            ("subscription_id", &*sent.subscription_id),
            ("since", &*since),
            ("cursor", &*cursor),
            ("limit", PAGE),
        ];
        let path = with_query("/deliveries", given);
        let answer = visitor.act(Method::GET, &path, None).await?;
        let next = answer.next("cursor");
        let deliveries: Page<Delivery> = visitor.read_answer(answer)?;
        let sent = deliveries.items.into_iter();
        found.extend(sent.filter(|it| places.remove(&(it.partition, it.offset))));
        let Some(next) = next else { break };
        cursor = next;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fates(statuses: &[&str]) -> Fates {
        let deliveries = statuses.iter().map(|status| {
            serde_json::from_value(json!({
                "id": "a", "subscription_id": "0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11",
                "event_id": "e", "status": status, "at": "2026-11-23T21:00:00Z",
                "attempts_made": 1, "topic": "t", "partition": 1, "offset": 2,
            }))
            .expect("a delivery")
        });
        Fates::of(statuses.len(), deliveries.collect())
    }

    #[test]
    fn the_headline_says_how_it_went() {
        for (statuses, headline) in [
            (&[][..], "Nothing was sent again."),
            (&["pending"], "One is on its way again."),
            (&["pending", "pending"], "2 are on their way again."),
            (&["pending", "delivered"], "1 of 2 are settled."),
            (&["dead"], "It failed again."),
            (&["dead", "delivered"], "1 of 2 failed again."),
            (&["delivered"], "It has arrived."),
            (&["delivered", "delivered"], "All 2 have arrived."),
            (&["expired", "delivered"], "1 of 2 have arrived."),
        ] {
            assert_eq!(fates(statuses).headline(), headline);
        }
    }

    #[test]
    fn what_is_not_found_yet_is_on_its_way() {
        let fates = Fates::of(3, Vec::new());
        assert_eq!((fates.settled(), fates.on_the_way()), (0, 3));
    }

    #[test]
    fn places_survive_the_url_and_what_is_none_is_left_out() {
        let sent = Sent {
            of: "3-4711_0-12_x-1__7".into(),
            ..Sent::default()
        };
        assert_eq!(sent.places(), HashSet::from([(3, 4711), (0, 12)]));
    }
}
