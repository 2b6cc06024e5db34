//! All routes, and around them what holds for each: a bound on body and time, and `observe`.

use std::any::Any;
use std::time::Duration;

use anyhow::anyhow;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

use crate::access::Guard;
use crate::document::{self, Document};
use crate::door::{Door, DoorArgs};
use crate::error::ApiError;
use crate::observe::observe;
use crate::state::AppState;
use crate::{
    api_keys, audit, dead_letters, deliveries, events, instances, live, page, portal_links,
    preview, replays, sessions, statistics, subscriptions, webhook_keys,
};

/// The router, and the OpenAPI document of what it serves.
pub struct Api {
    /// Serves everything.
    pub router: Router,
    /// What `/openapi.json` answers.
    pub document: utoipa::openapi::OpenApi,
}

/// The API over `state`, beside the routes of `admin`, behind a door as the settings say.
pub fn routes(state: AppState, admin: Router, settings: &DoorArgs) -> Api {
    let (router, openapi) = OpenApiRouter::with_openapi(document::base())
        .merge(page::routes())
        .merge(document::routes())
        .merge(subscriptions::routes())
        .merge(webhook_keys::routes())
        .merge(preview::routes())
        .merge(replays::routes())
        .merge(dead_letters::routes())
        .merge(deliveries::routes())
        .merge(events::routes())
        .merge(live::routes())
        .merge(statistics::routes())
        .merge(instances::routes())
        .merge(api_keys::routes())
        .merge(portal_links::routes())
        .merge(sessions::routes())
        .merge(audit::routes())
        .split_for_parts();
    let door = Door::new(settings);
    let guard = Guard::new(&state, door.limits(), &openapi);
    let request_timeout = settings.request_timeout;
    let router = router
        .with_state(state)
        .merge(admin)
        .merge(document::swagger_ui())
        .fallback(async || ApiError::UnknownRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(from_fn_with_state(guard, Guard::check))
        .layer(Extension(Document::new(&openapi)))
        .layer(from_fn_with_state(door, Door::check))
        .layer(DefaultBodyLimit::max(settings.max_body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(move |request, next| {
            in_time(request_timeout, request, next)
        }))
        .layer(option_layer(settings.cors_origins.layer()))
        .layer(from_fn(observe));
    Api {
        router,
        document: openapi,
    }
}

async fn in_time(limit: Duration, request: Request, next: Next) -> Response {
    tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| ApiError::TimedOut.into_response())
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic
            .downcast::<&str>()
            .map_or_else(|_| String::new(), |text| text.to_string()),
    };
    ApiError::Internal(anyhow!("a handler panicked: {text}")).into_response()
}
