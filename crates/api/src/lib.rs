//! The API: subscriptions, replays, dead letters, and the document that describes them.
//!
//! `routes` puts together what the endpoint files (`subscriptions`, `preview`, `replays`,
//! `dead_letters`, `statistics`, `page`, `document`) serve; router and document come from the same source. Input
//! becomes a type that cannot be wrong in `fields` and `extract`, or an `error::ApiError`; nothing
//! behind them checks again. All SQL is in `common::store`; `log` looks things up in Kafka, `tester`
//! makes test deliveries.

mod access;
mod api_keys;
mod audit;
mod command;
mod config;
mod dead_letters;
mod document;
mod error;
mod extract;
mod fields;
mod health;
mod list;
mod location;
mod log;
mod observe;
mod page;
mod preview;
mod problem;
mod refusals;
mod replays;
mod routes;
mod selection;
mod service;
mod state;
mod statistics;
mod store;
mod subscriptions;
mod tester;

pub use access::Access;
pub use command::run;
pub use config::Config;
pub use log::Log;
pub use routes::{Api, routes};
pub use state::AppState;
pub use statistics::Settings as StatisticsSettings;

pub use tester::Tester;
