//! The OpenAPI document: what the routes do not say of themselves, `/openapi.json`, Swagger UI.
//!
//! The handlers describe the routes of this crate. Here stand the frame, the POST that
//! subscribers receive (`webhooks`), and the routes that other crates serve.

use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Extension, Router};
use common::event::{
    TEMPERATURE_UPDATED, TRACEPARENT, TemperatureUpdated, USER_AGENT, WEBHOOK_ATTEMPT, WEBHOOK_ID,
    WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
};
use common::probes::Report;
use outbound::WEBHOOK_REQUEST_ORIGIN;
use serde_json::json;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Ref, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Required};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::access::SCHEME;
use crate::refusals;
use crate::state::AppState;

const PATH: &str = "/openapi.json";

const DESCRIPTION: &str = "Subscribe endpoints to temperature events, and look after what could \
    not be delivered.\n\nEvery refusal is an RFC 9457 problem document: branch on `code`, read \
    `detail`. `pointer` names the field of the body that is wrong, `parameter` the part of the \
    URL. Each answer carries `x-request-id`; a request may bring its own.";

/// The document as it is served.
#[derive(Clone, Debug)]
pub struct Document(Bytes);

impl Document {
    /// Writes `openapi` down once, for all requests.
    pub fn new(openapi: &OpenApi) -> Self {
        Self(openapi.to_json().expect("it has text keys only").into())
    }
}

/// The routes of this file.
pub fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(openapi))
}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "pages", security(()), responses(
    (status = 200, body = Object, description = "OpenAPI 3.1", example = json!({"openapi": "3.1.0"})),
    refusals::Open,
))]
async fn openapi(Extension(Document(json)): Extension<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], json)
}

/// Swagger UI, from files in this binary; it asks no server but this one.
pub fn swagger_ui() -> Router {
    let config = Config::new([PATH])
        .validator_url("none")
        .display_request_duration(true)
        .try_it_out_enabled(true);
    SwaggerUi::new("/docs").config(config).into()
}

/// The document before the routes of this crate are in it.
pub fn base() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Temperature webhooks")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION));
    let tags = [
        ("subscriptions", "Who wants events, and where."),
        (
            "replays",
            "Stretches of the log that are sent to a subscription again.",
        ),
        ("dead letters", "Deliveries that failed for good."),
        (
            "deliveries",
            "The record: what became of each event for each subscription, later or live.",
        ),
        (
            "statistics",
            "What became of deliveries, and how the service is doing.",
        ),
        ("instances", "Which programs run, and with which settings."),
        ("access", "Who may use the API, and who changed what."),
        (
            "pages",
            "For people: the entry page, Swagger UI, this document.",
        ),
        ("probes", "For orchestrators and scrapers."),
    ];
    let tags =
        tags.map(|(name, what)| TagBuilder::new().name(name).description(Some(what)).build());
    let mut schemas = refusals::schemas();
    schemas.push((Report::name().into_owned(), Report::schema()));
    schemas.push((
        TemperatureUpdated::name().into_owned(),
        TemperatureUpdated::schema(),
    ));
    let mut openapi = OpenApiBuilder::new()
        .info(info.build())
        .paths(served_by_others())
        .components(Some(
            ComponentsBuilder::new()
                .schemas_from_iter(schemas)
                .security_scheme(SCHEME, key())
                .build(),
        ))
        .tags(Some(tags))
        .build();
    openapi.webhooks = Some(webhooks());
    openapi
}

/// How a caller says who it is.
fn key() -> SecurityScheme {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some(
        "A key of the API, `Authorization: Bearer tw_live_…`, or a token of the OIDC provider that the \
         operator chose. What an operation needs stands beside \
         it: the scope `read` or `write`, or the role `admin`. A key of a subscriber reaches what is \
         its owner's; the rest is not there.",
    ));
    SecurityScheme::Http(bearer.build())
}

fn served_by_others() -> Paths {
    let mut paths = Paths::new();
    for (path, operation) in [
        (
            "/docs",
            open("pages", "docs", "Swagger UI").response("303", to("To `/docs/`")),
        ),
        (
            "/livez",
            open("probes", "livez", "Whether the process runs").response("200", text("ok\n")),
        ),
        (
            "/readyz",
            open(
                "probes",
                "readyz",
                "Whether Postgres answers, and what is said of Kafka",
            )
            .response("200", report("It does", true, "ok"))
            .response("503", report("It does not", false, "it does not answer")),
        ),
        (
            "/metrics",
            get("probes", "metrics", "Metrics, for Prometheus")
                .security(SecurityRequirement::new(SCHEME, ["admin"]))
                .responses(
                    ResponsesBuilder::new()
                        .responses_from_into_responses::<refusals::Plain>()
                        .response("200", text("api_connections 1\n"))
                        .build(),
                ),
        ),
    ] {
        paths.paths.insert(
            path.into(),
            PathItem::new(HttpMethod::Get, operation.build()),
        );
    }
    paths
}

