//! The console: see the system, and act on it, in a browser.
//!
//! It is a client of the API. [`in_front_of`] is given the API's router and calls that in process,
//! with the credentials of whoever looks (`visitor`, `api`); it has no store, no Kafka and no rule
//! of its own about who may see what. So it can do nothing that a client cannot, and what is not one's
//! own is as missing here as there. `session` is what stands for a key in a browser, `origin` refuses
//! what other sites send, `headers` and `assets` keep a page from asking any other host.
//!
//! A page reads answers into small structs of its own and renders them with a template that is
//! compiled; `moment`, `number`, `cause`, `chart`, `visible` and `health` say things in words and are
//! pure. All
//! state of a page is in its URL, all of it reads without JavaScript, and `assets/console.js` keeps
//! it fresh.

mod answers;
mod api;
mod assets;
mod audit;
mod cause;
mod chart;
mod configuration;
mod dead_letters;
mod deliveries;
mod failed;
mod form;
mod frame;
mod headers;
mod health;
mod keys;
mod moment;
mod number;
mod origin;
mod overview;
mod series;
mod session;
mod sign_in;
mod streams;
mod subscription;
mod subscriptions;
mod visible;
mod visitor;
mod waterfall;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{ACCEPT, LOCATION, VARY};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use common::secrets::Keyring;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use api::Api;
use session::Sessions;

/// How long a page may take: more than the API takes for each of the few calls it makes.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// How large a form may be: the event of a test, with what escaping adds.
const MAX_FORM_BYTES: usize = 256 * 1024;

/// How the console lets people in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the API asks for keys, so that one has to sign in.
    pub asks_for_keys: bool,
    /// Whether one can sign in by a provider, too.
    pub has_provider: bool,
    /// Whether browsers reach it by TLS, so that cookies are for that only.
    pub by_tls: bool,
    /// After how long without a page a session ends.
    pub idle: Duration,
    /// After how long it ends in any case.
    pub lifetime: Duration,
    /// Which sites may show the console in a frame: their origins.
    pub frame_ancestors: Vec<String>,
}

/// What handlers share. Cheap to clone.
#[derive(Clone, Debug)]
struct Console(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    api: Api,
    sessions: Sessions,
}

/// The API with the console before it: `/console/…`, and `/` where a browser asks for it. All else
/// is for `api`.
pub fn in_front_of(api: Router, keyring: &Keyring, settings: Settings) -> Router {
    let headers = headers::Set::new(&settings.frame_ancestors);
    let console = Console(Arc::new(Shared {
        api: Api::new(api.clone()),
        sessions: Sessions::new(keyring.clone(), settings),
    }));
    Router::new()
        .merge(overview::routes())
        .merge(subscriptions::routes())
        .merge(subscription::routes())
        .merge(deliveries::routes())
        .merge(dead_letters::routes())
        .merge(keys::routes())
        .merge(audit::routes())
        .merge(configuration::routes())
        .merge(sign_in::routes())
        .merge(streams::routes())
        .route("/console", get(async || redirect("/")))
        .route("/console/", get(async || redirect("/")))
        .route("/console/{*rest}", get(failed::no_page))
        .with_state(console.clone())
        .layer(from_fn_with_state(console, session::keep_awake))
        .merge(assets::routes())
        .layer(from_fn(origin::check))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(CatchPanicLayer::new())
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(headers, headers::set))
        // Nothing above is before what is the API's.
        .fallback_service(api.clone())
        .layer(from_fn_with_state(api, front_page))
}

/// `/` is the console's for who would rather have a page, and the API's for everybody else.
async fn front_page(State(api): State<Router>, request: Request, next: Next) -> Response {
    if request.uri().path() != "/" {
        return next.run(request).await;
    }
    let mut response = if is_read(request.method()) && prefers_pages(request.headers()) {
        next.run(request).await
    } else {
        let answered = api.oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    };
    response
        .headers_mut()
        .append(VARY, HeaderValue::from_static("accept"));
    response
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Browsers name `text/html` first; no other client does so by chance.
fn prefers_pages(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.trim_start().starts_with("text/html"))
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(PAGE_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// Go and GET that, which is a path of ours.
fn redirect(to: &str) -> Response {
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
}
