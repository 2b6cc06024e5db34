//! `GET /deliveries`: newest first, by cursor.
//!
//! Each page reads a bounded part of the record, in the order of an index: as many rows as are asked
//! for, or [`SCAN`] where they have to be looked at. It may so be short, or empty, and yet not the
//! last: what `Link` says decides. A delivery stands where its latest row does.

use axum::extract::State;
use axum::http::header::LINK;
use axum::response::{AppendHeaders, IntoResponse, Response};
use chrono::{DateTime, NaiveTime, Utc};
use common::store::attempts::list::{self, Edge, Row, Stretch};
use common::store::attempts::{days, one};
use common::store::subscriptions::owned;
use serde::Deserialize;
use sqlx::PgPool;
use url::form_urlencoded::Serializer;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::cursor::Cursor;
use super::select::{self, FailureClass, Selected, Status, Wanted};
use super::shown::Delivery;
use crate::access::Caller;
use crate::error::ApiError;
use crate::events::EventId;
use crate::extract::Query;
use crate::fields::{Text, Time};
use crate::list::{Limit, Page};
use crate::refusals;
use crate::state::AppState;

/// How many rows a page looks at, where no index knows what is looked for.
const SCAN: i64 = 5_000;

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Which deliveries to show: those that match everything that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Of this subscription only.
    subscription_id: Option<Uuid>,
    /// Of this event only.
    #[param(value_type = Option<String>, max_length = 256)]
    event_id: Option<EventId>,
    /// Of this city only.
    #[param(value_type = Option<String>, max_length = 200)]
    city: Option<Text>,
    /// Those that are that.
    status: Option<Status>,
    /// Those whose last attempt failed so, as `http_5xx`.
    #[param(value_type = Option<String>, example = "http_5xx")]
    failure: Option<FailureClass>,
    /// Whose last attempt was made then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// Whose last attempt was made before then.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Time>,
    /// Where the page before ended: take the whole link of it.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// How many to show.
    #[serde(default)]
    #[param(value_type = i64, minimum = 1, maximum = 1000, default = 100, example = 100)]
    limit: Limit,
}

/// A query, read.
#[derive(Debug)]
struct Asked {
    wanted: Wanted,
    event_id: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    cursor: Option<Edge>,
    limit: i64,
}

impl From<ListQuery> for Asked {
    fn from(query: ListQuery) -> Self {
        Self {
            wanted: Wanted {
                subscription_id: query.subscription_id,
                city: query.city.map(Into::into),
                status: query.status,
                failure: query.failure.map(|FailureClass(class)| class.label()),
            },
            event_id: query.event_id.map(|EventId(id)| id),
            since: query.since.map(Into::into),
            until: query.until.map(Into::into),
            cursor: query.cursor.map(|Cursor(edge)| edge),
            limit: query.limit.into(),
        }
    }
}

impl Asked {
    /// # Errors
    /// That the range is none, or over before the record begins.
    async fn check(&self, db: &PgPool) -> Result<(), ApiError> {
        let Some(until) = self.until else {
            return Ok(());
        };
        let wrong = |detail| ApiError::InvalidParameter {
            name: "until".into(),
            detail,
        };
        if self.since.is_some_and(|since| since >= until) {
            return Err(wrong("must be after since".into()));
        }
        let first = days::made(db).await?.into_iter().min();
        let begins_at = first.map(|day| day.and_time(NaiveTime::MIN).and_utc());
        match begins_at {
            Some(begins_at) if until <= begins_at => Err(wrong(format!(
                "the record begins at {}",
                begins_at.to_rfc3339()
            ))),
            _ => Ok(()),
        }
    }

    /// What is read, of which `scan` rows.
    fn stretch(&self, scan: i64) -> Stretch {
        let until = Edge::at(self.until.unwrap_or(DateTime::<Utc>::MAX_UTC).min(LAST));
        let before = self
            .cursor
            .filter(|it| it.attempted_at < until.attempted_at);
        Stretch {
            since: self
                .since
                .unwrap_or(DateTime::UNIX_EPOCH)
                .max(DateTime::UNIX_EPOCH),
            before: before.unwrap_or(until),
            limit: scan,
        }
    }

    /// The value of `Link` (RFC 8288).
    fn next(&self, edge: &Edge) -> String {
        let mut query = Serializer::new(String::new());
        query.append_pair("cursor", &Cursor::text(edge));
        query.append_pair("limit", &self.limit.to_string());
        let status = self
            .wanted
            .status
            .and_then(|it| serde_json::to_value(it).ok());
        for (name, text) in [
            (
                "subscription_id",
                self.wanted.subscription_id.map(|id| id.to_string()),
            ),
            ("event_id", self.event_id.clone()),
            ("city", self.wanted.city.clone()),
            (
                "status",
                status.and_then(|it| it.as_str().map(str::to_owned)),
            ),
            ("failure", self.wanted.failure.map(str::to_owned)),
            ("since", self.since.map(|time| time.to_rfc3339())),
            ("until", self.until.map(|time| time.to_rfc3339())),
        ] {
            if let Some(text) = text {
                query.append_pair(name, &text);
            }
        }
        format!("</deliveries?{}>; rel=\"next\"", query.finish())
    }
}

