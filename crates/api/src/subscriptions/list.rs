//! `GET /subscriptions`: all, or those that somebody looks for.

use axum::extract::State;
use common::secrets::Keyring;
use common::store::subscriptions::{self, Health, State as Active, Wanted};
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::IntoParams;

use super::shown::{self, Subscription};
use crate::access::Caller;
use crate::error::ApiError;
use crate::extract::Query;
use crate::fields::Text;
use crate::list::{Limit, Page, Skip};
use crate::refusals;

/// Which subscriptions to show: those that fit everything that is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// How many to leave out.
    #[serde(default)]
    #[param(value_type = i64, minimum = 0, default = 0, example = 0)]
    skip: Skip,
    /// How many to show.
    #[serde(default)]
    #[param(value_type = i64, minimum = 1, maximum = 1000, default = 100, example = 100)]
    limit: Limit,
    /// Those whose name, URL or owner has this in it, in upper or lower case, or whose id it is.
    #[param(value_type = Option<String>, max_length = 200)]
    q: Option<Text>,
    /// Those in this state.
    state: Option<Active>,
    /// Those that suffer from this.
    health: Option<Health>,
}

/// List subscriptions, oldest first
#[utoipa::path(get, path = "/subscriptions", tag = "subscriptions", params(ListQuery),
    security(("key" = ["read"])), responses(
    (status = 200, body = Page<Subscription>, description = "A part of the list"),
    refusals::List,
))]
pub async fn list(
    State(db): State<PgPool>,
    State(keyring): State<Keyring>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<Page<Subscription>>, ApiError> {
    let wanted = Wanted {
        owner: caller.owner(),
        text: query.q.as_ref().map(Text::as_str),
        state: query.state,
        health: query.health,
    };
    let rows = subscriptions::list(&db, wanted, query.skip.into(), query.limit.into()).await?;
    let shown = shown::all(&db, &keyring, rows).await?;
    Ok(axum::Json(shown.into_iter().collect()))
}
