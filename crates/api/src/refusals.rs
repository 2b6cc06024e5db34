//! How each route may refuse, for the document: one set of examples a kind of route.
//!
//! The examples are real errors, so they show what clients get.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use axum::http::StatusCode;
use chrono::DateTime;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::error::ApiError;
use crate::log;
use crate::problem::{self, Answered, Problem};

/// The request id of the examples.
const REQUEST_ID: &str = "0199b0c2-b1f4-7c60-9e0b-3a5d2c8e7f42";

/// Makes an error as a client might cause it.
type Example = fn() -> ApiError;

/// What any route may answer, whatever it is asked.
const ANY: [Example; 9] = [
    || ApiError::Unauthorized,
    || ApiError::InvalidToken,
    || ApiError::Forbidden("this is for admins"),
    || ApiError::RateLimited {
        which: "with this key",
        wait: Duration::from_secs(2),
    },
    || ApiError::UriTooLong,
    || ApiError::Internal(anyhow!("an example")),
    || ApiError::Unavailable(sqlx::Error::PoolTimedOut),
    || ApiError::ProviderUnavailable(anyhow!("an example")),
    || ApiError::TimedOut,
];

/// What a route may answer that takes a body, whatever its fields.
const BODY: [Example; 4] = [
    || ApiError::InvalidJson("expected `,` or `}` at line 1 column 27".into()),
    || ApiError::SlowBody,
    || ApiError::BodyTooLarge,
    || ApiError::UnsupportedMediaType,
];

/// What a route may answer that takes the fields of a subscription.
const FIELDS: [Example; 2] = [
    || ApiError::InvalidField {
        pointer: "/url".into(),
        detail: "must be http or https, not ftp".into(),
    },
    || ApiError::NameTaken,
];

/// What a route may answer that asks a receiver first.
const VERIFIED: [Example; 1] = [|| {
    ApiError::NotVerified(Box::new(Answered {
        status: Some(403),
        failure: Some("http_4xx"),
        response: Some("who are you?".into()),
        hint: "it does not know us: compare `auth_key` with what the receiver expects".into(),
    }))
}];

/// The same, of one that is there already.
const COMPARED: [Example; 1] = [|| ApiError::ChangedMeanwhile];

/// What a route may answer that takes a list of ids.
const IDS: [Example; 1] = [|| ApiError::InvalidField {
    pointer: "/dlqs".into(),
    detail: "must have 1 to 1000 ids".into(),
}];

/// What a route may answer that takes the id of a subscription.
const SUBSCRIPTION: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "id".into(),
        detail: "the id is not a UUID".into(),
    },
    || ApiError::NotFound("subscription"),
];

/// What a route may answer that takes the id of a replay.
const REPLAY: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "id".into(),
        detail: "the id is not a UUID".into(),
    },
    || ApiError::NotFound("replay"),
];

/// What a route may answer that takes the id of a dead letter.
const DEAD_LETTER: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "id".into(),
        detail: "the id is not a whole number of 64 bits".into(),
    },
    || ApiError::NotFound("dead letter"),
];

/// What a route may answer that takes a group of dead letters.
const GROUP: [Example; 2] = [
    || ApiError::InvalidField {
        pointer: "/reason".into(),
        detail: "what is malformed is no event: there is nobody to send it to".into(),
    },
    || ApiError::NotFound("subscription"),
];

/// What a route may answer that takes a moment of the record.
const MOMENT: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "at".into(),
        detail: "must be a time as in 2026-11-23T21:00:00Z".into(),
    },
    || ApiError::NothingSentAgain,
];

/// What a route may answer that takes an event.
const EVENT: [Example; 1] = [|| ApiError::InvalidField {
    pointer: "/event".into(),
    detail: "must be an object".into(),
}];

/// What a route may answer that takes a stretch of time.
const PERIOD: [Example; 2] = [
    || ApiError::InvalidField {
        pointer: "/until".into(),
        detail: "must be after since".into(),
    },
    || ApiError::BeforeLog {
        earliest: DateTime::from_timestamp_nanos(1_795_467_600_000_000_000),
    },
];

/// What a route may answer that takes what a subscription wants.
const SELECTION: [Example; 1] = [|| ApiError::InvalidField {
    pointer: "/filter".into(),
    detail: "line 1, column 15: a filter must be true or false".into(),
}];