/// After all that can be recorded: the end of the year 9999.
const LAST: DateTime<Utc> = DateTime::from_timestamp_secs(253_402_300_799).expect("it is a time");

/// List deliveries, newest first
///
/// A delivery stands where its last attempt does, or where it became what it is without one. A page
/// may be shorter than `limit`, or empty, and not the last: where there may be more, the header
/// `Link` names the next (`rel="next"`). With `ATTEMPT_LOG=failures` what was delivered at the first
/// attempt is not here, unless it waited before that.
#[utoipa::path(get, path = "/deliveries", tag = "deliveries", params(ListQuery),
    security(("key" = ["read"])), responses(
    (status = 200, body = Page<Delivery>, description = "A part of the list",
     headers(("link" = Option<String>, description = "Where the next part is"))),
    refusals::Deliveries,
))]
async fn list(
    State(db): State<PgPool>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let asked = Asked::from(query);
    asked.check(&db).await?;
    let (deliveries, next) = page(&db, caller.owner(), &asked).await?;
    let link = next.map(|edge| (LINK, asked.next(&edge)));
    let page: Page<Delivery> = deliveries.into_iter().collect();
    Ok((AppendHeaders(link), axum::Json(page)).into_response())
}

/// What became of an event for each subscription that the owner may see, up to the first `limit`;
/// and whether there may be more.
///
/// # Errors
/// The database's.
pub async fn of_event(
    db: &PgPool,
    owner: Option<&str>,
    event_id: &str,
    limit: i64,
) -> sqlx::Result<(Vec<Delivery>, bool)> {
    let asked = Asked {
        wanted: Wanted::default(),
        event_id: Some(event_id.to_owned()),
        since: None,
        until: None,
        cursor: None,
        limit,
    };
    let (deliveries, next) = page(db, owner, &asked).await?;
    Ok((deliveries, next.is_some()))
}

/// Where all deliveries of an event are listed.
pub fn path_of_event(event_id: &str) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("event_id", event_id);
    format!("/deliveries?{}", query.finish())
}

async fn page(
    db: &PgPool,
    owner: Option<&str>,
    asked: &Asked,
) -> sqlx::Result<(Vec<Delivery>, Option<Edge>)> {
    let (rows, scan) = rows(db, owner, asked).await?;
    let limit = usize::try_from(asked.limit).unwrap_or(usize::MAX);
    let Selected { rows, next } = select::select(rows, &asked.wanted, limit, scan);
    let beside = one::beside(db, &rows).await?;
    let mut deliveries = Vec::new();
    for (row, beside) in rows.into_iter().zip(&beside) {
        let delivery = Delivery::of(row, beside);
        let is_wanted = asked.wanted.status.is_none_or(|it| it == delivery.status());
        if !beside.is_past && is_wanted {
            deliveries.push(delivery);
        }
    }
    Ok((deliveries, next))
}

/// What is read for a page, and how many rows were asked for.
async fn rows(db: &PgPool, owner: Option<&str>, asked: &Asked) -> sqlx::Result<(Vec<Row>, usize)> {
    let wanted = &asked.wanted;
    let mut scan = asked.limit;
    if wanted.is_selective() || asked.event_id.is_some() {
        scan = SCAN;
    }
    let size = |scan: i64| usize::try_from(scan).unwrap_or(usize::MAX);
    if let Some(event_id) = &asked.event_id {
        let of = (event_id.as_str(), owner);
        let rows = list::of_event(db, of, asked.stretch(scan)).await?;
        return Ok((rows, size(scan)));
    }
    let ids = match (owner, wanted.subscription_id) {
        (None, None) => {
            let stretch = asked.stretch(scan);
            let rows = if wanted.is_of_failed() {
                list::of_all_failed(db, stretch).await?
            } else {
                list::of_all(db, stretch).await?
            };
            return Ok((rows, size(scan)));
        }
        (None, Some(id)) => vec![id],
        (Some(owner), id) => owned::ids(db, owner, id).await?,
    };
    // Each of them may have the newest rows: what is read grows with their number.
    let scan = asked
        .limit
        .max(scan / i64::try_from(ids.len().max(1)).unwrap_or(i64::MAX));
    let stretch = asked.stretch(scan);
    let rows = if wanted.is_of_failed() {
        list::of_some_failed(db, &ids, stretch).await?
    } else {
        list::of_some(db, &ids, stretch).await?
    };
    Ok((rows, size(scan)))
}
