//! What is around the contents of each page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::assets::Urls;
use crate::moment::{Ago, Until};
use crate::visible;

/// The frame of a page.
#[derive(Clone, Debug)]
pub struct Frame {
    pub title: String,
    pub urls: Urls,
    pub is_admin: bool,
    pub signed_in: bool,
    pub now: DateTime<Utc>,
    pub here: String,
    /// What was done just before, which the page says at its head.
    pub done: &'static str,
}

/// What an action says on the page that follows it, by what the URL names; nothing else gets there.
const DONE: [(&str, &str); 12] = [
    ("created", "It is subscribed."),
    (
        "saved",
        "The changes are saved, and in force within a second.",
    ),
    (
        "paused",
        "It is paused. What happens meanwhile waits for it.",
    ),
    (
        "resumed",
        "It is resumed, and catches up with what it missed.",
    ),
    (
        "enabled",
        "It is enabled, and catches up with what it missed.",
    ),
    ("deleted", "The subscription is removed."),
    ("replaying", "The replay has begun."),
    ("cancelled", "The replay is cancelled."),
    ("retried", "It is due at once."),
    ("erased", "What the receiver answered is erased."),
    ("revoked", "The key is revoked, and refused from now on."),
    ("dropped", "The dead letter is removed."),
];

impl Frame {
    /// For one who is an admin, or not, and signed in, or not.
    pub fn new(
        title: &str,
        (is_admin, signed_in): (bool, bool),
        now: DateTime<Utc>,
        here: &str,
    ) -> Self {
        let query = here.split_once('?').map_or("", |(_, query)| query);
        let done = query.split('&').find_map(|pair| pair.strip_prefix("done="));
        let said = DONE.iter().find(|(name, _)| Some(*name) == done);
        Self {
            title: title.to_owned(),
            urls: Urls::new(),
            is_admin,
            signed_in,
            now,
            here: here.to_owned(),
            done: said.map_or("", |(_, said)| said),
        }
    }

    /// Whether that entry of the navigation leads to here.
    pub fn is_at(&self, path: &str) -> bool {
        let here = self.here.split('?').next().unwrap_or("");
        here == path || (path != "/" && here.starts_with(path))
    }

    /// How long ago that was.
    pub fn ago(&self, at: &DateTime<Utc>) -> Ago {
        Ago {
            at: *at,
            now: self.now,
        }
    }

    /// In how long that is.
    pub fn until(&self, at: &DateTime<Utc>) -> Until {
        Until {
            at: *at,
            now: self.now,
        }
    }
}

/// A template as an answer.
pub fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(visible::page(html)).into_response(),
        // A template only fails where a value's `Display` does.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