fn get(tag: &str, id: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new()
        .tag(tag)
        .operation_id(Some(id))
        .summary(Some(summary))
}

/// For anybody.
fn open(tag: &str, id: &str, summary: &str) -> OperationBuilder {
    get(tag, id, summary).security(SecurityRequirement::default())
}

fn to(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

fn text(example: &str) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(String::schema()))
        .example(Some(json!(example)));
    to("As text").content("text/plain", content.build())
}

fn report(description: &str, ready: bool, postgres: &str) -> ResponseBuilder {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(Report::name())))
        .example(Some(
            json!({"ready": ready, "components": {"postgres": postgres}}),
        ));
    to(description).content("application/json", content.build())
}

/// The POST that subscribers receive.
fn webhooks() -> Paths {
    let mut webhooks = Paths::new();
    webhooks.paths.insert(
        "temperature-update".into(),
        PathItem::new(HttpMethod::Post, temperature_update()),
    );
    webhooks
}

fn temperature_update() -> Operation {
    let event = Ref::from_schema_name(TemperatureUpdated::name());
    let content = ContentBuilder::new().schema(Some(event)).build();
    let body = RequestBodyBuilder::new()
        .description(Some("The event, byte for byte as it was published."))
        .required(Some(Required::True))
        .content("application/json", content);
    OperationBuilder::new()
        .operation_id(Some("temperature-update"))
        .summary(Some("A temperature changed"))
        .description(Some(format!(
            "What the endpoint of a subscription gets for each `{TEMPERATURE_UPDATED}` that it \
             wants, at least once. The same event comes with the same `{WEBHOOK_ID}` on every \
             attempt: drop what you have seen."
        )))
        .parameters(Some(headers()))
        .request_body(Some(body.build()))
        .response(
            "2XX",
            to("Delivered. Answer within 10 seconds; the status counts, a body is not needed."),
        )
        .response("410", to("Never again: the subscription is disabled."))
        .response(
            "429",
            to("Later: `Retry-After` is honoured, up to an hour. So for 502, 503, 504."),
        )
        .response(
            "default",
            to("Anything else, and no answer, is tried again by the retry schedule."),
        )
        .build()
}

fn headers() -> [Parameter; 8] {
    [
        header(
            WEBHOOK_ID,
            Required::True,
            "The event's id: the same on every attempt.",
        )
        .example(Some(json!("0199b0c2-7c1e-7d52-a0a5-4f0f6a3a9b11"))),
        header(
            WEBHOOK_TIMESTAMP,
            Required::True,
            "When this attempt was made, in seconds since the Unix epoch.",
        )
        .example(Some(json!("1795467600"))),
        header(
            WEBHOOK_SIGNATURE,
            Required::True,
            "`v1,` and the base64 of the HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` \
             under the subscription's `signing_secret` (Standard Webhooks); `v1a,` and that of its \
             Ed25519 signature, where the subscription's `signing_algorithm` says so. Several, \
             separated by spaces, while one key is exchanged for another.",
        )
        .example(Some(json!(
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        ))),
        header(
            WEBHOOK_ATTEMPT,
            Required::True,
            "Which attempt this is, from 1.",
        )
        .example(Some(json!("1"))),
        header(
            "authorization",
            Required::False,
            "As the subscription's `auth` says, where that is bearer or basic.",
        )
        .example(Some(json!("Bearer jfask329489240krwjekjewlkjre"))),
        header("user-agent", Required::True, "Who sends it.").example(Some(json!(USER_AGENT))),
        header(
            TRACEPARENT,
            Required::False,
            "W3C Trace Context, where the event was published with it.",
        )
        .example(Some(json!(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        ))),
        header(
            WEBHOOK_REQUEST_ORIGIN,
            Required::False,
            "As whom it is sent, where the receiver has permitted that in a handshake.",
        )
        .example(Some(json!("hooks.example.com"))),
    ]
    .map(ParameterBuilder::build)
}

fn header(name: &str, required: Required, description: &str) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(required)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
}