/// What a route may answer that takes the fields of a key.
const KEY: [Example; 1] = [|| ApiError::InvalidField {
    pointer: "/owner".into(),
    detail: "a subscriber's key has an owner".into(),
}];

/// What a route may answer that lets somebody in by a provider.
const SIGN_IN: [Example; 2] = [
    || ApiError::Forbidden("nobody signs in by a provider here"),
    || ApiError::ProviderUnavailable(anyhow!("an example")),
];

/// What a route may answer that begins a session.
const SESSION: [Example; 2] = [
    || ApiError::InvalidToken,
    || ApiError::InvalidField {
        pointer: "/oidc/attempt".into(),
        detail: "must be what `POST /sign-ins` gave".into(),
    },
];

/// What a route may answer that ends one.
const NO_SESSION: [Example; 1] = [|| ApiError::NoSession];

/// What a route may answer that takes the id of a key.
const API_KEY: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "id".into(),
        detail: "the id is not a UUID".into(),
    },
    || ApiError::NotFound("key"),
];

/// What a route may answer that reads the log.
const LOG: [Example; 1] = [|| ApiError::KafkaUnavailable(log::Error::NoTime)];

/// What a route may answer that needs a subscription which is not disabled.
const ENABLED: [Example; 1] = [|| ApiError::SubscriptionDisabled];

/// What a route may answer that needs a subscription whose deliveries are given tokens.
const OAUTH2: [Example; 1] = [|| ApiError::NotOAuth2];

/// What a route may answer that needs a replay which runs.
const RUNNING: [Example; 1] = [|| ApiError::ReplayCompleted];

/// What a route may answer that asks nobody who it is.
const OPEN: [Example; 5] = [
    || ApiError::RateLimited {
        which: "from this address",
        wait: Duration::from_secs(2),
    },
    || ApiError::UriTooLong,
    || ApiError::Internal(anyhow!("an example")),
    || ApiError::Unavailable(sqlx::Error::PoolTimedOut),
    || ApiError::TimedOut,
];

/// What a route may answer that takes the name of a set of keys.
const KEY_SET: [Example; 1] = [|| ApiError::InvalidParameter {
    name: "set".into(),
    detail: "UUID parsing failed: invalid length".into(),
}];

/// What a route may answer that takes a part of a list.
const PART: [Example; 1] = [|| ApiError::InvalidParameter {
    name: "limit".into(),
    detail: "must be 1 to 1000".into(),
}];

/// What a route may answer that takes a part of the record.
const RECORD: [Example; 1] = [|| ApiError::InvalidParameter {
    name: "cursor".into(),
    detail: "must be the cursor of a `next` link, as it is".into(),
}];

/// What a route may answer that takes the id of a delivery.
const DELIVERY: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "id".into(),
        detail: "the id is not a delivery's".into(),
    },
    || ApiError::NotFound("delivery"),
];

/// What a route may answer that needs a delivery which is pending or dead.
const RETRYABLE: [Example; 1] =
    [|| ApiError::NotRetryable("it is delivered: a replay sends it again")];

/// What a route may answer that takes the id of an event.
const EVENT_ID: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "id".into(),
        detail: "the id is not an event's".into(),
    },
    || ApiError::NotFound("event"),
];

/// What a route may answer that goes on for long.
const STREAM: [Example; 2] = [
    || ApiError::InvalidParameter {
        name: "Last-Event-ID".into(),
        detail: "must be the id of an event of this stream".into(),
    },
    || ApiError::TooManyListeners,
];

/// What a route may answer that takes what is asked of the statistics.
const STATISTICS: [Example; 1] = [|| ApiError::InvalidParameter {
    name: "since".into(),
    detail: "lies too far back: 1m is kept for 2d".into(),
}];

/// What a route may answer besides that takes nothing: no more.
const NOTHING: [Example; 0] = [];

macro_rules! refusals {
    ($any:expr; $($(#[$doc:meta])* $name:ident: $($examples:expr),*;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                document(&[&$any[..], $(&$examples[..]),*].concat())
            }
        }
    )*};
}

