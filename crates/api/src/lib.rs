//! The API: subscriptions, dead letters, and the document that describes both.
//!
//! `routes` puts together what the endpoint files (`subscriptions`, `dead_letters`, `page`,
//! `document`) serve; router and document come from the same source. Input becomes a type that
//! cannot be wrong in `fields` and `extract`, or an `error::ApiError`; nothing behind them
//! checks again. All SQL is in `common::store`.

mod config;
mod dead_letters;
mod document;
mod error;
mod extract;
mod fields;
mod health;
mod list;
mod observe;
mod page;
mod problem;
mod refusals;
mod routes;
mod service;
mod subscriptions;

pub use config::Config;
pub use routes::{Api, routes};
pub use service::Service;
