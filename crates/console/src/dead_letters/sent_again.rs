//! What becomes of dead letters that were sent again: which arrived, which are on their way, and which
//! failed again.
//!
//! The page's URL says when that was, by which the API knows them: it can be loaded again, and sent to a
//! colleague. Of a group it says how many remained besides, and offers to send the next ones; only those
//! that were there when the first were sent, so that what fails again is not sent again for ever.

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::get;
use chrono::SecondsFormat;
use serde::Deserialize;

use super::{Asked, MOST};
use crate::answers::{At, Reprocessed, RequeuedGroup, SentAgain};
use crate::api::with_query;
use crate::deliveries::Row;
use crate::failed::Failed;
use crate::frame::{Frame, page};
use crate::visitor::Visitor;
use crate::{Console, number};

const PATH: &str = "/console/dead-letters/sent-again";

/// The routes of this file.
pub fn routes() -> Router<Console> {
    Router::new().route(PATH, get(show))
}

/// What the URL says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sent {
    /// Empty: nothing was.
    at: String,
    subscription_id: String,
    reason: String,
    last_error: Option<String>,
    /// How many of the group were left, of those that came before `until`.
    remaining: i64,
    until: String,
    not_found: usize,
    malformed: usize,
    removed: usize,
}

/// As the API has it, so that it is the same moment there.
fn moment(at: Option<At>) -> String {
    at.map_or(String::new(), |at| {
        at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    })
}

/// Nothing stands for none, so that the URL is short.
fn count(count: usize) -> String {
    match count {
        0 => String::new(),
        some => some.to_string(),
    }
}

/// The page that follows when some of a group were sent.
pub fn path_of_some(asked: &Asked, done: &Reprocessed) -> String {
    let refused = |reason: &str| done.refused.iter().filter(|it| it.reason == reason).count();
    let given = [
        ("at", moment(done.requeued_at)),
        ("subscription_id", asked.subscription_id.clone()),
        ("not_found", count(done.not_found.len())),
        ("malformed", count(refused("malformed"))),
        ("removed", count(refused("subscription_deleted"))),
    ];
    with_query(PATH, given.iter().map(|(name, value)| (*name, &**value)))
}

/// The page that follows when a group was sent, as far as it was there `until` then.
pub fn path_of_group(asked: &Asked, done: &RequeuedGroup, until: Option<String>) -> String {
    let at = moment(done.requeued_at);
    if done.remaining == 0 {
        let given = [("at", &*at), ("subscription_id", &*asked.subscription_id)];
        return with_query(PATH, given);
    }
    let (until, remaining) = (until.unwrap_or(at.clone()), done.remaining.to_string());
    let more = [("at", &*at), ("remaining", &*remaining), ("until", &*until)];
    asked.at(PATH, more)
}

impl Sent {
    fn is_refused(&self) -> bool {
        self.malformed + self.removed > 0
    }

    fn remaining(&self) -> String {
        number::count(self.remaining)
    }

    /// What the button says that sends the next ones.
    fn send(&self) -> String {
        match self.remaining {
            count if count > MOST => format!("Send the next {} again", number::count(MOST)),
            _ => format!("Send the other {} again", self.remaining()),
        }
    }
}

#[derive(Template)]
#[template(path = "sent_again.html")]
struct Shown {
    frame: Frame,
    sent: Sent,
    fates: Fates,
}

/// How many of those that were sent are what by now.
#[derive(Default)]
struct Fates {
    all: i64,
    delivered: i64,
    on_the_way: i64,
    /// Expired, superseded or cancelled: by the subscription's policy, or by somebody.
    ended: i64,
    failed: i64,
    /// Some of those.
    rows: Vec<Row>,
}

impl From<SentAgain> for Fates {
    fn from(known: SentAgain) -> Self {
        let rows = known.failed_again.into_iter();
        Self {
            all: known.count,
            delivered: known.delivered,
            on_the_way: known.pending,
            ended: known.expired + known.superseded + known.cancelled,
            failed: known.dead,
            rows: rows.map(|it| Row::new(it, None)).collect(),
        }
    }
}

impl Fates {
    fn settled(&self) -> i64 {
        self.all - self.on_the_way
    }

    fn are_more_than_shown(&self) -> bool {
        i64::try_from(self.rows.len()).is_ok_and(|shown| shown < self.failed)
    }

    fn headline(&self) -> String {
        let all = number::count(self.all);
        match (self.all, self.on_the_way, self.failed) {
            (0, _, _) => "Nothing was sent again.".into(),
            (1, 1, _) => "One is on its way again.".into(),
            (_, on_the_way, _) if on_the_way == self.all => {
                format!("{all} are on their way again.")
            }
            (_, 1.., _) => format!("{} of {all} are settled.", number::count(self.settled())),
            (1, _, 1) => "It failed again.".into(),
            (_, _, failed @ 1..) => format!("{} of {all} failed again.", number::count(failed)),
            (1, _, _) if self.delivered == 1 => "It has arrived.".into(),
            _ if self.delivered == self.all => format!("All {all} have arrived."),
            _ => format!("{} of {all} have arrived.", number::count(self.delivered)),
        }
    }
}

async fn show(visitor: Visitor, Query(sent): Query<Sent>) -> Result<Response, Failed> {
    let mut fates = Fates::default();
    if !sent.at.is_empty() {
        let path = with_query("/dlqs/reprocessed", [("at", &*sent.at)]);
        fates = visitor.get::<SentAgain>(&path).await?.into();
    }
    Ok(page(&Shown {
        frame: visitor.frame("Sent again"),
        fates,
        sent,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fates(statuses: &[&str]) -> Fates {
        let of = |status: &str| statuses.iter().filter(|it| **it == status).count();
        let known = json!({
            "count": statuses.len(), "delivered": of("delivered"), "pending": of("pending"),
            "dead": of("dead"), "expired": of("expired"), "superseded": 0, "cancelled": 0,
            "failed_again": [],
        });
        let known: SentAgain = serde_json::from_value(known).expect("an answer");
        known.into()
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
    fn the_next_of_a_group_are_those_that_were_there_when_the_first_were_sent() {
        let asked = Asked {
            subscription_id: "a".into(),
            reason: "exhausted".into(),
            last_error: Some("timeout".into()),
            skip: 0,
        };
        let done = |remaining: i64| RequeuedGroup {
            remaining,
            requeued_at: "2026-11-24T15:02:11.480172Z".parse().ok(),
        };
        let at = "at=2026%2D11%2D24T15%3A02%3A11%2E480172Z";
        assert_eq!(
            path_of_group(&asked, &done(0), None),
            format!("{PATH}?{at}&subscription_id=a")
        );
        let group = "subscription_id=a&reason=exhausted&last_error=timeout";
        for (given, until) in [(None, &at[3..]), (Some("2026"), "2026")] {
            assert_eq!(
                path_of_group(&asked, &done(7), given.map(str::to_owned)),
                format!("{PATH}?{group}&{at}&remaining=7&until={until}")
            );
        }
    }
}
