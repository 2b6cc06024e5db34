//! The producer of temperature events: a simulation of many cities, or a recording, published to
//! Kafka at a chosen rate.
//!
//! Nothing counts as published before the broker has acknowledged it. While the broker is away,
//! events wait in a bounded queue, and no more are made.

mod cities;
pub mod config;
mod pacing;
mod publisher;
mod reading;
mod record;
mod replay;
pub mod service;
mod simulation;
mod watch;
