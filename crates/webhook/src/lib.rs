//! The demo receiver: takes any POST as a delivery, drops duplicates by `webhook-id`, counts and
//! prints what it got, and fails, delays or hangs when told to.
//!
//! It is the other side of the load tests too, so a request costs one short lock. What it counts
//! dies with it.

pub mod config;
mod faults;
mod inbox;
mod receive;
mod recent;
pub mod service;
mod summary;