refusals! {
    ANY;
    /// Of a route that takes nothing.
    Plain:;
    /// Of `POST /subscriptions`.
    Create: BODY, FIELDS, VERIFIED;
    /// Of `PATCH /subscriptions/{id}`.
    Update: BODY, FIELDS, SUBSCRIPTION, VERIFIED, COMPARED;
    /// Of a route that takes the id of a subscription alone.
    One: SUBSCRIPTION;
    /// Of `GET /subscriptions/{id}/timeline`.
    Timeline: PART, SUBSCRIPTION;
    /// Of a route that pauses or resumes.
    Switch: SUBSCRIPTION, ENABLED;
    /// Of a route that makes a test delivery.
    Test: BODY, EVENT, SUBSCRIPTION;
    /// Of a route that asks for a token.
    TestToken: SUBSCRIPTION, OAUTH2;
    /// Of a route that makes a replay.
    Replay: BODY, PERIOD, SUBSCRIPTION, LOG;
    /// Of a route that takes the id of a replay alone.
    OneReplay: REPLAY;
    /// Of a route that cancels a replay.
    Cancel: REPLAY, RUNNING;
    /// Of `POST /subscriptions/preview`.
    Preview: BODY, SELECTION, LOG;
    /// Of a route that takes the id of a dead letter alone.
    OneDeadLetter: DEAD_LETTER;
    /// Of `POST /dlqs`.
    Reprocess: BODY, IDS;
    /// Of `POST /dlqs/groups`.
    ReprocessGroup: BODY, GROUP;
    /// Of `GET /dlqs/reprocessed`.
    Reprocessed: MOMENT;
    /// Of `POST /api-keys`.
    CreateKey: BODY, KEY;
    /// Of a route that takes the id of a key alone.
    OneKey: API_KEY;
    /// Of `DELETE /sessions/current`.
    EndSession: NO_SESSION;
    /// Of `GET /stats`.
    Stats: NOTHING;
    /// Of `GET /stats/timeseries`.
    Timeseries: STATISTICS;
    /// Of a route that takes a query alone.
    List: PART;
    /// Of `GET /deliveries`.
    Deliveries: RECORD;
    /// Of a route that takes the id of a delivery alone.
    OneDelivery: DELIVERY;
    /// Of `POST /deliveries/{id}/retry`.
    Retry: DELIVERY, RETRYABLE;
    /// Of `GET /events/{id}`.
    OneEvent: EVENT_ID;
    /// Of `GET /events/stream`.
    Stream: STREAM;
    /// Of `GET /subscriptions/{id}/tail`.
    Tail: STREAM, SUBSCRIPTION;
}

refusals! {
    OPEN;
    /// Of a route that is open to anybody.
    Open:;
    /// Of `GET /.well-known/webhook-keys.json`.
    Keys: KEY_SET;
    /// Of `POST /sign-ins`.
    SignIn: SIGN_IN;
    /// Of `POST /sessions`.
    CreateSession: BODY, SIGN_IN, SESSION;
}

fn document(examples: &[Example]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<StatusCode, Vec<ApiError>> = BTreeMap::new();
    for example in examples {
        let error = example();
        by_status
            .entry(error.code().status())
            .or_default()
            .push(error);
    }
    by_status
        .into_iter()
        .map(|(status, errors)| (status.as_str().to_owned(), response(status, &errors).into()))
        .collect()
}

fn response(status: StatusCode, errors: &[ApiError]) -> Response {
    let titles: Vec<&str> = errors.iter().map(|error| error.code().title()).collect();
    let examples = errors.iter().map(|error| {
        let problem = Problem::new(error, REQUEST_ID);
        let value = serde_json::to_value(&problem).expect("a problem is plain text and numbers");
        let name = value["code"].as_str().unwrap_or_default().to_owned();
        let example = ExampleBuilder::new()
            .summary(error.code().title())
            .value(Some(value));
        (name, example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Problem::name())))
        .examples_from_iter(examples);
    let response = ResponseBuilder::new()
        .description(titles.join(" · "))
        .content(problem::CONTENT_TYPE, content.build());
    if matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    ) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer);
        let header = HeaderBuilder::new()
            .schema(Some(seconds.build()))
            .description(Some("Seconds to wait before the next try"));
        return response.header("retry-after", header.build()).build();
    }
    response.build()
}

/// The schema of all refusals, to be put among the document's.
pub fn schemas() -> Vec<(String, RefOr<utoipa::openapi::Schema>)> {
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    schemas
}
