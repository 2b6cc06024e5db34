//! The API: subscriptions, replays, dead letters, and the document that describes them.
//!
//! `routes` puts together what the endpoint files (`subscriptions`, `preview`, `replays`,
//! `dead_letters`, `deliveries`, `events`, `live`, `statistics`, `instances`, `page`, `document`) serve; router and document come from the same source. Input
//! becomes a type that cannot be wrong in `fields` and `extract`, or an `error::ApiError`; nothing
//! behind them checks again. `server` has the connections, `door` and `access` what each request passes. All SQL is in `common::store`; `log` looks things up in Kafka, `tester`
//! makes test deliveries.

mod access;
mod api_keys;
mod audit;
mod command;
mod config;
mod dead_letters;
mod deliveries;
mod document;
mod door;
mod error;
mod events;
mod extract;
mod fields;
mod health;
mod hint;
mod instances;
mod list;
mod live;
mod location;
mod log;
mod observe;
mod page;
mod phases;
mod portal_links;
mod preview;
mod problem;
mod refusals;
mod replays;
mod routes;
mod seats;
mod selection;
mod server;
mod service;
mod sessions;
mod state;
mod statistics;
mod store;
mod subscriptions;
mod tester;
mod webhook_keys;

pub use access::{Access, Oidc, OidcArgs};
pub use command::run;
pub use config::Config;
pub use door::DoorArgs;
pub use live::{Live, Settings as LiveSettings};
pub use log::Log;
pub use routes::{Api, routes};
pub use server::{Server, ServerArgs, tls};
pub use sessions::Settings as SessionSettings;
pub use state::AppState;
pub use statistics::Settings as StatisticsSettings;

pub use tester::Tester;
